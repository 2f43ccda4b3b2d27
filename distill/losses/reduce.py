"""The reductions that every loss shares, written once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

import torch
from torch import Tensor

_add: ContextVar[Callable[[Tensor], Tensor] | None] = ContextVar("_add", default=None)


@contextlib.contextmanager
def shared_batch(add: Callable[[Tensor], Tensor] | None) -> Iterator[None]:
    """Inside the block a batch is one that several processes share: each `masked_mean` is this process's part of the mean.

    Its sum is divided by the count over all of them, so that the parts add up to the mean of the whole batch.

    Args:
        add: the sum of a tensor without gradient over the processes; None for a batch that is whole.
    """
    before = _add.set(add)
    try:
        yield
    finally:
        _add.reset(before)


def masked_mean(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean of `values` where `mask` is true; entries outside it never count.

    Args:
        values: any shape.
        mask: bool or 0/1, the shape of `values`; None counts every entry.

    Returns:
        A scalar, float32 or finer: half precision could neither add up nor count the pairs of a large batch. Zero,
        still attached to the graph, where the mask selects nothing. Inside `shared_batch` this process's part of it.

    Raises:
        ValueError: the shapes differ (nothing is broadcast).
    """
    values, add = _fine(values), _add.get()
    if mask is None and add is None:
        return values.mean() if values.numel() else values.sum()
    if mask is None:
        mask = torch.ones_like(values, dtype=torch.bool)
    if mask.shape != values.shape:
        raise ValueError(f"mask has shape {tuple(mask.shape)}, expected {tuple(values.shape)}")
    keep = mask.bool()
    count = keep.sum() if add is None else add(keep.sum())
    return torch.where(keep, values, torch.zeros_like(values)).sum() / count.clamp(min=1)


def batch_mean(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """`masked_mean` of values without gradient, over the whole batch inside `shared_batch` too."""
    mean, add = masked_mean(values.detach(), mask), _add.get()
    return mean if add is None else add(mean)


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
