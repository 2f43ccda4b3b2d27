"""The tables of a comparison as plain cells, drawn by markdown.py and html.py alike."""

from __future__ import annotations

import json
from typing import Any

from ..report.tables import Table, cell_words
from ..report.words import MISSING, duration, figure, interval, metric_words, millions, percent, points, whole
from .schema import Comparison, Interval, RunSummary

NOISY = "†"
SURE = 0.05


def all_tables(found: Comparison) -> list[Table]:
    """Every table, in the order of the page."""
    tables = [runs_table(found), paired_table(found), costs_table(found), candidates_table(found)]
    return [*tables, recipes_table(found), machines_table(found)]


def runs_table(found: Comparison) -> Table:
    """Every run: quality with its interval, what it retains, latency, size, parameters."""
    tasks = list(dict.fromkeys(task for run in found.runs for task in run.quality))
    tasks.sort(key=lambda task: (task != found.task, task == "agreement", task))
    where = f", {cell_words(found.cell)}" if found.cell else ""
    columns = [
        "Run",
        "Model",
        *(_task_words(found, task) for task in tasks),
        "Retained",
        f"p50\u00a0ms{where}",
        "File MB",
        "Params",
    ]
    rows = []
    for run in found.runs:
        scores = [run.quality.get(task) for task in tasks]
        own = run.quality.get(found.task or "")
        rows.append(
            (
                run.label,
                run.model or ("none" if run.state == "compared" else run.state),
                *(MISSING if score is None else f"{points(score.value)} {interval(score.ci95)}".strip() for score in scores),
                percent(own.retained if own else None),
                _latency(run),
                figure(run.file_mb),
                millions(run.params),
            )
        )
    notes = [f"{run.label}: {run.reason}." for run in found.runs if run.reason]
    notes.insert(0, f"The baseline is {found.baseline}. Quality in points of 100, with its own 95% bootstrap interval.")
    if any(run.latency and run.latency.noisy for run in found.runs):
        notes.append(f"{NOISY} measured while the machine was disturbed.")
    return Table("Runs", tuple(columns), tuple(rows), tuple(notes), marked=found.advice.run, text_columns=2)


def paired_table(found: Comparison) -> Table:
    """Every run against the baseline, set by set, on the same examples."""
    kinds = {task: score.kind for run in found.runs for task, score in run.quality.items()}
    rows = [
        (
            pair.run,
            pair.task,
            metric_words(pair.metric, kinds.get(pair.task, "")),
            MISSING if pair.difference is None else f"{100 * pair.difference:+.2f}",
            _ends(pair.ci95, 100),
            MISSING if pair.p is None else f"{pair.p:.4f}" if pair.p >= 0.001 else "< 0.001",
            whole(pair.n),
            "not compared" if pair.note else _told_apart(pair.p),
        )
        for pair in found.quality
    ]
    columns = ("Run", "Set", "Metric", "Difference", "95% interval", "p", "n", "Finding")
    notes = [
        f"Run minus {found.baseline} in points of 100, on the stored predictions: a paired bootstrap over examples. p is of "
        "each row alone; of twenty rows without any difference one lies below 0.05.",
    ]
    why: dict[str, list[str]] = {}
    for pair in found.quality:
        if pair.note:
            why.setdefault(pair.note, []).append(f"{pair.task} of {pair.run}")
    notes += [f"Not compared, {', '.join(rows)}: {note}." for note, rows in why.items()]
    return Table("Quality against the baseline, paired", columns, tuple(rows), tuple(notes), text_columns=3)


def costs_table(found: Comparison) -> Table:
    """Latency, size and memory as multiples of the baseline's."""
    rows = []
    for row in found.ratios:
        run = found.run(row.run)
        rows.append(
            (
                row.run,
                _times(row.latency) + (f" {NOISY}" if row.noisy else ""),
                _ends(row.ci95, 1, "×"),
                _times(row.size),
                _times(row.memory),
                whole(run.load_ms),
                whole(run.peak_rss_mb),
                duration(run.train_seconds),
            )
        )
    columns = ("Run", "Latency", "95% interval", "File size", "Peak memory", "Load ms", "Peak memory MB", "Training")
    notes = (
        f"As multiples of {found.baseline}; below 1 is faster or smaller. The interval is a bootstrap of blocks of raw samples: "
        "it knows the noise within each measurement, not how the machine changed between them.",
    )
    return Table("Cost against the baseline", columns, tuple(rows), notes)


def candidates_table(found: Comparison) -> Table:
    """Every exported file of every run, and whether it is on the front."""
    rows = [
        (
            one.run,
            one.model,
            f"{points(one.quality)} {interval(one.ci95)}".strip(),
            figure(one.p50_ms),
            _ends(one.p50_ci95, 1),
            figure(one.file_mb),
            "on the front" if one.front else "",
        )
        for one in sorted(found.candidates, key=lambda one: (one.p50_ms is None, one.p50_ms or 0.0, one.name))
    ]
    what = metric_words(found.metric or "quality", found.kind)
    columns = ("Run", "File", f"{what}, {found.task}" if found.task else what, "p50 ms", "95% interval", "File MB", "Front")
    notes = ("On the front: no other file is at least as good and as fast, and better in one of both.",)
    return Table("Every file that met its gate", columns, tuple(rows), notes, text_columns=2)


def recipes_table(found: Comparison) -> Table:
    """What is not the same in the recipes."""
    labels = [run.label for run in found.runs if run.state == "compared"]
    rows = [(row.path, *(_value(row.values.get(label)) for label in labels)) for row in found.differences]
    notes = () if rows else ("The recipes are equal.",)
    return Table("Recipes: what differs", ("Value", *labels), tuple(rows), notes, text_columns=1 + len(labels))


def machines_table(found: Comparison) -> Table:
    """Where each run was measured."""
    rows = [
        (
            run.label,
            _value(run.environment.get("cpu")),
            _value(run.environment.get("cores")),
            _value((run.environment.get("packages") or {}).get("onnxruntime")),
            _value(run.environment.get("load_before")),
            (run.created or MISSING)[:16].replace("T", " "),
        )
        for run in found.runs
        if run.state == "compared"
    ]
    columns = ("Run", "CPU", "Cores", "onnxruntime", "Load before", "Started")
    return Table("Where it was measured", columns, tuple(rows), text_columns=2)


def _task_words(found: Comparison, task: str) -> str:
    score = next(run.quality[task] for run in found.runs if task in run.quality)
    return f"{'Agreement' if task == 'agreement' else task}, {metric_words(score.metric, score.kind)}"


def _latency(run: RunSummary) -> str:
    return MISSING if run.latency is None else figure(run.latency.p50_ms) + (f" {NOISY}" if run.latency.noisy else "")


def _told_apart(p: float | None) -> str:
    return MISSING if p is None else "differs" if p < SURE else "not told apart"


def _times(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2f}×"


def _ends(ends: Interval | None, scale: float, unit: str = "") -> str:
    if ends is None:
        return MISSING
    sign = "+" if scale == 100 else ""
    return f"{scale * ends[0]:{sign}.2f}{unit} to {scale * ends[1]:{sign}.2f}{unit}"


def _value(value: Any) -> str:
    if value is None:
        return MISSING
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
