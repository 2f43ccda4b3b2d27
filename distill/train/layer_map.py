"""Which teacher layer each student layer learns from. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence

from students.spec import StudentSpec

from ..errors import UserError

LayerPairs = tuple[tuple[int, int], ...]
"""(teacher layer, student layer), 0-based, in the order of the student's layers."""


def resolve_layer_map(
    kind: str | Sequence[Sequence[int]] | None,
    teacher: int,
    student: int,
    *,
    kept: Sequence[int] | None = None,
    where: str = "layer_map",
) -> LayerPairs:
    """The pairs of layers that a recipe's `layer_map` means for two models.

    With N teacher layers and M student layers, counted from 1:

    - `kept` (and None, for a student that was cut from its teacher): each student layer learns from the one it was copied from,
      so that inner losses start small and say what the missing layers did.
    - `uniform` (and None, for other students): student m learns from teacher m N / M, rounded (TinyBERT's g(m) = k m where M
      divides N), so that the last layer of each block teaches and the last student layer learns from the last.
    - `top`, `bottom`: the last or first M teacher layers, one by one.
    - `skip`: as uniform, without the last student layer, whose states the predictions train (PKD).
    - `last`: the two last layers alone.

    Args:
        kind: one of these, or pairs of 0-based numbers [teacher, student].
        teacher, student: layers of each.
        kept: the teacher's layers that the student was cut from, 0-based; None for a student that was not.
        where: recipe path for errors.

    Raises:
        UserError: a number outside a model, a student layer named twice, a student deeper than its teacher, or `kept` for a
            student that was not cut from its teacher.
    """
    if kind == "kept" or (kind is None and kept is not None):
        if kept is None:
            raise UserError(
                "no layer of this student was copied from its teacher",
                where=where,
                got="kept",
                expected="a student of kind layers that starts from its teacher",
                hint="take uniform",
            )
        return tuple((theirs, ours) for ours, theirs in enumerate(kept))
    if kind is not None and not isinstance(kind, str):
        return _explicit(kind, teacher, student, where)
    if kind == "last":
        return ((teacher - 1, student - 1),)
    if student > teacher:
        raise UserError(
            "a student with more layers than its teacher has none to learn from for each of them",
            where=where,
            got=f"student {student} layers, teacher {teacher}",
            expected="at most as many student layers, or pairs such as [[0, 0], [1, 3]]",
        )
    if kind == "top":
        return tuple((teacher - student + layer, layer) for layer in range(student))
    if kind == "bottom":
        return tuple((layer, layer) for layer in range(student))
    uniform = tuple((int(teacher * (layer + 1) / student + 0.5) - 1, layer) for layer in range(student))
    if kind == "skip":
        if student < 2:
            raise UserError("with one layer nothing is left of this map", where=where, got="skip", expected="uniform or last")
        return uniform[:-1]
    return uniform


def kept_layers(student: StudentSpec, layers: Sequence[int]) -> list[int] | None:
    """The teacher's layers that a student was cut from, 0-based; None for one that was made otherwise or of another model.

    Args:
        student: of the recipe.
        layers: that were kept of the model it started from.
    """
    return list(layers) if student.kind == "layers" and student.start == "teacher" else None


def _explicit(pairs: Sequence[Sequence[int]], teacher: int, student: int, where: str) -> LayerPairs:
    """Pairs as the recipe gives them, checked against both models, in the order of the student's layers."""
    for theirs, ours in pairs:
        if not 0 <= theirs < teacher or not 0 <= ours < student:
            raise UserError(
                "this pair names a layer that is not there",
                where=where,
                got=[theirs, ours],
                expected=f"[teacher, student] with teacher 0 to {teacher - 1} and student 0 to {student - 1}",
                hint="count layers from 0, or leave layer_map out: it is kept for a student cut from its teacher, else uniform",
            )
    learners = [ours for _, ours in pairs]
    if len(set(learners)) < len(learners):
        raise UserError("a student layer is named twice", where=where, got=[list(pair) for pair in pairs])
    return tuple(sorted(((theirs, ours) for theirs, ours in pairs), key=lambda pair: pair[1]))


def in_words(pairs: LayerPairs, teacher: int, student: int) -> str:
    """The map as a person reads it, layers counted from 1."""
    told = ", ".join(f"{ours + 1} from {theirs + 1}" for theirs, ours in pairs)
    return f"student layers (of {student}) learn from teacher layers (of {teacher}): {told}"
