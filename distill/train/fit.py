"""Do two encoders fit the losses between their inner states? Asked before the first step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from teachers.capture import EncoderShape

from ..errors import UserError
from ..losses.minilm import relation_heads_for
from ..recipe import LossSpec
from ..recipe_losses import INNER, Projected
from .layer_map import LayerPairs

SAME_HEADS = frozenset({"attention_mse", "attention_kl", "minilm_v1"})
SAME_WIDTH = frozenset({"fsp"})
TWO_LAYERS = frozenset({"ckd_layer", "fsp"})
MOST_RELATION_HEADS = 48
"""What MiniLM v2 splits a base-sized teacher into."""


def check_fit(losses: Sequence[LossSpec], teacher: EncoderShape, student: EncoderShape, pairs: LayerPairs, *, where: str) -> None:
    """Refuse a loss that the two encoders cannot have.

    Args:
        losses: of a stage; those on outputs are passed over.
        teacher, student: the encoders' sizes.
        pairs: the layers that are matched.
        where: recipe path of the stage, for errors.

    Raises:
        UserError: head counts or widths that a loss needs equal are not, or relation heads that do not divide both
            widths; the losses that would fit are named.
    """
    for loss in losses:
        if loss.name not in INNER:
            continue
        problem = _problem(loss, teacher, student, pairs)
        if problem:
            fitting = ", ".join(name for name in sorted(INNER) if fits(name, teacher, student, pairs))
            raise UserError(
                f"the loss {loss.name} does not fit these two models: {problem}", where=where, hint=f"losses that fit: {fitting}"
            )


def fits(name: str, teacher: EncoderShape, student: EncoderShape, pairs: LayerPairs) -> bool:
    """Whether a loss with its default settings fits two encoders and the layers that are matched."""
    if name in TWO_LAYERS and len(pairs) < 2:
        return False
    if name in SAME_HEADS:
        return teacher.heads == student.heads
    return name not in SAME_WIDTH or teacher.hidden == student.hidden


def relation_heads(asked: int | None, teacher: EncoderShape, student: EncoderShape) -> int:
    """The relation heads of MiniLM v2: as asked, or the most up to 48 that divide both widths."""
    if asked is not None:
        return asked
    return max(heads for heads in relation_heads_for(teacher.hidden, student.hidden) if heads <= MOST_RELATION_HEADS)


def _problem(loss: LossSpec, teacher: EncoderShape, student: EncoderShape, pairs: LayerPairs) -> str | None:
    """What is wrong with a loss on these encoders, in words."""
    checks: list[Callable[[], str | None]] = [
        lambda: _heads(loss, teacher, student),
        lambda: _widths(loss, teacher, student),
        lambda: _layers(loss, teacher, pairs),
    ]
    return next((found for check in checks if (found := check())), None)


def _heads(loss: LossSpec, teacher: EncoderShape, student: EncoderShape) -> str | None:
    if loss.name in SAME_HEADS and teacher.heads != student.heads:
        return f"the teacher has {teacher.heads} attention heads, the student {student.heads}"
    if loss.name == "minilm_v2" and loss.relation_heads is not None:
        possible = relation_heads_for(teacher.hidden, student.hidden)
        if loss.relation_heads not in possible:
            widths = f"the widths {teacher.hidden} and {student.hidden}"
            return f"{loss.relation_heads} relation heads do not divide {widths}; possible are {', '.join(map(str, possible))}"
    return None


def _widths(loss: LossSpec, teacher: EncoderShape, student: EncoderShape) -> str | None:
    unlike = teacher.hidden != student.hidden
    widths = f"the teacher is {teacher.hidden} wide, the student {student.hidden}"
    if unlike and loss.name in SAME_WIDTH:
        return widths
    if unlike and isinstance(loss, Projected) and loss.projection == "none":
        return f"{widths}, and there is no projection (projection: auto makes one)"
    return None


def _layers(loss: LossSpec, teacher: EncoderShape, pairs: LayerPairs) -> str | None:
    if loss.name == "minilm_v2" and loss.teacher_layer is not None and loss.teacher_layer >= teacher.layers:
        return f"teacher_layer {loss.teacher_layer} is not there: the teacher has layers 0 to {teacher.layers - 1}"
    if loss.name in TWO_LAYERS and len(pairs) < 2:
        return "it needs two matched layers or more, and the layer map has one"
    return None
