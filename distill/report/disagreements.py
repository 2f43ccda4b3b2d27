"""Where student and teacher disagree: the examples they part on most, with what both said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .predictions import Columns, texts_of
from .schema import Disagreements, Example

MOST = 20
LONGEST = 400
"""Characters of a text that are kept."""

Ordered = list[tuple[float, int]]
"""(how far apart, row), without the rows on which both say the same."""


def disagreements(
    task: str, kind: str, teacher: Columns, student: Columns, *, model: str, most: int = MOST
) -> Disagreements | None:
    """The `most` examples on which a model is furthest from its teacher.

    How far apart: the distance in the order of pairs, which is what Spearman's correlation counts (sts, regression); labels,
    tags or answers that differ, the surest ones first; a score that falls (retrieval, translation, answers).

    Args:
        task: its name.
        kind: of task.
        teacher, student: predictions on the same examples.
        model: whose predictions `student` are.
        most: how many are told.

    Returns:
        None where the predictions do not tell.
    """
    apart = APART.get(kind)
    texts = texts_of(kind, student)
    if apart is None or not texts:
        return None
    try:
        ordered = apart(teacher, student)
        ordered.sort(key=lambda pair: (-pair[0], pair[1]))
        examples = tuple(_example(kind, teacher, student, texts[row], row, size) for size, row in ordered[:most])
    except (KeyError, TypeError, ValueError, IndexError):
        return None
    return Disagreements(task=task, kind=kind, model=model, n=len(texts), differing=len(ordered), examples=examples)


def agreement_examples(task: str, student: Columns, *, model: str, most: int = MOST) -> Disagreements | None:
    """The sentences whose vector is furthest from the teacher's, by cosine; nothing is labelled here."""
    cosines, texts = student.get("cosine_to_teacher"), texts_of("agreement", student)
    if not cosines or len(cosines) != len(texts):
        return None
    ordered = sorted((value, row) for row, value in enumerate(cosines) if value is not None and value == value)
    examples = tuple(
        Example(row=row, texts=_cut(texts[row]), teacher="", student=f"{value:.3f}", size=round(1 - value, 6))
        for value, row in ordered[:most]
    )
    differing = sum(value < 0.5 for value, _ in ordered)
    return Disagreements(task=task, kind="agreement", model=model, n=len(texts), differing=differing, examples=examples)


def _moved(column: str) -> Callable[[Columns, Columns], Ordered]:
    """How many places an example moves in the order, as a share of all places."""

    def apart(teacher: Columns, student: Columns) -> Ordered:
        ours, theirs = _places(student[column]), _places(teacher[column])
        n = max(1, len(ours) - 1)
        return [(abs(a - b) / n, row) for row, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b]

    return apart


def _places(values: Sequence[float]) -> list[float]:
    """The place of each value in the order, from 0; ties share the middle of theirs."""
    order = sorted(range(len(values)), key=lambda row: values[row])
    found = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and values[order[end + 1]] == values[order[start]]:
            end += 1
        for place in range(start, end + 1):
            found[order[place]] = (start + end) / 2
        start = end + 1
    return found


def _labels(teacher: Columns, student: Columns) -> Ordered:
    """Different labels, those of which both are sure first."""
    sure = [_confidence(side, len(student["prediction"])) for side in (teacher, student)]
    pairs = zip(teacher["prediction"], student["prediction"], strict=True)
    return [(sure[0][row] * sure[1][row], row) for row, (theirs, ours) in enumerate(pairs) if theirs != ours]


def _confidence(columns: Columns, n: int) -> Sequence[float]:
    return [0.0 if value is None or value != value else value for value in columns.get("confidence", [0.0] * n)]


def _parts(separator: str) -> Callable[[Columns, Columns], Ordered]:
    """Tags or labels that differ, counted: word by word, or as sets."""

    def apart(teacher: Columns, student: Columns) -> Ordered:
        found = []
        for row, (theirs, ours) in enumerate(zip(teacher["prediction"], student["prediction"], strict=True)):
            a, b = (side.split(separator) for side in (theirs, ours))
            count = len(set(a) ^ set(b)) if separator == "|" else sum(x != y for x, y in zip(a, b, strict=False))
            if theirs != ours:
                found.append((float(count), row))
        return found

    return apart


def _fallen(*names: str) -> Callable[[Columns, Columns], Ordered]:
    """A score that is lower than the teacher's; the mean of several."""

    def apart(teacher: Columns, student: Columns) -> Ordered:
        found = []
        for row in range(len(student[names[0]])):
            fall = sum(teacher[name][row] - student[name][row] for name in names) / len(names)
            if fall > 0:
                found.append((fall, row))
        return found

    return apart


def _answers(teacher: Columns, student: Columns) -> Ordered:
    """Different answers, those that lost most first."""
    pairs = zip(teacher["prediction"], student["prediction"], strict=True)
    return [(teacher["score"][row] - student["score"][row], row) for row, (a, b) in enumerate(pairs) if a != b]


APART: dict[str, Callable[[Columns, Columns], Ordered]] = {
    "sts": _moved("cosine"),
    "regression": _moved("prediction"),
    "classification": _labels,
    "transfer": _labels,
    "multilabel": _parts("|"),
    "tokens": _parts(" "),
    "spans": _answers,
    "translation": _fallen("hit_to_translation", "hit_to_source"),
    "retrieval": _fallen("ndcg@10"),
}
SAID = {"sts": "cosine", "retrieval": "ndcg@10", "translation": "nearest_translation"}
"""Kind of task -> the column of what a model says; `prediction` elsewhere."""
GOLD = {"sts": "score", "spans": "answers"}
"""Kind of task -> the column of what is right; `label` elsewhere."""


def _example(kind: str, teacher: Columns, student: Columns, texts: tuple[str, ...], row: int, size: float) -> Example:
    said = SAID.get(kind, "prediction")
    gold = student.get(GOLD.get(kind, "label"))
    right = None if gold is None or kind == "retrieval" else gold[row]
    shown = [
        _tags(texts[0], str(value)) if kind == "tokens" else _plain(value) for value in (teacher[said][row], student[said][row])
    ]
    told = None if right is None else _tags(texts[0], str(right)) if kind == "tokens" else _plain(right)
    return Example(row=row, texts=_cut(texts), teacher=shown[0], student=shown[1], gold=told, size=round(float(size), 6))


def _tags(words: str, tags: str) -> str:
    """The tagged words alone: `Ann/B-PER Smith/I-PER`."""
    pairs = zip(words.split(" "), tags.split(" "), strict=False)
    return _short(" ".join(f"{word}/{tag}" for word, tag in pairs if tag != "O"))


def _plain(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return _short(" | ".join(map(str, value)))
    return f"{value:.3f}" if isinstance(value, float) else "" if value is None else _short(str(value))


def _cut(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_short(text) for text in texts)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
