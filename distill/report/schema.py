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


class Against(Part):
    """A model against its teacher on the same examples, by a paired bootstrap over them.

    Attributes:
        difference: value - teacher's value, 0..1.
        ci95: its 95% interval.
        p: two-sided chance of a difference so far from 0 where there is none.
    """

    difference: float
    ci95: tuple[float, float]
    p: float


class Quality(Part):
    """One model on one task.

    Attributes:
        metric: which number `value` is.
        value: 0..1; None where it is undefined.
        ci95: bootstrap 95% interval.
        n: examples.
        retained: value / teacher's value; None for tasks that are relative to the teacher already.
        retained_ci95: its 95% interval, by a paired bootstrap over the stored predictions.
        against_teacher: the difference to the teacher, tested on the stored predictions.
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
    retained_ci95: tuple[float, float] | None = None
    against_teacher: Against | None = None


class Latency(Part):
    """One row of the measuring grid: token ids in, sentence embedding or logits out. p99 needs 100 runs.

    Attributes:
        p50_ci95: 95% interval of the median, as if runs did not hang together; None where the samples were not kept.
    """

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
    p50_ci95: tuple[float, float] | None = None


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
        models: how many models were measured as this one, one after the other: of several teachers all, whose parameters and
            megabytes are sums.
        note: why numbers are withheld; None when nothing is.
    """

    name: str
    role: Literal["teacher", "student", "export"]
    format: str
    path: str | None = None
    models: int = 1
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


class Example(Part):
    """An example on which student and teacher disagree.

    Attributes:
        row: its place in the predictions file, from 0.
        texts: one text, or two of a pair; long ones are cut.
        teacher, student: what both said.
        gold: what is right; None where nobody said.
        size: how far apart they are, the largest first; what it is depends on the task.
    """

    row: int
    texts: tuple[str, ...]
    teacher: str
    student: str
    gold: str | None = None
    size: float


class Disagreements(Part):
    """The worst examples of one task.

    Attributes:
        task: name of the set.
        kind: of it, see `Quality`.
        model: whose outputs `student` are.
        n: examples of the set.
        differing: on how many the two differ; of an agreement on plain text those with a cosine below 0.5.
        examples: the worst ones.
    """

    task: str
    kind: str
    model: str
    n: int
    differing: int
    examples: tuple[Example, ...]


class Slice(Part):
    """Teacher and student on a part of a set.

    Attributes:
        task: name of the set.
        model: whose value `student` is.
        by: length (characters), label or language.
        name: of the part.
        n: examples in it; below 10 it has no values.
        teacher, student: the set's metric.
        difference_ci95: 95% interval of student - teacher, paired.
    """

    task: str
    model: str
    by: str
    name: str
    n: int
    teacher: float | None = None
    student: float | None = None
    difference_ci95: tuple[float, float] | None = None


class Problem(Part):
    """A file of the run that could not be read.

    Attributes:
        file: its name below the run folder.
        what: missing, damaged (a part of it, or all), or unreadable (here: a package is not installed).
        place: where in it, or which package.
    """

    file: str
    what: Literal["missing", "damaged", "unreadable"]
    place: str | None = None


class Going(Part):
    """A run that is not finished.

    Attributes:
        done: stages that are done.
        left: stages to come, in order; the first one is under way, or where the run was cut off.
        updated: when this was written.
        live: whether the run itself wrote this and goes on.
    """

    done: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    updated: str | None = None
    live: bool = False


class Report(Part):
    """Everything a run found out. `save` writes it in three forms, and the raw timings as CSV.

    Attributes:
        problems: files that are missing or damaged, and what is not shown for it.
        going: what is done and left of a run that is not finished; None of one that is.
    """

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
    slices: tuple[Slice, ...] = ()
    disagreements: tuple[Disagreements, ...] = ()
    problems: tuple[Problem, ...] = ()
    going: Going | None = None

    @property
    def language(self) -> str:
        """The language of the pages, `report.language` of the recipe."""
        part = self.recipe.get("report")
        return str(part.get("language") or "en") if isinstance(part, dict) else "en"

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
        """Write report.json, report.md, report.html and samples.csv into `run`, each atomically.

        Args:
            run: the run folder; its log.jsonl gives the training curves, its measure.json the samples. Those that
                `problems` names are not read.

        Raises:
            RunError: log.jsonl is missing or damaged, or the disk refuses.
            MissingExtra: jinja2 is not installed.
        """
        from .html import to_html
        from .markdown import to_markdown
        from .read import read_log, read_log_leniently, read_samples
        from .samples import samples_csv

        lenient = bool(self.problems or self.going)
        html = to_html(self, read_log_leniently(run / "log.jsonl")[0] if lenient else read_log(run / "log.jsonl"))
        withheld = [model.name for model in self.models if model.note]
        write_json(run / "report.json", self.model_dump(mode="json"))
        atomic_write(run / "report.md", to_markdown(self))
        atomic_write(run / "report.html", html)
        if self.going is None:
            atomic_write(run / "samples.csv", samples_csv(read_samples(run / "measure.json", without=withheld)))
