"""The rules of the headline: which file is best, what it keeps of the teacher, how much smaller and faster it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .schema import Headline, Latency, Model
from .words import LABELLED, public_name, tell

PREFERENCE = ("fast", "searched", "faithful", "portable", "fp32")
CELL = (1, 32, 1)
CELL_WORDS = "batch 1, sequence 32, 1 thread"


def headline(models: Sequence[Model], recipe: Mapping[str, Any]) -> Headline:
    """The headline of a run.

    best is the int8 file if it passed its gate, else the near-lossless ones, else fp32. A number that cannot be
    given is None, and a note says why.

    Args:
        models: every variant; latency is already withheld where parity failed.
        recipe: the resolved recipe; its first evaluation set gives the quality; without one the first that was evaluated.
    """
    by_name = {model.name: model for model in models}
    best = next((by_name[name] for name in PREFERENCE if name in by_name and by_name[name].note is None), None)
    teacher = by_name.get("teacher")
    notes: list[str] = []
    labelled = [task for task in (teacher.quality if teacher else {}) if task != "agreement"]
    task = first_evaluation(recipe) or next(iter(labelled), "agreement")
    metric, kind = _metric(models, task, str(recipe.get("task") or "embedding"))
    if best is None:
        notes.append(tell("no exported file passed its gate, so there is nothing to compare with the teacher"))
        nothing: dict[str, None] = dict.fromkeys(("retained", "smaller", "faster", "best"))
        return Headline(task=task, metric=metric, kind=kind, notes=tuple(notes), **nothing)
    _told_of_several(recipe, teacher, notes)
    return Headline(
        task=task,
        metric=metric,
        kind=kind,
        retained=_retained(best, teacher, task, notes),
        smaller=_smaller(best, teacher, notes),
        faster=_faster(best, teacher, notes),
        best=best.name,
        notes=tuple(notes),
    )


def first_evaluation(recipe: Mapping[str, Any]) -> str | None:
    """Name of the first labelled evaluation set of a resolved recipe."""
    data = recipe.get("data")
    evaluate = data.get("evaluate") if isinstance(data, Mapping) else None
    return next(iter(evaluate), None) if isinstance(evaluate, Mapping) else None


def row_at(model: Model | None, cell: tuple[int, int, int] = CELL) -> Latency | None:
    """The latency row of (batch, sequence, threads), or None."""
    rows = model.latency if model else ()
    return next((row for row in rows if (row.batch, row.sequence, row.threads) == cell), None)


def speedup(model: Model, teacher: Model | None, cell: tuple[int, int, int] = CELL) -> float | None:
    """Teacher p50 / model p50 at one cell of the grid, or None."""
    own, its = row_at(model, cell), row_at(teacher, cell)
    return its.p50_ms / own.p50_ms if own and its and own.p50_ms > 0 else None


def _metric(models: Sequence[Model], task: str, recipe_task: str) -> tuple[str, str]:
    """Metric and kind of a task, as it was measured; what the recipe's task would give where it was not."""
    found = next((model.quality[task] for model in models if task in model.quality), None)
    if found is not None and found.metric:
        return found.metric, found.kind
    if recipe_task in LABELLED:
        return "agreement" if task == "agreement" else LABELLED[recipe_task], recipe_task
    return ("spearman", "agreement") if task == "agreement" else ("spearman_cosine", "sts")


def _retained(best: Model, teacher: Model | None, task: str, notes: list[str]) -> float | None:
    own = best.quality.get(task)
    if own is None or own.value is None:
        notes.append(tell("the quality of '{name}' on {task} was not measured", name=best.name, task=task))
        return None
    if task == "agreement":
        return own.details.get("spearman", own.value)
    its = teacher.quality.get(task) if teacher else None
    if its is None or its.value is None or its.value <= 0:
        notes.append(tell("the teacher has no positive value on {task} to compare with", task=task))
        return None
    return own.value / its.value


def _told_of_several(recipe: Mapping[str, Any], measured: Model | None, notes: list[str]) -> None:
    """What file and speed of several teachers are those of: of all, or in folders of earlier runs of the first alone."""
    teacher = recipe.get("teacher")
    if not isinstance(teacher, Mapping) or not isinstance(others := teacher.get("others"), (list, tuple)) or not others:
        return
    count = len(others) + 1
    if measured is None or measured.file_mb is None:
        return
    if measured.models == count:
        notes.append(
            tell("the teacher is {n} models; parameters, file and speed are those of all, run one after the other", n=count)
        )
        return
    notes.append(
        tell(
            "the teacher is {n} models; file and speed are those of {name} alone, so smaller and faster are told too low",
            n=count,
            name=public_name(str(teacher.get("model"))),
        )
    )


def _smaller(best: Model, teacher: Model | None, notes: list[str]) -> float | None:
    own, its = best.file_mb, teacher.file_mb if teacher else None
    if own and its:
        return its / own
    notes.append(tell("the file size of {name} is unknown", name=tell("the teacher") if own else repr(best.name)))
    return None


def _faster(best: Model, teacher: Model | None, notes: list[str]) -> float | None:
    own, its = row_at(best), row_at(teacher)
    if own is None or its is None:
        missing = f"'{best.name}'" if own is None else tell("the teacher")
        notes.append(tell("{name} was not timed at {cell}", name=missing, cell=tell("batch 1, sequence 32, 1 thread")))
        return None
    if own.noisy or its.noisy:
        notes.append(tell("the speed was measured on a disturbed machine; measure again when it is calm"))
    return speedup(best, teacher)
