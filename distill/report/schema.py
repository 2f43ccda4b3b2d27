"""The report as frozen data: what `report.json` holds. Units: MB = 1e6 bytes, ms, seconds; quality in 0..1."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from distill.files import atomic_write, write_json

from .facts import DataFacts, FinetuneFacts, Part, SignalFacts, StudentFacts, TeacherFacts, TrainingFacts
from .search_facts import SearchFacts


class ShortVectors(Part):
    """What a model's vectors are worth on one similarity set in a smaller form.

    Attributes:
        dim: how many dimensions are kept, from the first on.
        precision: float32, int8 (a byte a number) or binary (a bit a number).
        rescore: binary vectors compared with the full vector of the first sentence.
        value: the set's metric.
        retained: value / value of the teacher's whole vectors.
        bytes_per_vector: of one stored vector.
    """

    dim: int
    precision: str
    rescore: bool = False
    value: float | None
    retained: float | None = None
    bytes_per_vector: int


class Quality(Part):
    """One model on one task.

    Attributes:
        metric: which number `value` is.
        value: 0..1; None where it is undefined.
        ci95: bootstrap 95% interval.
        n: examples.
        retained: value / teacher's value; None for tasks that are relative to the teacher already.
        details: further metrics.
        kind: which task it is: sts, translation, agreement, classification, ...; of an agreement in a task with a head that task.
        parts: metric by metric for each label or type of entity: part -> metric -> value.
        languages: of the two sides, where the recipe names them.
        vectors: smaller forms of the model's vectors.
    """

    metric: str
    value: float | None
    ci95: tuple[float, float] | None = None
    n: int
    retained: float | None = None
    details: dict[str, float | None] = Field(default={})
    kind: str = ""
    parts: dict[str, dict[str, float | None]] = Field(default={})
    languages: tuple[str, str] | None = None
    vectors: tuple[ShortVectors, ...] = ()


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
    invariance: dict[str, float] | None = None
    metric_drop: float | None = None
    nodes: dict[str, int] = Field(default={})
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
    quality: dict[str, Quality] = Field(default={})
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
    search: SearchFacts = SearchFacts()
    environment: dict[str, Any] = Field(default={})
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
