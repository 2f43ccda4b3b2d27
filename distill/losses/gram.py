"""Gram matrices of hidden states: token by token (NST), and dimension by dimension between two layers (FSP).

Unlike the cosine relations these see length as well as direction.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .reduce import masked_mean
from .tokens import pair_mask, token_pair


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Matrix product, in full precision under autocast too."""
    with torch.autocast(left.device.type, enabled=False):
        return left @ right


def _one_token_axis(student_a: Tensor, student_b: Tensor) -> None:
    """Refuse two layers of the student that do not hold the same tokens."""
    if student_a.shape[:2] != student_b.shape[:2]:
        raise ValueError(
            f"two layers of one batch and length are needed; got students {tuple(student_a.shape)} and {tuple(student_b.shape)}"
        )


def nst(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Squared difference of the token-by-token Gram matrices of one layer.

    Equation: G_ij = s_i . s_j / d; mean of (G_S - G_T)^2 over the pairs (i, j) of tokens that count, i = j included.
    Divided by the width, so d_S and d_T may differ. No temperature.

    Args:
        student: [B, L, d_S].
        teacher: [B, L, d_T], no gradient is taken.
        mask: [B, L], true or 1 for tokens that count.

    Returns:
        A scalar >= 0; 0 where the two Gram matrices are equal.

    Raises:
        ValueError: another batch, length or mask.

    Reference:
        Neuron selectivity transfer with a linear kernel (arXiv 1707.01219), as TextBrewer's `nst` (also called `mmd`) has
        it. TextBrewer 0.2.1 divides by the length instead of the width where it is given a mask.
    """
    return nst_pair(student, student, teacher, teacher, mask)


def nst_pair(student_a: Tensor, student_b: Tensor, teacher_a: Tensor, teacher_b: Tensor, mask: Tensor) -> Tensor:
    """Squared difference of the token-by-token Gram matrices between two layers.

    Equation: G_ij = a_i . b_j / d; mean of (G_S - G_T)^2 over the pairs (i, j) of tokens that count. No temperature.

    Args:
        student_a: [B, L, d_S], one layer.
        student_b: [B, L, d_S], another, or the same.
        teacher_a: [B, L, d_T], no gradient is taken.
        teacher_b: [B, L, d_T], no gradient is taken.
        mask: [B, L], true or 1 for tokens that count.

    Returns:
        A scalar >= 0; 0 where the two Gram matrices are equal.

    Raises:
        ValueError: another batch, length or mask, or layers of one model that differ in width.

    Reference:
        As `nst`.
    """
    for name, a, b in (("students", student_a, student_b), ("teachers", teacher_a, teacher_b)):
        if a.shape[-1] != b.shape[-1]:
            raise ValueError(f"two layers of one width are needed; got {name} {tuple(a.shape)} and {tuple(b.shape)}")
    _one_token_axis(student_a, student_b)
    ours_a, theirs_a = token_pair(student_a, teacher_a, mask, same_width=False)
    ours_b, theirs_b = token_pair(student_b, teacher_b, mask, same_width=False)
    ours = _product(ours_a, ours_b.transpose(1, 2)) / ours_a.shape[-1]
    theirs = _product(theirs_a, theirs_b.transpose(1, 2)) / theirs_a.shape[-1]
    return masked_mean((ours - theirs).pow(2), pair_mask(mask))


def fsp(student_a: Tensor, student_b: Tensor, teacher_a: Tensor, teacher_b: Tensor, mask: Tensor) -> Tensor:
    """Squared difference of the flow from one layer to another, dimension by dimension.

    Equation: F = sum over the n tokens that count of a_i b_i^T / n, [d_a, d_b] for each sentence; mean of (F_S - F_T)^2
    over all entries and over the sentences with a token that counts. No temperature. Cost: B d_a d_b numbers.

    Args:
        student_a: [B, L, d_a], where the flow starts; projected up to the teacher if need be.
        student_b: [B, L, d_b], where it ends.
        teacher_a: [B, L, d_a], no gradient is taken.
        teacher_b: [B, L, d_b], no gradient is taken.
        mask: [B, L], true or 1 for tokens that count.

    Returns:
        A scalar >= 0; 0 where the two flows are equal.

    Raises:
        ValueError: another batch, length, width or mask.

    Reference:
        Flow of solution procedure, Yim et al. 2017 ("A Gift from Knowledge Distillation", CVPR), as TextBrewer's `fsp`
        (also called `gram`) has it.
    """
    _one_token_axis(student_a, student_b)
    ours_a, theirs_a = token_pair(student_a, teacher_a, mask, same_width=True)
    ours_b, theirs_b = token_pair(student_b, teacher_b, mask, same_width=True)
    count = mask.bool().sum(-1)
    per_token = count.clamp(min=1)[:, None, None]
    ours = _product(ours_a.transpose(1, 2), ours_b) / per_token
    theirs = _product(theirs_a.transpose(1, 2), theirs_b) / per_token
    difference = (ours - theirs).pow(2)
    return masked_mean(difference, (count > 0)[:, None, None].expand_as(difference))
