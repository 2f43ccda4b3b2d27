"""compare_runs(runs) -> Comparison: many runs side by side, from the files that they left."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import UserError
from ..files import expand
from ..report.schema import Model, Quality
from ..report.words import LABELLED
from .advice import advise
from .choices import Models, check_models, choose_cell, choose_task, in_common, notes_on, same_hardware, usable_sides
from .front import on_front
from .rules import Decide, check_drop, latency_rule, quality_rule, read_share
from .schema import Candidate, Comparison, Difference, PairedScore, Ratio, Rule, RunSummary, Score, Timing
from .scores import Scores
from .sides import Cell, Side, read_sides, row_of
from .speed import median_interval, ratio_of_medians

__all__ = ["Comparison", "compare_runs"]

TOLERANCE = 0.01
"""How far below the best quality the advised file may be, in the metric's own unit, where no limit is given."""
LEFT_OUT = ("name", "report", "card")
"""Parts of a recipe that change nothing of what was made."""


def compare_runs(
    runs: Sequence[str | Path],
    *,
    baseline: str | Path | None = None,
    task: str | None = None,
    model: str | None = None,
    cell: Cell | None = None,
    max_quality_drop: float | None = None,
    max_latency_increase: float | str | None = None,
    decide: Decide = "estimate",
    allow_different_hardware: bool = False,
    latency: bool = True,
) -> Comparison:
    """Compare runs by the files in their folders; nothing is computed again.

    A run that is still going or damaged is told and left out, unless it is the baseline or a limit is to be judged.

    Args:
        runs: run folders.
        baseline: the run that the others are compared with; it need not be among `runs`. None: the first.
        task: evaluation set of front, limits and advice. None: that of the baseline's headline, or the first in common.
        model: the model that stands for each run (student, fp32, fast, ...). None: each run's best file.
        cell: batch, sequence and threads of the latency. None: 1, 32, 1, or the first in common.
        max_quality_drop: in the metric's own unit (0.01 is a point of 100): how much worse than the baseline a run may be.
        max_latency_increase: 0.1 or "10%": how much slower.
        decide: the estimate is judged, or the worse bound of its 95% interval.
        allow_different_hardware: compare timings that were taken on different machines.
        latency: False leaves timings out.

    Returns:
        The comparison; `Comparison.passed` tells of the limits, `save(folder)` writes it.

    Raises:
        RunError: a folder holds no run, predictions are missing or damaged, or the baseline cannot be read.
        UserError: the runs cannot be compared as asked: different hardware, no common set, a metric that one lacks.
    """
    limits = _limits(max_quality_drop, max_latency_increase, latency)
    paths = [Path(run) for run in runs]
    if baseline is not None:
        first = expand(baseline).resolve()
        paths = [Path(baseline), *(path for path in paths if expand(path).resolve() != first)]
    sides = read_sides(paths)
    usable = usable_sides(sides, limits)
    models = {side.label: side.model(model) for side in usable}
    check_models(usable, models, model)
    notes = notes_on(usable)
    if latency:
        notes += same_hardware(usable, allow_different_hardware)
    chosen, more = choose_task(usable, models, task, needed="max_quality_drop" in limits)
    place, missing = choose_cell(usable, models, cell, needed="max_latency_increase" in limits) if latency else (None, [])
    base = usable[0]
    main = models[base.label]
    assert main is not None, "a baseline without a model is refused"
    scores = Scores(usable, models)
    quality = tuple(
        scores.compare(side, task_name, base)
        for side in usable[1:]
        for task_name in main.quality
        if in_common(main, models[side.label], task_name)
    )
    ratios = tuple(_ratio(base, side, models, place) for side in usable[1:])
    summaries = tuple(_summary(side, models.get(side.label), place, model) for side in sides)
    candidates = _candidates(usable, models, chosen, place)
    tolerance = limits.get("max_quality_drop", TOLERANCE)
    measured = main.quality.get(chosen) if chosen else None
    return Comparison(
        toolkit=__version__,
        baseline=base.label,
        task=chosen,
        metric=measured.metric if measured else None,
        kind=measured.kind if measured else "",
        cell=place,
        runs=summaries,
        quality=quality,
        ratios=ratios,
        candidates=candidates,
        advice=advise(candidates, tolerance, chosen, measured, scores.between),
        rules=_rules(summaries[1:], quality, ratios, limits, measured, chosen, decide),
        differences=_differences(usable),
        notes=(*notes, *more, *missing, *_disturbed(usable, place)),
    )


def _limits(drop: float | None, increase: float | str | None, latency: bool) -> dict[str, float]:
    """The limits that are asked for, checked."""
    found = {}
    if drop is not None:
        found["max_quality_drop"] = check_drop(drop, "max_quality_drop")
    if increase is not None:
        if not latency:
            raise UserError("a limit on latency needs timings", where="max_latency_increase", hint="leave --no-latency out")
        found["max_latency_increase"] = read_share(increase, "max_latency_increase")
    return found


def _ratio(base: Side, side: Side, models: Models, cell: Cell | None) -> Ratio:
    ours, theirs = models[side.label], models[base.label]
    assert theirs is not None
    row, other = row_of(ours, cell), row_of(theirs, cell)
    found: dict[str, Any] = {"ratio": None, "ci95": None}
    if ours is not None and cell is not None and row is not None and other is not None and other.p50_ms > 0:
        samples = (side.samples.get((ours.name, cell)), base.samples.get((theirs.name, cell)))
        found = {"ratio": row.p50_ms / other.p50_ms, "ci95": None}
        if samples[0] and samples[1]:
            found = ratio_of_medians(samples[0], samples[1])
    return Ratio(
        run=side.label,
        latency=found["ratio"],
        ci95=found["ci95"],
        noisy=bool((row and row.noisy) or (other and other.noisy)),
        size=_share(ours.file_mb if ours else None, theirs.file_mb),
        memory=_share(ours.peak_rss_mb if ours else None, theirs.peak_rss_mb),
    )


def _disturbed(sides: Sequence[Side], cell: Cell | None) -> list[str]:
    """A note where a file was timed on a disturbed machine: front and advice stand on its latency too."""
    rows = [(side.label, row_of(model, cell)) for side in sides for model in (side.report.models if side.report else ())]
    noisy = list(dict.fromkeys(label for label, row in rows if row is not None and row.noisy))
    if not noisy:
        return []
    return [
        f"Timed on a disturbed machine: {', '.join(noisy)}. Measure again when it is calm, before you trust front and advice."
    ]


def _share(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def _summary(side: Side, model: Model | None, cell: Cell | None, asked: str | None) -> RunSummary:
    report = side.report
    if report is None:
        return RunSummary(label=side.label, state=side.state, reason=side.reason)
    reason = "no exported file passed its parity gate" if model is None else model.note
    row = row_of(model, cell)
    failed = model is None or (model.note is not None and asked is not None)
    return RunSummary(
        label=side.label,
        state="compared",
        reason=f"{model.name} {reason}" if model is not None and reason else reason,
        name=report.name,
        created=report.created,
        model=None if failed else model.name if model else None,
        gates_passed=report.passed and bool(report.gates),
        quality={name: _score(found) for name, found in (model.quality if model else {}).items()},
        latency=Timing(p50_ms=row.p50_ms, p90_ms=row.p90_ms, n=row.n, noisy=row.noisy) if row else None,
        load_ms=model.load_ms if model else None,
        peak_rss_mb=model.peak_rss_mb if model else None,
        file_mb=model.file_mb if model else None,
        params=model.params if model else None,
        layers=report.student.layers,
        train_seconds=report.cost.train_seconds,
        total_seconds=report.cost.total_seconds,
        teacher_computed=report.signals.computed,
        environment={name: value for name, value in report.environment.items() if name != "load_after"},
    )


def _score(found: Quality) -> Score:
    kind = found.kind or ("agreement" if found.metric in LABELLED else "")
    return Score(metric=found.metric, kind=kind, value=found.value, ci95=found.ci95, n=found.n, retained=found.retained)


def _candidates(usable: Sequence[Side], models: Models, task: str | None, cell: Cell | None) -> tuple[Candidate, ...]:
    """Every exported file that met its gate, and the model that stands for a run, whatever it is."""
    found = []
    for side in usable:
        chosen = models[side.label]
        for model in side.report.models if side.report else ():
            if (model.role != "export" and model is not chosen) or model.note is not None:
                continue
            quality, row = model.quality.get(task) if task else None, row_of(model, cell)
            samples = side.samples.get((model.name, cell)) if cell else None
            found.append(
                Candidate(
                    name=f"{side.label} {model.name}",
                    run=side.label,
                    model=model.name,
                    quality=quality.value if quality else None,
                    ci95=quality.ci95 if quality else None,
                    p50_ms=row.p50_ms if row else None,
                    p50_ci95=median_interval(samples) if samples and row else None,
                    file_mb=model.file_mb,
                    stands_for_run=model is chosen,
                )
            )
    return tuple(candidate.model_copy(update={"front": on}) for candidate, on in zip(found, on_front(found), strict=True))


def _rules(
    runs: Sequence[RunSummary],
    quality: Sequence[PairedScore],
    ratios: Sequence[Ratio],
    limits: Mapping[str, float],
    measured: Quality | None,
    task: str | None,
    decide: Decide,
) -> tuple[Rule, ...]:
    found = []
    for run in runs:
        if "max_quality_drop" in limits and task is not None and measured is not None:
            pair = next((pair for pair in quality if (pair.run, pair.task) == (run.label, task)), None)
            found.append(quality_rule(run, pair, measured.kind, task, limits["max_quality_drop"], decide))
        if "max_latency_increase" in limits:
            ratio = next((ratio for ratio in ratios if ratio.run == run.label), None)
            found.append(latency_rule(run, ratio, limits["max_latency_increase"], decide))
    return tuple(found)


def _differences(usable: Sequence[Side]) -> tuple[Difference, ...]:
    """Every value of the recipes that is not the same in all runs."""
    recipes = {side.label: side.report.recipe for side in usable if side.report}
    flat = {label: dict(_leaves({k: v for k, v in recipe.items() if k not in LEFT_OUT})) for label, recipe in recipes.items()}
    paths = list(dict.fromkeys(path for values in flat.values() for path in values))
    rows = [Difference(path=path, values={label: values.get(path) for label, values in flat.items()}) for path in paths]
    return tuple(row for row in rows if len({json.dumps(value, sort_keys=True) for value in row.values.values()}) > 1)


def _leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """Dotted paths to the values of a tree; short lists of plain values are one value."""
    if isinstance(value, Mapping) and value:
        return [pair for key, part in value.items() for pair in _leaves(part, f"{path}.{key}" if path else str(key))]
    if isinstance(value, list) and any(isinstance(part, Mapping | list) for part in value):
        return [pair for place, part in enumerate(value) for pair in _leaves(part, f"{path}.{place}")]
    return [(path, value)]
