"""Losses as TextBrewer 0.2.1 defines them, where that is not as this toolkit does: for `convention: textbrewer`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .gram import nst_pair
from .prediction import IGNORED
from .reduce import masked_mean
from .tokens import fine


def attention_ce(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """TextBrewer's cross-entropy of attention, from probabilities, of which it takes the softmax again.

    Equation: sum over b, h and valid i, j of -softmax_j(t_bhij) log softmax_j(s_bhij), divided by H sum_b n_b. The
    softmaxes run over padded keys too: more padding, another loss. The target is all but uniform.

    Args:
        student: [B, H, L, L] attention probabilities.
        teacher: [B, H, L, L], no gradient is taken.
        mask: [B, L], true or 1 for tokens that count.

    Returns:
        A scalar >= 0; its lowest value is the teacher's entropy, not 0.

    Reference:
        `att_ce_loss`; with the mean over heads first, `att_ce_mean_loss`. `attention_kl` is what it means to be.
    """
    keep = mask.bool()
    ours, theirs = fine(student).log_softmax(-1), fine(teacher.detach()).softmax(-1)
    rows = -(theirs * ours).masked_fill(~keep[:, None, None, :], 0).sum(-1)
    return masked_mean(rows, keep[:, None, :].expand_as(rows))


def nst_by_length(student_a: Tensor, student_b: Tensor, teacher_a: Tensor, teacher_b: Tensor, mask: Tensor) -> Tensor:
    """`nst_pair` divided by the padded length in place of the widths.

    Equation: G_ij = a_i . b_j / L; mean of (G_S - G_T)^2 over the pairs (i, j) of tokens that count. Where the widths
    differ, student and teacher are not of one scale: a student whose states are the teacher's twice over is not at 0.

    Args:
        student_a, student_b: two layers of the student, [B, L, d_S].
        teacher_a, teacher_b: two layers of the teacher, [B, L, d_T].
        mask: [B, L], true or 1 for tokens that count.

    Returns:
        A scalar >= 0.

    Reference:
        `mmd_loss` of release 0.2.1.post1 with a mask, a slip that its sources have mended since.
    """
    scale = [math.sqrt(side.shape[2] / side.shape[1]) for side in (student_a, teacher_a)]
    return nst_pair(student_a * scale[0], student_b * scale[0], teacher_a * scale[1], teacher_b * scale[1], mask)


def probability_shift(teacher: Tensor, labels: Tensor) -> Tensor:
    """The teacher's logits with the highest and the gold label's exchanged.

    Args:
        teacher: [..., C].
        labels: int64 [...], 0 to C - 1; a row of -100 stays as it is.

    Returns:
        [..., C], new.

    Raises:
        ValueError: not one whole-number label a row.

    Reference:
        Wen et al. 2019 (arXiv 1911.07471). TextBrewer changes its input in place, and of tokens that it has already
        chosen by a mask it takes the wrong labels.
    """
    if labels.shape != teacher.shape[:-1] or labels.dtype != torch.long:
        raise ValueError(f"teacher logits have shape {tuple(teacher.shape)}, labels {tuple(labels.shape)} {labels.dtype}")
    highest = teacher.argmax(-1, keepdim=True)
    gold = torch.where(labels[..., None] == IGNORED, highest, labels[..., None])
    shifted = teacher.scatter(-1, highest, teacher.gather(-1, gold))
    return shifted.scatter(-1, gold, teacher.gather(-1, highest))
