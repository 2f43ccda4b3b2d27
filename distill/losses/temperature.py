"""Temperatures of a distillation, row by row: what is easy is softened more, what is hard less.

tau_i = base + beta (mean_j w_j - w_i), where w_i says how hard row i is, the mean taken over rows that count. With a
large beta that falls below zero, which TextBrewer lets pass (the softmax then turns round); here it stops at LOWEST.
Pass the result as `temperature` to soft_cross_entropy, kl_divergence or soft_binary_cross_entropy.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .prediction import logits_pair
from .reduce import batch_mean

LOWEST = 0.1


def constant(student: Tensor, teacher: Tensor, base: float, *, mask: Tensor | None = None) -> Tensor:
    """The same temperature for each row, whatever the logits.

    Equation: tau_i = base.

    Args:
        student: [..., C] logits.
        teacher: [..., C] logits.
        base: the temperature, positive.
        mask: [...], true for rows that count.

    Returns:
        [...], float32 or finer, no gradient.

    Raises:
        ValueError: the shapes differ, or base is not positive.
    """
    _positive(base)
    ours, _ = logits_pair(student.detach(), teacher, mask)
    return ours.new_full(ours.shape[:-1], float(base))


def flsw(
    student: Tensor, teacher: Tensor, base: float, beta: float = 1.0, gamma: float = 1.0, *, mask: Tensor | None = None
) -> Tensor:
    """Focal-loss style weights: a row is hard where the student's logits point elsewhere than the teacher's.

    Equation: w_i = (1 - cos(s_i, t_i))^gamma, tau_i = max(LOWEST, base + beta (mean_j w_j - w_i)).
    The lengths in the cosine have 1e-4 added, as in TextBrewer: logits of zeros have w = 1.

    Args:
        student: [..., C] logits.
        teacher: [..., C] logits; -inf rules a class out.
        base: the temperature around which the others lie, positive.
        beta: how far apart they lie; 0 gives `constant`.
        gamma: how much more hard rows weigh, at least 0.
        mask: [...], true for rows that count; the others get base and are not in the mean.

    Returns:
        [...], float32 or finer, positive, no gradient. Without the clamp its mean is base.

    Raises:
        ValueError: the shapes differ, base is not positive, gamma is negative or beta not finite.

    Reference:
        Dynamic temperature distillation, Wen et al. 2019 (arXiv 1911.07471), as TextBrewer has it. TextBrewer neither
        clamps nor leaves padding out of the mean.
    """
    if not gamma >= 0:
        raise ValueError(f"gamma is {gamma}, expected at least 0")
    ours, theirs = logits_pair(student.detach(), teacher, mask)
    ruled_out = theirs == -torch.inf
    ours, theirs = ours.masked_fill(ruled_out, 0), theirs.masked_fill(ruled_out, 0)
    cosine = (ours * theirs).sum(-1) / ((ours.norm(dim=-1) + 1e-4) * (theirs.norm(dim=-1) + 1e-4))
    return _around(base, beta, (1 - cosine).clamp(min=0).pow(gamma), mask)


def cwsm(student: Tensor, teacher: Tensor, base: float, beta: float = 1.0, *, mask: Tensor | None = None) -> Tensor:
    """Confidence weighted by student max: a row is hard where the student is unsure.

    Equation: w_i = 1 / (max_c softmax(s_i)_c + 1e-3), tau_i = max(LOWEST, base + beta (mean_j w_j - w_i)).

    Args:
        student: [..., C] logits.
        teacher: [..., C] logits, for their shape alone.
        base: the temperature around which the others lie, positive.
        beta: how far apart they lie; 0 gives `constant`.
        mask: [...], true for rows that count; the others get base and are not in the mean.

    Returns:
        [...], float32 or finer, positive, no gradient. Without the clamp its mean is base.

    Raises:
        ValueError: the shapes differ, base is not positive, or beta is not finite.

    Reference:
        Dynamic temperature distillation, Wen et al. 2019 (arXiv 1911.07471), as TextBrewer has it. TextBrewer neither
        clamps nor leaves padding out of the mean.
    """
    ours, _ = logits_pair(student.detach(), teacher, mask)
    return _around(base, beta, 1 / (ours.softmax(-1).amax(-1) + 1e-3), mask)


def _around(base: float, beta: float, hardness: Tensor, mask: Tensor | None) -> Tensor:
    """Temperatures around `base`, lower where it is harder than on average; `base` in rows that do not count."""
    _positive(base)
    if not math.isfinite(beta):
        raise ValueError(f"beta is {beta}, expected a finite number")
    warmth = base + beta * (batch_mean(hardness, mask) - hardness)
    if mask is not None:
        warmth = torch.where(mask.bool(), warmth, base)
    return warmth.clamp(min=min(LOWEST, base))


def _positive(base: float) -> None:
    """Refuses a base temperature that is not positive."""
    if not (math.isfinite(base) and base > 0):
        raise ValueError(f"base temperature is {base}, expected a positive number")
