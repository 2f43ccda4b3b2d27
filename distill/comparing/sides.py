"""The runs of a comparison, read from their folders: whole, still going, or damaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..errors import DistillError, UserError, shorten
from ..files import expand, read_json
from ..report.model import Report, build_report
from ..report.read import check_run
from ..report.schema import Latency, Model

Cell = tuple[int, int, int]
HARDWARE = ("cpu", "machine", "cores", "cpu_quota", "flags")
"""What must be equal for two timings to be compared."""


@dataclass(frozen=True)
class Side:
    """One run of a comparison.

    Attributes:
        label: short name, unique in the comparison.
        path: the run folder.
        state: `compared`, or why the run is left out.
        reason: the same in words.
        report: None where the run is left out.
        samples: (model, cell) -> milliseconds of every timed run, in order.
    """

    label: str
    path: Path
    state: Literal["compared", "unfinished", "damaged"]
    reason: str | None = None
    report: Report | None = None
    samples: Mapping[tuple[str, Cell], tuple[float, ...]] = field(default_factory=dict)

    def model(self, asked: str | None) -> Model | None:
        """The model that stands for the run: the one asked for, else the best file of its headline."""
        if self.report is None:
            return None
        return self.report.model(asked if asked is not None else self.report.headline.best)

    def hardware(self) -> dict[str, Any]:
        """What decides the timings, of the machine."""
        found = self.report.environment if self.report is not None else {}
        return {name: found.get(name) for name in HARDWARE}


def read_sides(paths: Sequence[Path]) -> list[Side]:
    """Every run, in order.

    Args:
        paths: run folders, at least two, each once.

    Raises:
        UserError: fewer than two, or one of them twice.
        RunError: a folder is not there, or holds no run.
    """
    places = [expand(path).resolve() for path in paths]
    if len(places) < 2:
        raise UserError("a comparison needs two runs or more", got=len(places), hint="distill compare runs/a runs/b")
    if len(set(places)) < len(places):
        twice = next(str(path) for path, place in zip(paths, places, strict=True) if places.count(place) > 1)
        raise UserError("this run is named twice", where=twice)
    for path in paths:
        check_run(expand(path))
    return [_side(label, place) for label, place in zip(labels(places), places, strict=True)]


def labels(places: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart: a folder's name where these differ."""
    for depth in range(1, max(len(place.parts) for place in places) + 1):
        found = ["/".join(place.parts[-depth:]) for place in places]
        if len(set(found)) == len(found):
            return found
    return [str(place) for place in places]


def _side(label: str, place: Path) -> Side:
    try:
        manifest = read_json(place / "manifest.json")
    except DistillError as error:
        return Side(label, place, "damaged", _words(error, place))
    if isinstance(manifest, dict) and manifest.get("finished", "") is None:
        return Side(label, place, "unfinished", _progress(manifest))
    try:
        report = build_report(place)
        return Side(label, place, "compared", None, report, _samples(place / "measure.json"))
    except DistillError as error:
        return Side(label, place, "damaged", _words(error, place))


def _progress(manifest: Mapping[str, Any]) -> str:
    """How far a run has come that has no report yet."""
    stages = manifest.get("stages")
    names = [stage.get("name") for stage in stages if isinstance(stage, dict)] if isinstance(stages, list) else []
    done = ", ".join(str(name) for name in names) or "nothing"
    return f"still going or interrupted, it has no report yet; done so far: {done}"


def _words(error: DistillError, place: Path) -> str:
    """An error on one line, with the file named inside the run folder."""
    where = (error.where or "").replace(f"{place}/", "")
    got = f" ({shorten(error.got, 80)})" if error.got is not None else ""
    return f"{where}: {error.message}{got}" if where else f"{error.message}{got}"


def _samples(path: Path) -> dict[tuple[str, Cell], tuple[float, ...]]:
    """The raw times of measure.json, which is valid otherwise; rows without whole samples have none."""
    found: dict[tuple[str, Cell], tuple[float, ...]] = {}
    for variant in read_json(path)["variants"]:
        for row in variant.get("latency", ()):
            samples = row.get("samples_ms")
            numbers = isinstance(samples, list) and all(type(value) in (int, float) and value > 0 for value in samples)
            if numbers and samples:
                found[variant["name"], (row["batch"], row["sequence"], row["threads"])] = tuple(map(float, samples))
    return found


def row_of(model: Model | None, cell: Cell | None) -> Latency | None:
    """The latency row of a model at a cell, or None."""
    rows = model.latency if model is not None else ()
    return next((row for row in rows if (row.batch, row.sequence, row.threads) == cell), None)
