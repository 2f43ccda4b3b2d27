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
    duration,
    figure,
    interval,
    metric_words,
    millions,
    output_words,
    percent,
    points,
    public_name,
    ratio,
    small,
    verdict,
    whole,
)

NOISY = "†"
NOISY_NOTE = f"{NOISY} measured while the machine was disturbed (wall time well above CPU time, a wide spread, or high load)."
WITHHELD = "withheld"


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
    columns = ["Model", *(_task_title(report, task) for task in tasks)]
    if main != "agreement":
        columns.append("Retained")
    columns += ["File MB", "Params", *(f"p50\u00a0ms, {cell_words(cell)}" for cell in shown), "Faster"]
    rows, notes = [], []
    for model in report.models:
        row = [model.name, *(_quality(model, task) for task in tasks)]
        if main != "agreement":
            row.append(percent(_share(model, teacher, main)))
        row += [figure(model.file_mb), millions(model.params), *(_p50(model, cell) for cell in shown)]
        rows.append((*row, WITHHELD if model.note else ratio(speedup(model, teacher, _speed_cell(cells)))))
        if model.note:
            notes.append(f"{model.name}: {model.note}.")
    notes.insert(0, "Quality in points of 100, with its 95% bootstrap interval. MB = 1,000,000 bytes.")
    if cells:
        notes.append(
            f"p50: median milliseconds from token ids to {output_words(report.task)} on the CPU, every variant in a process of "
            "its own. "
            f"1×32 is one text of 32 tokens. Faster: teacher in PyTorch / model, at {cell_words(_speed_cell(cells))}."
        )
    if any(latency.noisy for model in report.models for latency in model.latency):
        notes.append(NOISY_NOTE)
    return Table("Models", tuple(columns), tuple(rows), tuple(notes), marked=report.headline.best)


def latency_table(report: Report) -> Table:
    """Every timed row of the grid."""
    columns = ("Model", "Batch", "Sequence", "Threads", "p50 ms", "p90 ms", "p99 ms", "CPU ms", "Runs", "Sentences/s", "Faster")
    teacher = report.model("teacher")
    rows = [
        (
            model.name,
            str(row.batch),
            str(row.sequence),
            str(row.threads),
            figure(row.p50_ms) + _mark(row),
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
    notes = [f"{model.name}: {model.note}." for model in report.models if model.note]
    notes += (
        ["p99 is given from 100 runs on."] if any(row.p99_ms is None for model in report.models for row in model.latency) else []
    )
    notes += [NOISY_NOTE] if any(row.noisy for model in report.models for row in model.latency) else []
    return Table("Latency", columns, tuple(rows), tuple(notes), marked=report.headline.best)


def loading_table(report: Report) -> Table:
    """Load time and peak memory of every variant, in a fresh process."""
    rows = [
        (
            model.name,
            model.path or MISSING,
            figure(model.file_mb),
            WITHHELD if model.note else whole(model.load_ms),
            whole(model.peak_rss_mb),
        )
        for model in report.models
    ]
    columns = ("Model", "File or folder", "File MB", "Load ms", "Peak memory MB")
    notes = ("Paths are relative to the run folder.",)
    return Table("Loading", columns, tuple(rows), notes, marked=report.headline.best, text_columns=2)


def parity_table(report: Report) -> Table:
    """How close every exported file is to its reference."""
    decides = {"regression": "Correlation"}.get(report.task, "Equal decisions") if report.task in LABELLED else None
    columns = (
        "Model",
        "Reference",
        "Gate",
        "Passed",
        *([decides] if decides else []),
        "Max abs. error",
        "Mean cosine",
        "Min cosine",
        "Batch invariance",
        "Quantized nodes",
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
                "yes" if parity.passed else "NO",
                *([_cosine(parity.correlation if report.task == "regression" else parity.label_agreement)] if decides else []),
                small(parity.max_abs),
                _cosine(parity.mean_cosine),
                _cosine(parity.min_cosine),
                _invariance(parity.batch_invariance),
                nodes,
            )
        )
    return Table("Parity", columns, tuple(rows), (verdict(report),), marked=report.headline.best, text_columns=4)


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
            stage.stopped if isinstance(stage.stopped, str) else "stopped early" if stage.stopped else "ran to the end",
        )
        for stage in report.training.stages
    ]
    columns = ("Stage", "Steps", "Epochs", "Time", "Precision", "Best dev value", "at step", "End")
    return Table("Training", columns, tuple(rows))


def facts(pairs: Iterable[tuple[str, str | None]]) -> tuple[tuple[str, str], ...]:
    """Name and value where the value is known."""
    return tuple((name, value) for name, value in pairs if value not in (None, "", MISSING))


def grid_cells(report: Report) -> list[tuple[int, int, int]]:
    """Every (batch, sequence, threads) that was timed, in order."""
    return sorted({(row.batch, row.sequence, row.threads) for model in report.models for row in model.latency})


def cell_words(cell: tuple[int, int, int]) -> str:
    """(1, 32, 1) -> `1×32`, batch × sequence; threads are told where there are more than one."""
    batch, sequence, threads = cell
    return f"{batch}×{sequence}" + (f", {threads} threads" if threads > 1 else "")


def losses_of(recipe: Mapping[str, Any]) -> str:
    """The losses of every stage with their weights, in words."""
    told = []
    for stage in recipe.get("stages") or ():
        losses = stage.get("losses") or () if isinstance(stage, Mapping) else ()
        terms = [f"{loss.get('name')} (weight {loss.get('weight', 1)})" for loss in losses if isinstance(loss, Mapping)]
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
        return f"Agreement, {metric_words(metric, kind) if kind in LABELLED else metric.replace('_', ' ')}"
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
    return WITHHELD if model.note else MISSING if row is None else figure(row.p50_ms) + _mark(row)


def _mark(row: Latency) -> str:
    return f" {NOISY}" if row.noisy else ""


def _cosine(value: float | None) -> str:
    return MISSING if value is None else f"{value:.6f}"


def _invariance(value: float | Mapping[str, float | None] | None) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name.replace('_', ' ')} {figure(number)}" for name, number in value.items()) or MISSING
    return MISSING if value is None else f"{value:.6g}"
