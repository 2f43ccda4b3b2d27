"""What runs can be compared by: which of them, on which evaluation set, at which latency, on which hardware."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import RunError, UserError, nearest
from ..report.headline import CELL
from ..report.schema import Model
from .sides import Cell, Side

Models = Mapping[str, Model | None]
"""Label of a run -> the model that stands for it."""


def usable_sides(sides: Sequence[Side], limits: Mapping[str, float]) -> list[Side]:
    """The runs that can be compared; the baseline first."""
    for side in sides:
        if side.report is None and (side is sides[0] or limits):
            what = "the baseline cannot be compared" if side is sides[0] else "this run cannot be judged"
            raise RunError(what, where=side.label, got=side.reason, hint="run its recipe again: what is whole is not done twice")
    usable = [side for side in sides if side.report is not None]
    if len(usable) < 2:
        reasons = "; ".join(f"{side.label}: {side.reason}" for side in sides if side.report is None)
        raise RunError("no run is left to compare with the baseline", where=sides[0].label, got=reasons)
    return usable


def check_models(sides: Sequence[Side], models: Models, asked: str | None) -> None:
    """The baseline has a model, and the model asked for is there."""
    for side in sides:
        if asked is not None and models[side.label] is None:
            names = [model.name for model in side.report.models] if side.report else []
            raise UserError(
                f"this run has no model '{asked}'", where=side.label, got=", ".join(names), hint=nearest(asked, names)
            )
    if models[sides[0].label] is None:
        raise UserError("no exported file of the baseline passed its parity gate", where=sides[0].label, hint="--model student")


def notes_on(sides: Sequence[Side]) -> list[str]:
    """What makes the runs hard to compare."""
    found = []
    teachers = {side.label: side.report.teacher.model or "unknown" for side in sides if side.report}
    if len(set(teachers.values())) > 1:
        told = ", ".join(f"{label}: {name}" for label, name in teachers.items())
        found.append(
            f"The runs have different teachers, so that agreement and retained quality are of different things ({told})."
        )
    tasks = {side.label: side.report.task for side in sides if side.report}
    if len(set(tasks.values())) > 1:
        found.append("The runs are of different tasks: " + ", ".join(f"{label}: {name}" for label, name in tasks.items()) + ".")
    return found


def same_hardware(sides: Sequence[Side], allowed: bool) -> list[str]:
    """Refuse timings of different machines, or note that they are compared; packages may differ and are noted."""
    timed = [side for side in sides if side.report and any(model.latency for model in side.report.models)]
    notes = []
    first = timed[0] if timed else None
    for side in timed[1:]:
        assert first is not None
        ours, theirs = first.hardware(), side.hardware()
        unlike = [name for name in ours if ours[name] != theirs[name]]
        unknown = ours["cpu"] is None or theirs["cpu"] is None
        if not unlike and not unknown:
            continue
        told = ", ".join(f"{name} {_short(ours[name])} and {_short(theirs[name])}" for name in unlike) or "the CPU is not noted"
        if not allowed:
            raise UserError(
                "these runs were timed on different hardware",
                where=f"{first.label}, {side.label}",
                got=told,
                expected="timings of one machine",
                hint="--allow-different-hardware compares them nevertheless, --no-latency leaves timings out",
            )
        notes.append(f"{first.label} and {side.label} were timed on different hardware ({told}): their ratio is no speed-up.")
    versions = {side.label: (side.report.environment.get("packages") or {}).get("onnxruntime") for side in timed if side.report}
    if len(set(versions.values())) > 1:
        told = ", ".join(f"{label} {version or 'unknown'}" for label, version in versions.items())
        notes.append(f"The runs were timed with different versions of onnxruntime: {told}.")
    return notes


def _short(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def in_common(main: Model | None, other: Model | None, task: str) -> bool:
    """Whether two models were judged on one set by one metric."""
    if main is None or other is None or task not in main.quality or task not in other.quality:
        return False
    ours, theirs = main.quality[task], other.quality[task]
    return (ours.metric, ours.kind) == (theirs.metric, theirs.kind)


def choose_task(sides: Sequence[Side], models: Models, asked: str | None, *, needed: bool) -> tuple[str | None, list[str]]:
    """The evaluation set that the comparison speaks of, and what is to be said of the choice."""
    base = sides[0]
    main = models[base.label]
    assert main is not None
    assert base.report is not None
    others = [side for side in sides[1:] if models[side.label] is not None]
    if asked is not None:
        for side in sides:
            model = models[side.label]
            if model is not None and asked not in model.quality:
                names = sorted(model.quality)
                raise UserError(
                    f"this run was not evaluated on '{asked}'",
                    where=side.label,
                    got=", ".join(names) or "no evaluation",
                    hint=nearest(asked, names),
                )
            if not in_common(main, model, asked) and model is not None:
                ours, theirs = main.quality[asked], model.quality[asked]
                raise UserError(
                    f"'{asked}' was judged by different metrics",
                    where=f"{base.label}, {side.label}",
                    got=f"{ours.metric} ({ours.kind}) and {theirs.metric} ({theirs.kind})",
                )
        return asked, []
    head = base.report.headline.task
    order = sorted(main.quality, key=lambda name: (name != head, name == "agreement"))
    found = next((name for name in order if all(in_common(main, models[side.label], name) for side in others)), None)
    if found is None and needed:
        lists = "; ".join(f"{side.label}: {', '.join(sorted(model.quality))}" for side in sides if (model := models[side.label]))
        raise UserError("the runs have no evaluation set and metric in common", where="max_quality_drop", got=lists)
    if found is None:
        return None, ["The runs have no evaluation set and metric in common, so that their quality cannot be compared."]
    told = [f"Quality is that on {found}: not every run was judged on {head} by the same metric."] if found != head else []
    return found, told


def choose_cell(sides: Sequence[Side], models: Models, asked: Cell | None, *, needed: bool) -> tuple[Cell | None, list[str]]:
    """The cell of the measuring grid that the latency is of."""
    timed = {
        side.label: {(row.batch, row.sequence, row.threads) for row in model.latency}
        for side in sides
        if (model := models[side.label]) is not None
    }
    common = sorted(set.intersection(*timed.values())) if timed else []
    if asked is not None and asked not in common:
        label = next(label for label, cells in timed.items() if asked not in cells)
        got = ", ".join("x".join(map(str, cell)) for cell in sorted(timed[label])) or "no timing"
        raise UserError(f"this run was not timed at {'x'.join(map(str, asked))}", where=label, got=got)
    if asked is not None:
        return asked, []
    if not common and needed:
        raise UserError("the runs were not timed at a batch, length and thread count in common", where="max_latency_increase")
    if not common:
        return None, ["The runs were not timed at a batch, length and thread count in common, so that no latency is compared."]
    return (CELL if CELL in common else common[0]), []
