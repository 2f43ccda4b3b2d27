"""What the stages of a run noted about themselves, as frozen data. Every fact may be absent."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """Base of every part: frozen, no NaN or infinity, keys of later versions are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Facts(BaseModel):
    """What a stage noted about itself. Every fact may be absent; facts not named here are kept as they are."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)


class TeacherFacts(Facts):
    """The teacher: where it came from and how large it is."""

    model: str | None = None
    dim: int | None = None
    layers: int | None = None
    max_length: int | None = None
    normalizes: bool | None = None
    prompt: str | None = None
    params: int | None = None
    embedding_params: int | None = None
    file_mb: float | None = None
    license: str | None = None
    language: str | list[str] | None = None
    hub_id: str | None = None


class DataFacts(Facts):
    """How many sentences were read, dropped and kept."""

    train: int | None = None
    dev: int | None = None
    read: int | None = None
    duplicates: int | None = None
    removed_evaluation: int | None = None
    removed_dev: int | None = None
    known_dev: int | None = None
    known_evaluation: int | None = None
    augmented: int | None = None
    bad_rows: int | None = None
    too_short: int | None = None
    too_long: int | None = None
    unjudged_queries: int | None = None
    fit_in_test: int | None = None


class SignalFacts(Facts):
    """Sentences that went through the teacher in this run, and those taken from the store."""

    computed: int | None = None
    reused: int | None = None


class StudentFacts(Facts):
    """Which layers the student keeps of its start model, and how large it is."""

    layers: list[int] | None = None
    source_layers: int | None = None
    params: int | None = None
    embedding_params: int | None = None
    encoder_params: int | None = None
    projection: str | None = None
    dim: int | None = None
    file_mb: float | None = None


class StageFacts(Facts):
    """One stage of training.

    Attributes:
        layer_map: (teacher layer, student layer) of losses between inner states, 0-based; None where there are none.
    """

    name: str = "main"
    steps: int | None = None
    epochs: float | None = None
    seconds: float | None = None
    precision: str | None = None
    best_step: int | None = None
    best_value: float | None = None
    select_by: str | None = None
    stopped: str | bool | None = None
    layer_map: list[tuple[int, int]] | None = None


class TrainingFacts(Facts):
    """Every stage of training, in order."""

    stages: tuple[StageFacts, ...] = ()
    peak_rss_mb: float | None = None


class FinetuneFacts(TrainingFacts):
    """The training of the teacher before it taught: its stages, what it started from, and the folder it lies in."""

    start: str | None = None
    path: str | None = None
