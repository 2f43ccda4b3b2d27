"""What the losses on tokens share: hidden states that belong together, pairs of tokens, a divergence row by row."""

from __future__ import annotations

import torch
from torch import Tensor

from .reduce import _fine as fine

__all__ = ["fine", "kl_rows", "pair_mask", "refuse_other_width", "token_mask", "token_pair"]


def token_pair(student: Tensor, teacher: Tensor, mask: Tensor | None, *, same_width: bool) -> tuple[Tensor, Tensor]:
    """The two hidden states as every loss on tokens needs them, or a refusal of states that do not belong together.

    Args:
        student: [B, L, d_S].
        teacher: [B, L, d_T].
        mask: [B, L], true for tokens that count, or None for all.
        same_width: whether d_S must equal d_T.

    Returns:
        Both in float32 or finer, the teacher without gradient, padded tokens zero: not even a NaN in one of them
        reaches a loss or a gradient.

    Raises:
        ValueError: not of three axes, another batch or length, another width, or another mask; the message says which.
    """
    ours, theirs = tuple(student.shape), tuple(teacher.shape)
    if student.ndim != 3 or teacher.ndim != 3:
        raise ValueError(f"hidden states are [batch, length, dim]; got student {ours}, teacher {theirs}")
    if ours[:2] != theirs[:2]:
        raise ValueError(f"student {ours} and teacher {theirs} are not of one batch and length: they must read the same tokens")
    if same_width:
        refuse_other_width(student, teacher)
    clean_student, clean_teacher = fine(student), fine(teacher.detach())
    if mask is None:
        return clean_student, clean_teacher
    keep = token_mask(mask, student)
    return clean_student.where(keep, 0), clean_teacher.where(keep, 0)


def token_mask(mask: Tensor, states: Tensor) -> Tensor:
    """A mask [B, L] as bool [B, L, 1]. Raises ValueError where it is none of these states [B, L, d]."""
    if mask.shape != states.shape[:2]:
        raise ValueError(
            f"mask has shape {tuple(mask.shape)}, expected {tuple(states.shape[:2])} for student {tuple(states.shape)}"
        )
    return mask.bool()[:, :, None]


def refuse_other_width(student: Tensor, teacher: Tensor) -> None:
    """Raises ValueError, with the remedy, where the last axes differ."""
    if student.shape[-1] != teacher.shape[-1]:
        raise ValueError(
            f"student is {student.shape[-1]} wide, teacher {teacher.shape[-1]} "
            f"(student {tuple(student.shape)}, teacher {tuple(teacher.shape)}): "
            "map the student up with a learned projection, or use a relation loss, which needs no equal widths"
        )


def pair_mask(mask: Tensor) -> Tensor:
    """Which pairs of tokens count.

    Args:
        mask: [B, L], true or 1 for tokens that count.

    Returns:
        Bool [B, L, L], true where query and key both count; the diagonal is in.

    Raises:
        ValueError: not of two axes.
    """
    if mask.ndim != 2:
        raise ValueError(f"a mask of tokens is [batch, length]; got {tuple(mask.shape)}")
    keep = mask.bool()
    return keep[:, :, None] & keep[:, None, :]


def kl_rows(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(softmax(teacher) || softmax(student)) over the last axis, row by row.

    A score of -inf rules an entry out: where the teacher has it, the entry adds nothing, to value and gradient alike,
    provided that the row has a finite score left.

    Args:
        student: [..., n] scores.
        teacher: [..., n] scores, without gradient.

    Returns:
        [...], >= 0 up to rounding; exactly 0 where the scores are equal.
    """
    ours, theirs = student.log_softmax(-1), teacher.log_softmax(-1)
    return (theirs.exp() * (theirs - ours).masked_fill(theirs == -torch.inf, 0)).sum(-1)
