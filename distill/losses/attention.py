"""Losses between the attention of one student layer and one teacher layer, from raw scores: before the softmax.

transformers returns probabilities. On those the squared error is hundreds of times smaller than on scores, and a
softmax over them is all but uniform: such a term has next to no effect.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .reduce import masked_mean
from .tokens import fine, kl_rows, pair_mask


def _scores(student: Tensor, teacher: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Both in float32 or finer, the teacher without gradient; refused unless head for head and token for token."""
    ours, theirs = tuple(student.shape), tuple(teacher.shape)
    for shape in (ours, theirs):
        if len(shape) != 4 or shape[2] != shape[3]:
            raise ValueError(f"attention scores are [batch, heads, length, length]; got student {ours}, teacher {theirs}")
    if ours[1] != theirs[1]:
        raise ValueError(
            f"student has {ours[1]} heads, teacher {theirs[1]} (student {ours}, teacher {theirs}): head for head they must be "
            "as many; minilm_v2, hidden_mse and hidden_cosine need no equal heads"
        )
    if ours != theirs:
        raise ValueError(f"student {ours} and teacher {theirs} are not of one batch and length: they must read the same tokens")
    if mask is not None and tuple(mask.shape) != (ours[0], ours[2]):
        raise ValueError(f"mask has shape {tuple(mask.shape)}, expected {(ours[0], ours[2])} for student {ours}")
    return fine(student), fine(teacher.detach())


def attention_mse(student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
    """Squared difference of raw attention scores, TinyBERT's attention loss.

    Equation: sum over b, h and i, j in valid tokens of (s_bhij - t_bhij)^2, divided by H sum_b n_b^2, n_b the number of
    valid tokens. Padded keys and padded queries are out of the sum and out of the count. No temperature.

    Args:
        student: [B, H, L, L], scores of query (row) and key (column) scaled by 1 / sqrt(d_head), before the softmax.
            What a mask added for padded tokens does not matter; for two valid tokens (a local attention) it does.
        teacher: [B, H, L, L], no gradient is taken.
        mask: [B, L], true for tokens that count; None counts all.

    Returns:
        A scalar >= 0; 0 where the scores are equal.

    Raises:
        ValueError: not of four axes, another number of heads, batch or length, or another mask.

    Reference:
        TinyBERT (arXiv 1909.10351). Its code sets scores <= -100 to 0, keeps padded queries and divides by H B L^2: more
        padding, less loss. TextBrewer's attention_mse is this one where it is given a mask; without one it sets all
        scores <= -0.001 to 0, and its users pass it probabilities.
    """
    ours, theirs = _scores(student, teacher, mask)
    if mask is None:
        return masked_mean((ours - theirs).square())
    keep = pair_mask(mask)
    return masked_mean((ours - theirs).where(keep[:, None], 0).square().mean(1), keep)


def attention_kl(student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
    """Divergence of the student's attention probabilities from the teacher's, from raw scores.

    Equation: mean over b, h and valid queries i of KL(softmax_j(t_bhij) || softmax_j(s_bhij)), both softmaxes over the
    valid keys j alone. Summed over keys. Blind to a constant added to a row. No temperature.

    Args:
        student: [B, H, L, L], scores of query (row) and key (column) scaled by 1 / sqrt(d_head), before the softmax.
            Between valid tokens -inf rules a key out (a local attention), in both models.
        teacher: [B, H, L, L], no gradient is taken.
        mask: [B, L], true for tokens that count; None counts all.

    Returns:
        A scalar >= 0 up to rounding; 0 where the probabilities are equal.

    Raises:
        ValueError: not of four axes, another number of heads, batch or length, or another mask.

    Reference:
        The attention term of MiniLM (arXiv 2002.10957). TextBrewer's attention_ce is the cross-entropy, larger by the
        teacher's entropy, and takes a softmax of what its users pass: probabilities, so a second one. TinyBERT found the
        scores themselves (`attention_mse`) to serve better.
    """
    ours, theirs = _scores(student, teacher, mask)
    if mask is None:
        return masked_mean(kl_rows(ours, theirs))
    queries, keys = mask.bool()[:, None, :, None], mask.bool()[:, None, None, :]
    ours, theirs = (scores.where(queries & keys, 0).masked_fill(queries & ~keys, -torch.inf) for scores in (ours, theirs))
    return masked_mean(kl_rows(ours, theirs), queries[..., 0].expand(ours.shape[:-1]))
