"""Losses between the hidden states of one student layer and one teacher layer, of equal widths.

A narrower student first passes a learned projection, which belongs to the training, not to the loss. Hidden states
"0", the embedding output, are hidden states like the others: TinyBERT's embedding loss is hidden_mse of them.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from .reduce import masked_mean
from .tokens import refuse_other_width, token_mask, token_pair


def hidden_mse(student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
    """Squared difference of hidden states, TinyBERT's hidden and embedding loss.

    Equation: mean over valid tokens and dimensions of (s - t)^2. No temperature.

    Args:
        student: [B, L, d], projected to the teacher's width where it is narrower.
        teacher: [B, L, d], no gradient is taken.
        mask: [B, L], true for tokens that count; None counts all.

    Returns:
        A scalar >= 0; 0 where student = teacher.

    Raises:
        ValueError: another batch, length, width or mask.

    Reference:
        TinyBERT (arXiv 1909.10351). Its code averages over padding too. TextBrewer's hidden_mse is this one, but NaN
        where the mask selects nothing.
    """
    ours, theirs = token_pair(student, teacher, None, same_width=True)
    difference = ours - theirs
    if mask is not None:
        difference = difference.where(token_mask(mask, ours), 0)
    return masked_mean(difference.square().mean(-1), mask)


def hidden_cosine(student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
    """Cosine distance of hidden states, token by token.

    Equation: mean over valid tokens of 1 - cos(s, t). Blind to length. No temperature.

    Args:
        student: [B, L, d], projected to the teacher's width where it is narrower.
        teacher: [B, L, d], no gradient is taken.
        mask: [B, L], true for tokens that count; None counts all.

    Returns:
        A scalar in [0, 2]; 0 where each token points the way of the teacher's.

    Raises:
        ValueError: another batch, length, width or mask.

    Reference:
        DistilBERT (arXiv 1910.01108), on the last layer. TextBrewer's cos is this one; TinyBERT has none.
    """
    ours, theirs = token_pair(student, teacher, mask, same_width=True)
    return masked_mean(1 - F.cosine_similarity(ours, theirs, dim=-1), mask)


def pkd(student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
    """Patient distillation: squared distance of the first token's hidden states, each scaled to length 1.

    Equation: mean_b |s_b / |s_b| - t_b / |t_b||^2, s_b and t_b at position 0. Summed over dimensions: it is
    2 (1 - cos). Layers are added up by the caller. No temperature.

    Args:
        student: [B, L, d], or [B, d] where the position is already chosen; projected to the teacher's width where it is
            narrower.
        teacher: of the same shape, no gradient is taken.
        mask: [B, L], or [B] for [B, d], true for tokens that count. A text whose position 0 is padding does not count:
            padding belongs on the right.

    Returns:
        A scalar in [0, 4]; 0 where each first token points the way of the teacher's.

    Raises:
        ValueError: another batch, length, width or mask, or no position 0.

    Reference:
        Sun et al. 2019 (arXiv 1908.09355). Their code averages over dimensions: d times smaller, hence weights up to
        1,000. TextBrewer's pkd is this one, but looks at no mask; TinyBERT has none.
    """
    ours, theirs = tuple(student.shape), tuple(teacher.shape)
    if student.ndim not in (2, 3) or teacher.ndim != student.ndim:
        raise ValueError(f"pkd takes [batch, length, dim] or [batch, dim] twice; got student {ours}, teacher {theirs}")
    if ours[:-1] != theirs[:-1] or (student.ndim == 3 and ours[1] == 0):
        raise ValueError(f"student {ours} and teacher {theirs} are not of one batch and length, with a position 0")
    refuse_other_width(student, teacher)
    if mask is not None and tuple(mask.shape) != ours[:-1]:
        raise ValueError(f"mask has shape {tuple(mask.shape)}, expected {ours[:-1]} for student {ours}")
    first = slice(0, 1) if student.ndim == 3 else None
    counts = None if mask is None else mask[:, first]
    s, t = token_pair(student[:, first], teacher[:, first], counts, same_width=True)
    return masked_mean((F.normalize(s, dim=-1) - F.normalize(t, dim=-1)).square().sum(-1), counts)
