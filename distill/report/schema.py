"""The report as frozen data: what `report.json` holds. Units: MB = 1e6 bytes, ms, seconds; quality in 0..1."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from distill.files import atomic_write, write_json


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
    augmented: int | None = None
    bad_rows: int | None = None
    too_short: int | None = None
    too_long: int | None = None


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
    """One stage of training."""

    name: str = "main"
    steps: int | None = None
    epochs: float | None = None
    seconds: float | None = None
    precision: str | None = None
    best_step: int | None = None
    best_value: float | None = None
    select_by: str | None = None
    stopped: str | bool | None = None


class TrainingFacts(Facts):
    """Every stage of training, in order."""

    stages: tuple[StageFacts, ...] = ()
    peak_rss_mb: float | None = None


class FinetuneFacts(TrainingFacts):
    """The training of the teacher before it taught: its stages, what it started from, and the folder it lies in."""

    start: str | None = None
    path: str | None = None


class Quality(Part):
    """One model on one task.

    Attributes:
        metric: which number `value` is.
        value: 0..1; None where it is undefined.
        ci95: bootstrap 95% interval.
        n: examples.
        retained: value / teacher's value; None for tasks that are relative to the teacher already.
        details: further metrics.
        kind: which task it is: sts, agreement, classification, ...; of an agreement in a task with a head that task.
        parts: metric by metric for each label or type of entity: part -> metric -> value.
    """

    metric: str
    value: float | None
    ci95: tuple[float, float] | None = None
    n: int
    retained: float | None = None
    details: dict[str, float | None] = {}
    kind: str = ""
    parts: dict[str, dict[str, float | None]] = {}


class Latency(Part):
    """One row of the measuring grid: token ids in, sentence embedding or logits out. p99 needs 100 runs."""

    batch: int
    sequence: int
    threads: int
    p50_ms: float
    p90_ms: float
    p99_ms: float | None = None
    cpu_ms: float | None = None
    n: int
    sentences_per_s: float | None = None
    noisy: bool = False


class Parity(Part):
    """How close an exported file is to its reference, on real text."""

    file: str | None = None
    reference: str
    max_abs: float | None = None
    mean_cosine: float | None = None
    min_cosine: float | None = None
    label_agreement: float | None = None
    correlation: float | None = None
    batch_invariance: float | dict[str, float | None] | None = None
    nodes: dict[str, int] = {}
    passed: bool
    gate: str = ""


class Model(Part):
    """One variant: the teacher, the student or an exported file of the student.

    Attributes:
        note: why numbers are withheld; None when nothing is.
    """

    name: str
    role: Literal["teacher", "student", "export"]
    format: str
    path: str | None = None
    params: int | None = None
    embedding_params: int | None = None
    file_mb: float | None = None
    quality: dict[str, Quality] = {}
    latency: tuple[Latency, ...] = ()
    load_ms: float | None = None
    peak_rss_mb: float | None = None
    parity: Parity | None = None
    note: str | None = None


class Headline(Part):
    """The run in one line.

    Attributes:
        task: evaluation set that `retained` speaks of, or `agreement`.
        metric: metric of that set.
        kind: kind of that set, see `Quality`.
        retained: best / teacher; for `agreement` the Spearman of pair similarities to the teacher's.
        smaller: teacher weights file / best file.
        faster: teacher in torch / best, p50 at batch 1, sequence 32, 1 thread.
        best: the exported file the numbers speak of.
        notes: why a number is missing or to be taken with care.
    """

    task: str
    metric: str
    retained: float | None
    smaller: float | None
    faster: float | None
    best: str | None
    kind: str = ""
    notes: tuple[str, ...] = ()


class Gate(Part):
    """A rule that an exported file had to meet."""

    model: str
    rule: str
    value: float | None = None
    passed: bool


class Cost(Part):
    """What the run took."""

    teacher_sentences: int | None = None
    train_seconds: float | None = None
    total_seconds: float | None = None
    peak_rss_mb: float | None = None


class StageTime(Part):
    """Wall time of one stage of the run."""

    name: str
    seconds: float


class Report(Part):
    """Everything a run found out. `save` writes it in three forms."""

    schema_version: Literal[1] = 1
    name: str
    seed: int | None = None
    created: str | None = None
    toolkit: str | None = None
    headline: Headline
    gates: tuple[Gate, ...]
    models: tuple[Model, ...]
    cost: Cost
    stages: tuple[StageTime, ...] = ()
    teacher: TeacherFacts = TeacherFacts()
    data: DataFacts = DataFacts()
    signals: SignalFacts = SignalFacts()
    student: StudentFacts = StudentFacts()
    training: TrainingFacts = TrainingFacts()
    finetune: FinetuneFacts = FinetuneFacts()
    environment: dict[str, Any] = {}
    recipe: dict[str, Any]

    @property
    def task(self) -> str:
        """The recipe's task: embedding, classification, multilabel, regression, tokens or spans."""
        return str(self.recipe.get("task") or "embedding")

    @property
    def passed(self) -> bool:
        """Whether every exported file met its gate."""
        return all(gate.passed for gate in self.gates)

    @property
    def summary(self) -> str:
        """The headline as one plain sentence."""
        from .words import summary

        return summary(self.headline)

    def model(self, name: str | None) -> Model | None:
        """The model of that name, or None."""
        return next((model for model in self.models if model.name == name), None)

    def save(self, run: Path) -> None:
        """Write report.json, report.md and report.html into `run`, each atomically.

        Args:
            run: the run folder; its log.jsonl gives the training curve of the HTML form.

        Raises:
            RunError: log.jsonl is missing or damaged, or the disk refuses.
            MissingExtra: jinja2 is not installed.
        """
        from .html import to_html
        from .markdown import to_markdown
        from .read import read_log

        html = to_html(self, read_log(run / "log.jsonl"))
        write_json(run / "report.json", self.model_dump(mode="json"))
        atomic_write(run / "report.md", to_markdown(self))
        atomic_write(run / "report.html", html)
