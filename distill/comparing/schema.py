"""The comparison as frozen data: what `compare.json` holds. Units: MB = 1e6 bytes, ms, seconds; quality in 0..1."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ..files import atomic_write, write_json
from ..report.facts import Part

Interval = tuple[float, float]


class Score(Part):
    """The quality of a run's model on one evaluation set.

    Attributes:
        metric: which number `value` is.
        kind: of the set: sts, classification, agreement, ...
        value: None where it is undefined.
        ci95: bootstrap 95% interval of the value alone.
        n: examples.
        retained: value / teacher's value.
    """

    metric: str
    kind: str
    value: float | None
    ci95: Interval | None = None
    n: int
    retained: float | None = None


class Timing(Part):
    """Latency at the cell of the comparison."""

    p50_ms: float
    p90_ms: float
    n: int
    noisy: bool = False


class RunSummary(Part):
    """One run, by the model that stands for it.

    Attributes:
        label: short name, unique in the comparison.
        state: `compared`; `unfinished` and `damaged` runs are left out of every comparison.
        reason: why a run is left out, or why a number is missing.
        model: the file that stands for the run: student, fp32, fast, ...; None where none passed its gate.
        layers: of the student that are kept, from 0.
        gates_passed: whether every exported file met its parity gate.
    """

    label: str
    state: Literal["compared", "unfinished", "damaged"]
    reason: str | None = None
    name: str | None = None
    created: str | None = None
    model: str | None = None
    gates_passed: bool | None = None
    quality: dict[str, Score] = Field(default={})
    latency: Timing | None = None
    load_ms: float | None = None
    peak_rss_mb: float | None = None
    file_mb: float | None = None
    params: int | None = None
    layers: list[int] | None = None
    train_seconds: float | None = None
    total_seconds: float | None = None
    teacher_computed: int | None = None
    environment: dict[str, Any] = Field(default={})


class PairedScore(Part):
    """A run against the baseline on one evaluation set, on the stored predictions.

    Attributes:
        metric: of the difference; of an agreement the mean cosine, which the predictions hold.
        difference: run - baseline; None where it is undefined.
        ci95: of the difference, paired bootstrap.
        p: two-sided.
        note: why there is no difference.
    """

    run: str
    task: str
    metric: str
    difference: float | None = None
    ci95: Interval | None = None
    p: float | None = None
    n: int | None = None
    note: str | None = None


class Ratio(Part):
    """How much slower, larger and hungrier a run's model is than the baseline's: run / baseline.

    Attributes:
        latency: of the medians at the comparison's cell.
        ci95: of that ratio.
        noisy: one of both was measured on a disturbed machine.
    """

    run: str
    latency: float | None = None
    ci95: Interval | None = None
    noisy: bool = False
    size: float | None = None
    memory: float | None = None


class Candidate(Part):
    """An exported file of a run: a point of the picture.

    Attributes:
        name: run and file.
        front: no other point is as good and as fast.
        stands_for_run: the one that the tables speak of.
    """

    name: str
    run: str
    model: str
    quality: float | None
    ci95: Interval | None = None
    p50_ms: float | None
    p50_ci95: Interval | None = None
    file_mb: float | None = None
    front: bool = False
    stands_for_run: bool = False


class Advice(Part):
    """Which file to ship.

    Attributes:
        run, model: None where nothing can be advised.
        tolerance: how far below the best quality the file may be, in the metric's unit.
        sentence: in plain words.
    """

    run: str | None = None
    model: str | None = None
    tolerance: float
    sentence: str


class Rule(Part):
    """A limit asked for, and what one run made of it.

    Attributes:
        rule: `max_quality_drop` or `max_latency_increase`.
        limit: in the metric's own unit, or as a share.
        value: drop or increase; None where there is none.
        ci95: of the value.
        decided_by: `estimate`: the value itself; `bound`: the worse end of its interval.
        passed: whether the limit is met.
        settled: whether the whole interval lies on that side of the limit.
        sentence: the reason in one line.
    """

    rule: Literal["max_quality_drop", "max_latency_increase"]
    run: str
    limit: float
    value: float | None = None
    ci95: Interval | None = None
    decided_by: Literal["estimate", "bound"] = "estimate"
    passed: bool
    settled: bool = True
    sentence: str


class Difference(Part):
    """A value of the recipes that is not the same in all runs: run -> value, None where a recipe has none."""

    path: str
    values: dict[str, Any]


class Comparison(Part):
    """Everything a comparison found out. `save` writes it in three forms.

    Attributes:
        baseline: label of the run that the others are compared with.
        task, metric, kind: of the evaluation set that front, gates and advice speak of; None without one in common.
        cell: batch, sequence and threads of the latency; None where no timing can be compared.
        notes: what to know before trusting the numbers.
    """

    schema_version: Literal[1] = 1
    toolkit: str
    baseline: str
    task: str | None = None
    metric: str | None = None
    kind: str = ""
    cell: tuple[int, int, int] | None = None
    runs: tuple[RunSummary, ...]
    quality: tuple[PairedScore, ...] = ()
    ratios: tuple[Ratio, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    advice: Advice
    rules: tuple[Rule, ...] = ()
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every limit that was asked for is met."""
        return all(rule.passed for rule in self.rules)

    def run(self, label: str) -> RunSummary:
        """The run of that label."""
        return next(run for run in self.runs if run.label == label)

    def save(self, folder: Path | str) -> None:
        """Write compare.json, compare.md and compare.html into `folder`, each atomically.

        Raises:
            RunError: the disk refuses.
            MissingExtra: jinja2 is not installed.
        """
        from .html import to_html
        from .markdown import to_markdown

        place, page = Path(folder), to_html(self)
        write_json(place / "compare.json", self.model_dump(mode="json"))
        atomic_write(place / "compare.md", to_markdown(self))
        atomic_write(place / "compare.html", page)


def json_schema() -> dict[str, Any]:
    """The JSON schema of compare.json, as docs/compare.schema.json publishes it."""
    return Comparison.model_json_schema(mode="serialization")
