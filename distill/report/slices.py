"""What is kept of the teacher by length, by label and by language: each part of a set judged as the whole is."""

from __future__ import annotations

from collections import Counter

from .predictions import Columns, judged, lengths_of
from .schema import Slice

PARTS = 4
LEAST = 10
"""Examples below which a part gets no number."""
MOST_LABELS = 20
ROUNDS = 500


def slices(task: str, kind: str, teacher: Columns, student: Columns, *, model: str) -> tuple[Slice, ...]:
    """Teacher and student on parts of a set, with the interval of their difference, paired.

    By length: four parts of about equal size, in characters. By label: the right labels, where examples have one each. By
    language: where the predictions name it.

    Args:
        task: its name.
        kind: of task.
        teacher, student: predictions on the same examples.
        model: whose predictions `student` are.
    """
    import numpy as np

    from .resampled import compare

    ours, theirs = judged(kind, student), judged(kind, teacher)
    if ours is None or theirs is None or ours.n != theirs.n or not (ours.defined and theirs.defined):
        return ()
    found = []
    for by, name, rows in _parts(kind, student):
        if len(rows) < LEAST:
            found.append(Slice(task=task, model=model, by=by, name=name, n=len(rows)))
            continue
        place = np.asarray(rows)
        told = compare(ours.statistic(place), theirs.statistic(place), len(rows), rounds=ROUNDS)
        finite = np.isfinite([told.value, told.teacher]).all()
        found.append(
            Slice(
                task=task,
                model=model,
                by=by,
                name=name,
                n=len(rows),
                teacher=told.teacher if finite else None,
                student=told.value if finite else None,
                difference_ci95=told.difference_ci95 if finite else None,
            )
        )
    return tuple(found)


def _parts(kind: str, columns: Columns) -> list[tuple[str, str, list[int]]]:
    """(by, name, rows) of every part."""
    lengths = lengths_of(kind, columns)
    found = [("length", name, rows) for name, rows in _by_length(lengths)]
    if kind in ("classification", "transfer") and "label" in columns:
        found += _by_value("label", columns["label"])
    if "language" in columns:
        found += _by_value("language", columns["language"])
    return found


def _by_value(by: str, values: object) -> list[tuple[str, str, list[int]]]:
    """A part a value, those that occur most first."""
    names = [str(value) for value in values] if isinstance(values, (list, tuple)) else []
    common = [name for name, _ in sorted(Counter(names).items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_LABELS]]
    return [(by, name, [row for row, value in enumerate(names) if value == name]) for name in common] if len(common) > 1 else []


def _by_length(lengths: list[int]) -> list[tuple[str, list[int]]]:
    """Parts of about equal size between lengths that differ: (`12–40`, rows)."""
    ordered = sorted(lengths)
    ends = (
        sorted({ordered[min(len(ordered) - 1, len(ordered) * part // PARTS)] for part in range(1, PARTS + 1)}) if ordered else []
    )
    found, low = [], ordered[0] if ordered else 0
    for end in ends:
        rows = [row for row, length in enumerate(lengths) if low <= length <= end]
        if rows:
            found.append((f"{low:,}–{end:,}" if low < end else f"{end:,}", rows))
        low = end + 1
    return found if len(found) > 1 else []
