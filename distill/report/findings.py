"""What the stored predictions tell beyond quality.json: intervals of what is kept, tests, parts of sets, disagreements."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from distill.errors import MissingExtra, RunError

from .disagreements import MOST, agreement_examples, disagreements
from .predictions import TOLERANCE, Columns, judged, read_predictions, same_examples
from .schema import Against, Disagreements, Problem, Slice
from .slices import slices

Stamp = tuple[tuple[str, int, int], ...]
Value = tuple[str, str, str, float | None]
"""Task, its kind, model, and the value in quality.json."""


@dataclass(frozen=True)
class Findings:
    """See the fields of `schema.Report` and `schema.Quality`.

    Attributes:
        kept: (model, task) -> interval of what is retained, and the test against the teacher.
    """

    kept: dict[tuple[str, str], tuple[tuple[float, float] | None, Against]] = field(default_factory=dict)
    slices: tuple[Slice, ...] = ()
    disagreements: tuple[Disagreements, ...] = ()
    problems: tuple[Problem, ...] = ()


def find(run: Path, values: Iterable[Value], model: str | None, examples: int = MOST) -> Findings:
    """Read predictions/ and compare every model with the teacher. Computed once while the files stay as they are.

    Args:
        run: the run folder.
        values: what quality.json says; predictions that give another number are those of another evaluation.
        model: whose disagreements and parts are told; None tells none.
        examples: how many disagreements of each task; 0 keeps every text out of the report.
    """
    folder = Path(run) / "predictions"
    if not folder.is_dir():
        return Findings()
    files = sorted(path for path in folder.glob("*/*.parquet") if path.is_file())
    stamp: Stamp = tuple((str(path), stat.st_mtime_ns, stat.st_size) for path in files for stat in (path.stat(),))
    return _found(folder, stamp, tuple(values), model, examples)


@functools.lru_cache(maxsize=8)
def _found(folder: Path, stamp: Stamp, values: tuple[Value, ...], model: str | None, examples: int) -> Findings:
    found, problems = Findings(), list[Problem]()
    parts: list[Slice] = []
    apart: list[Disagreements] = []
    for task, kind in dict.fromkeys((task, kind) for task, kind, _, _ in values):
        try:
            columns = _columns(folder, task, [name for other, _, name, _ in values if other == task], stamp, problems)
        except MissingExtra as error:
            return Findings(problems=(Problem(file="predictions", what="unreadable", place=error.message),))
        numbers = {name: value for other, _, name, value in values if other == task}
        try:
            found.kept.update(_kept(task, kind, columns, numbers))
            told = _told(task, kind, columns, model, examples)
        except (KeyError, TypeError, ValueError, AttributeError):  # columns of the right names that hold something else
            problems.append(Problem(file=f"predictions/{task}", what="damaged"))
            continue
        parts += told[0]
        apart += told[1]
    return Findings(found.kept, tuple(parts), tuple(apart), tuple(problems))


def _columns(folder: Path, task: str, names: list[str], stamp: Stamp, problems: list[Problem]) -> dict[str, Columns]:
    """Model -> its predictions on a task, those that are there; agreement has none of an embedding teacher."""
    there, found = {path for path, _, _ in stamp}, {}
    for name in dict.fromkeys(["teacher", *names]):
        path = folder / task / f"{name}.parquet"
        if str(path) not in there:
            continue
        try:
            found[name] = read_predictions(path)
        except RunError:
            problems.append(Problem(file=f"predictions/{task}", what="damaged", place=path.name))
    return found


def _kept(
    task: str, kind: str, columns: dict[str, Columns], numbers: dict[str, float | None]
) -> dict[tuple[str, str], tuple[tuple[float, float] | None, Against]]:
    """Every model against the teacher; none of a set that is relative to the teacher already."""
    if task == "agreement" or "teacher" not in columns:
        return {}
    from .resampled import compare, once

    teacher, found = judged(kind, columns["teacher"]), {}
    for name, own in columns.items():
        ours = judged(kind, own)
        if name == "teacher" or teacher is None or ours is None or not same_examples(kind, own, columns["teacher"]):
            continue
        pair = {name: ours.statistic(), "teacher": teacher.statistic()}
        if any(not _same(once(statistic, ours.n), numbers.get(who)) for who, statistic in pair.items()):
            continue
        told = compare(pair[name], pair["teacher"], ours.n)
        if told.difference_ci95 is not None and told.p is not None:
            against = Against(difference=told.difference, ci95=told.difference_ci95, p=told.p)
            found[name, task] = (told.retained_ci95, against)
    return found


def _same(computed: float, noted: float | None) -> bool:
    return noted is not None and abs(computed - noted) <= TOLERANCE


def _told(
    task: str, kind: str, columns: dict[str, Columns], model: str | None, examples: int
) -> tuple[tuple[Slice, ...], list[Disagreements]]:
    """Parts and worst examples of one task, for one model."""
    if model is None or model not in columns:
        return (), []
    student, teacher = columns[model], columns.get("teacher")
    if teacher is None:
        found = agreement_examples(task, student, model=model, most=examples)
        return (), [found] if found and examples else []
    if not same_examples(kind, student, teacher):
        return (), []
    apart = disagreements(task, kind, teacher, student, model=model, most=examples) if examples else None
    parts = slices(task, kind, teacher, student, model=model) if task != "agreement" else ()
    return parts, [apart] if apart else []
