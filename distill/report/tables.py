"""The report's tables as plain cells, drawn by markdown.py and html.py alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .headline import CELL, row_at, speedup
from .schema import Latency, Model, Report
from .words import (
    LABELLED,
    MISSING,
    chance,
    duration,
    figure,
    interval,
    known,
    metric_words,
    millions,
    output_words,
    percent,
    points,
    public_name,
    ratio,
    signed,
    signed_interval,
    small,
    span,
    tell,
    verdict,
    whole,
)

NOISY = "†"


@dataclass(frozen=True)
class Table:
    """A table of text. The first column names the row.

    Attributes:
        marked: the row to stand out, by its first cell.
        text_columns: how many columns from the left hold words; the others hold numbers.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    marked: str | None = None
    text_columns: int = 1


def models_table(report: Report, most_cells: int = 4) -> Table:
    """Every variant: quality with its interval, what it retains, size, p50 per grid cell, how much faster than the teacher."""
    teacher, main = report.model("teacher"), report.headline.task
    cells = grid_cells(report)
    shown = cells if len(cells) <= most_cells else [CELL] if CELL in cells else cells[:1]
    tasks = sorted(
        {task for model in report.models for task in model.quality}, key=lambda task: (task != main, task == "agreement", task)
    )
    columns = [tell("Model"), *(_task_title(report, task) for task in tasks)]
    if main != "agreement":
        columns.append(tell("Retained"))
    columns += [tell("File MB"), tell("Params")]
    columns += [*(tell("p50\u00a0ms, {cell}", cell=cell_words(cell)) for cell in shown), tell("Faster")]
    rows, notes = [], []
    for model in report.models:
        row = [called(model), *(_quality(model, task) for task in tasks)]
        if main != "agreement":
            row.append(percent(_share(model, teacher, main)))
        row += [figure(model.file_mb), millions(model.params), *(_p50(model, cell) for cell in shown)]
        rows.append((*row, tell("withheld") if model.note else ratio(speedup(model, teacher, _speed_cell(cells)))))
        if model.note:
            notes.append(f"{model.name}: {model.note}.")
    notes += _together(report)
    notes.insert(0, tell("Quality in points of 100, with its 95% bootstrap interval. MB = 1,000,000 bytes."))
    if cells:
        notes.append(
            tell(
                "p50: median milliseconds from token ids to {output} on the CPU, every variant in a process of its own. "
                "1×32 is one text of 32 tokens. Faster: teacher in PyTorch / model, at {cell}.",
                output=output_words(report.task),
                cell=cell_words(_speed_cell(cells)),
            )
        )
    if any(latency.noisy for model in report.models for latency in model.latency):
        notes.append(noisy_note())
    return Table(tell("Models"), tuple(columns), tuple(rows), tuple(notes), marked=report.headline.best)


def latency_table(report: Report) -> Table:
    """Every timed row of the grid."""
    columns = (
        tell("Model"),
        tell("Batch"),
        tell("Sequence"),
        tell("Threads"),
        tell("p50 ms"),
        tell("95% interval"),
        tell("p90 ms"),
        tell("p99 ms"),
        tell("CPU ms"),
        tell("Runs"),
        tell("Sentences/s"),
        tell("Faster"),
    )
    teacher = report.model("teacher")
    rows = [
        (
            called(model),
            str(row.batch),
            str(row.sequence),
            str(row.threads),
            figure(row.p50_ms) + _mark(row),
            span(figure(row.p50_ci95[0]), figure(row.p50_ci95[1])) if row.p50_ci95 else MISSING,
            figure(row.p90_ms),
            figure(row.p99_ms),
            figure(row.cpu_ms),
            whole(row.n),
            whole(row.sentences_per_s),
            ratio(speedup(model, teacher, (row.batch, row.sequence, row.threads))),
        )
        for model in report.models
        for row in model.latency
    ]
    notes = [f"{model.name}: {model.note}." for model in report.models if model.note] + _together(report)
    notes += (
        [tell("p99 is given from 100 runs on.")]
        if any(row.p99_ms is None for model in report.models for row in model.latency)
        else []
    )
    notes += [tell("The interval is that of the median, as if runs did not hang together; every run stands in samples.csv.")]
    notes += [noisy_note()] if any(row.noisy for model in report.models for row in model.latency) else []
    return Table(tell("Latency"), columns, tuple(rows), tuple(notes), marked=report.headline.best)


def loading_table(report: Report) -> Table:
    """Load time and peak memory of every variant, in a fresh process."""
    rows = [
        (
            called(model),
            model.path or MISSING,
            figure(model.file_mb),
            tell("withheld") if model.note else whole(model.load_ms),
            whole(model.peak_rss_mb),
        )
        for model in report.models
    ]
    columns = (tell("Model"), tell("File or folder"), tell("File MB"), tell("Load ms"), tell("Peak memory MB"))
    notes = (
        tell("Paths are relative to the run folder. Peak memory: of the whole process, libraries included, over the timed grid."),
        *_together(report),
    )
    return Table(tell("Size and memory"), columns, tuple(rows), notes, marked=report.headline.best, text_columns=2)


def parity_table(report: Report) -> Table:
    """How close every exported file is to its reference."""
    decides = None
    if report.task in LABELLED:
        decides = tell("Correlation") if report.task == "regression" else tell("Equal decisions")
    columns = (
        tell("Model"),
        tell("Reference"),
        tell("Gate"),
        tell("Passed"),
        *([decides] if decides else []),
        tell("Max abs. error"),
        tell("Mean cosine"),
        tell("Min cosine"),
        tell("Batch invariance"),
        tell("Quantized nodes"),
    )
    rows = []
    for model in report.models:
        parity = model.parity
        if parity is None:
            continue
        nodes = ", ".join(f"{count} {name}" for name, count in parity.nodes.items()) or MISSING
        rows.append(
            (
                model.name,
                parity.reference,
                parity.gate or MISSING,
                tell("yes") if parity.passed else tell("NO"),
                *([_cosine(parity.correlation if report.task == "regression" else parity.label_agreement)] if decides else []),
                small(parity.max_abs),
                _cosine(parity.mean_cosine),
                _cosine(parity.min_cosine),
                _invariance(parity.batch_invariance),
                nodes,
            )
        )
    return Table(tell("Parity"), columns, tuple(rows), (verdict(report),), marked=report.headline.best, text_columns=4)


def training_table(report: Report) -> Table:
    """The stages of training."""
    rows = [
        (
            stage.name,
            whole(stage.steps),
            figure(stage.epochs),
            duration(stage.seconds),
            stage.precision or MISSING,
            MISSING if stage.best_value is None else f"{stage.best_value:.4f}",
            whole(stage.best_step),
            _ending(stage.stopped),
        )
        for stage in report.training.stages
    ]
    columns = (
        tell("Stage"),
        tell("Steps"),
        tell("Epochs"),
        tell("Time"),
        tell("Precision"),
        tell("Best dev value"),
        tell("at step"),
        tell("End"),
    )
    return Table(tell("Training"), columns, tuple(rows))


def against_table(report: Report) -> Table | None:
    """Every model against its teacher on every set: what is kept, and whether the difference is more than chance."""
    rows = [
        (
            model.name,
            task,
            metric_words(quality.metric, quality.kind),
            whole(quality.n),
            percent(quality.retained),
            _percents(quality.retained_ci95),
            signed(against.difference),
            signed_interval(against.ci95),
            chance(against.p),
        )
        for model in report.models
        for task, quality in model.quality.items()
        if (against := quality.against_teacher) is not None
    ]
    if not rows:
        return None
    columns = (
        tell("Model"),
        tell("Set"),
        tell("Metric"),
        tell("Examples"),
        tell("Retained"),
        tell("95% interval"),
        tell("Difference"),
        tell("95% interval"),
        tell("p"),
    )
    notes = (
        tell(
            "Both models answer the same examples, so they are compared example by example (paired bootstrap). Difference: model "
            "minus teacher, in points of 100. p: how often chance alone makes a difference so large; below 0.05 it is hardly "
            "chance. Many rows make a small p more likely somewhere."
        ),
    )
    return Table(tell("Against the teacher"), columns, tuple(rows), notes, marked=report.headline.best, text_columns=3)


def called(model: Model) -> str:
    """A model's name, and of how many models it consists where there are several."""
    return model.name if model.models == 1 else tell("{name} ({n} models)", name=model.name, n=model.models)


def _together(report: Report) -> list[str]:
    """What the numbers of a teacher that is several models are."""
    return [
        tell(
            "{name}: parameters and MB are sums; times and memory are those of all, loaded together and run one after the other.",
            name=called(model),
        )
        for model in report.models
        if model.models > 1
    ]


def noisy_note() -> str:
    """What the mark of a disturbed timing means."""
    return tell(
        "{mark} measured while the machine was disturbed (wall time well above CPU time, a wide spread, or high load).",
        mark=NOISY,
    )


def _percents(ci95: tuple[float, float] | None) -> str:
    return MISSING if ci95 is None else span(f"{100 * ci95[0]:.1f}", percent(ci95[1]))


def _ending(stopped: str | bool | None) -> str:
    """How a stage ended."""
    if stopped == "early" or stopped is True:
        return tell("stopped early")
    return tell("ran to the end") if stopped in ("planned end", None, False) else str(stopped)


def facts(pairs: Iterable[tuple[str, str | None]]) -> tuple[tuple[str, str], ...]:
    """Name and value where the value is known."""
    return tuple((name, value) for name, value in pairs if value not in (None, "", MISSING))


def grid_cells(report: Report) -> list[tuple[int, int, int]]:
    """Every (batch, sequence, threads) that was timed, in order."""
    return sorted({(row.batch, row.sequence, row.threads) for model in report.models for row in model.latency})


def cell_words(cell: tuple[int, int, int]) -> str:
    """(1, 32, 1) -> `1×32`, batch × sequence; threads are told where there are more than one."""
    batch, sequence, threads = cell
    return f"{batch}×{sequence}" + (tell(", {n} threads", n=threads) if threads > 1 else "")


def losses_of(recipe: Mapping[str, Any]) -> str:
    """The losses of every stage with their weights, in words."""
    told = []
    for stage in recipe.get("stages") or ():
        losses = stage.get("losses") or () if isinstance(stage, Mapping) else ()
        terms = [
            tell("{name} (weight {weight})", name=loss.get("loss") or loss.get("name"), weight=loss.get("weight", 1))
            for loss in losses
            if isinstance(loss, Mapping)
        ]
        told.append(f"{stage.get('name', 'main')}: {', '.join(terms)}" if terms else "")
    return "; ".join(text for text in told if text)


def sources_of(recipe: Mapping[str, Any]) -> str:
    """The training sources, in words."""
    data = recipe.get("data")
    train = data.get("train") if isinstance(data, Mapping) else None
    sources = train if isinstance(train, list) else [train]
    names = [source.get("source") if isinstance(source, Mapping) else source for source in sources]
    return ", ".join(public_name(str(name)) for name in names if name)


def _speed_cell(cells: list[tuple[int, int, int]]) -> tuple[int, int, int]:
    return CELL if CELL in cells or not cells else cells[0]


def _task_title(report: Report, task: str) -> str:
    metric = next(model.quality[task].metric for model in report.models if task in model.quality)
    kind = _kind(report, task)
    if task == "agreement":
        return tell(
            "Agreement, {metric}", metric=metric_words(metric, kind) if kind in LABELLED else known(metric.replace("_", " "))
        )
    return f"{task}, {metric_words(metric, kind)}"


def _kind(report: Report, task: str) -> str:
    return next(model.quality[task].kind for model in report.models if task in model.quality)


def _quality(model: Model, task: str) -> str:
    quality = model.quality.get(task)
    return MISSING if quality is None else f"{points(quality.value)} {interval(quality.ci95)}".strip()


def _share(model: Model, teacher: Model | None, task: str) -> float | None:
    own, its = model.quality.get(task), teacher.quality.get(task) if teacher else None
    return own.value / its.value if own and own.value is not None and its and its.value and its.value > 0 else None


def _p50(model: Model, cell: tuple[int, int, int]) -> str:
    row = row_at(model, cell)
    return tell("withheld") if model.note else MISSING if row is None else figure(row.p50_ms) + _mark(row)


def _mark(row: Latency) -> str:
    return f" {NOISY}" if row.noisy else ""


def _cosine(value: float | None) -> str:
    return MISSING if value is None else f"{value:.6f}"


def _invariance(value: float | Mapping[str, float | None] | None) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{known(name.replace('_', ' '))} {figure(number)}" for name, number in value.items()) or MISSING
    return MISSING if value is None else f"{value:.6g}"
