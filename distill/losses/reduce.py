"""The reductions that every loss shares, written once."""

from __future__ import annotations

import torch
from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean of `values` where `mask` is true; entries outside it never count.

    Args:
        values: any shape.
        mask: bool or 0/1, the shape of `values`; None counts every entry.

    Returns:
        A scalar, float32 or finer: half precision could neither add up nor count the pairs of a large batch. Zero,
        still attached to the graph, where the mask selects nothing.

    Raises:
        ValueError: the shapes differ (nothing is broadcast).
    """
    values = _fine(values)
    if mask is None:
        return values.mean() if values.numel() else values.sum()
    if mask.shape != values.shape:
        raise ValueError(f"mask has shape {tuple(mask.shape)}, expected {tuple(values.shape)}")
    keep = mask.bool()
    return torch.where(keep, values, torch.zeros_like(values)).sum() / keep.sum().clamp(min=1)


def matched_pair(student: Tensor, teacher: Tensor, mask: Tensor | None, *, same_width: bool) -> tuple[Tensor, Tensor]:
    """The two embeddings as every loss needs them, or a refusal of embeddings that do not belong together.

    Args:
        student: [B, d_S].
        teacher: [B, d_T].
        mask: [B], true for rows that count, or None.
        same_width: whether d_S must equal d_T.

    Returns:
        Both in float32 or finer, the teacher without gradient, masked rows zero: not even a NaN in one of them
        reaches a loss or a gradient.

    Raises:
        ValueError: not two matrices, another number of rows, another width, or another mask; the message says which.
    """
    if student.ndim != 2 or teacher.ndim != 2:
        raise ValueError(f"embeddings are [batch, dim]; got student {tuple(student.shape)}, teacher {tuple(teacher.shape)}")
    if student.shape[0] != teacher.shape[0]:
        raise ValueError(f"student has {student.shape[0]} rows, teacher {teacher.shape[0]}: one row a sentence in both")
    if same_width and student.shape[1] != teacher.shape[1]:
        raise ValueError(
            f"student is {student.shape[1]} wide, teacher {teacher.shape[1]}: map the student up with a bridge, "
            "or use a relational loss (similarity_matrix, pair_order), which needs no equal widths"
        )
    ours, theirs = _fine(student), _fine(teacher.detach())
    if mask is None:
        return ours, theirs
    if mask.shape != student.shape[:1]:
        raise ValueError(f"mask has shape {tuple(mask.shape)}, expected ({student.shape[0]},)")
    keep = mask.bool()[:, None]
    return ours.where(keep, 0), theirs.where(keep, 0)


def _fine(values: Tensor) -> Tensor:
    """In float32, or as they are if finer."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
