"""Losses between the relations that student and teacher see inside a batch. No equal widths are needed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .reduce import masked_mean, matched_pair


def _cosines(embeddings: Tensor) -> Tensor:
    """[B, d] -> [B, B] cosine of every pair, in full precision under autocast too: bfloat16 rounds by 0.004 near 1."""
    with torch.autocast(embeddings.device.type, enabled=False):
        unit = F.normalize(embeddings, dim=-1)
        return unit @ unit.T


def _pair_mask(rows: int, mask: Tensor | None, device: torch.device) -> Tensor:
    """[B, B], true above the diagonal where both rows count: each distinct pair once."""
    keep = torch.ones(rows, rows, dtype=torch.bool, device=device).triu(1)
    return keep if mask is None else keep & mask.bool()[:, None] & mask.bool()[None, :]


def similarity_matrix(student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
    """Squared difference of the two in-batch cosine matrices.

    Equation: mean over i < j of (cos(s_i, s_j) - cos(t_i, t_j))^2. The diagonal, always equal, is left out.
    No temperature.

    Args:
        student: [B, d_S].
        teacher: [B, d_T], no gradient is taken.
        mask: [B], true for rows that count.

    Returns:
        A scalar in [0, 4]; 0 where every pair is as similar as the teacher says. 0 with fewer than two rows.

    Raises:
        ValueError: not two matrices of one number of rows.

    Reference:
        Similarity-preserving distillation, Tung and Mori 2019; the second Jasper term (arXiv 2412.19048).
    """
    ours, theirs = matched_pair(student, teacher, mask, same_width=False)
    difference = (_cosines(ours) - _cosines(theirs)).pow(2)
    return masked_mean(difference, _pair_mask(student.shape[0], mask, student.device))


def pair_order(student: Tensor, teacher: Tensor, mask: Tensor | None = None, *, margin: float = 0.015) -> Tensor:
    """Hinge where the student orders two pairs of the batch otherwise than the teacher.

    Equation: with p and q two distinct pairs (i < j) of the batch whose teacher cosines differ,
    mean over (p, q) with t_p > t_q of max(0, margin - (s_p - s_q)). No temperature.
    To keep the cost at the number of pairs P = B (B - 1) / 2 instead of P^2, each pair meets a fixed set of 16
    others: the pairs are compared with themselves rolled by 16 offsets spread over P.

    Args:
        student: [B, d_S].
        teacher: [B, d_T], no gradient is taken.
        mask: [B], true for rows that count.
        margin: by how much the student's cosines must differ.

    Returns:
        A scalar >= 0; 0 where all compared pairs are ordered as the teacher has them, `margin` apart.

    Raises:
        ValueError: not two matrices of one number of rows.

    Reference:
        The third Jasper term (arXiv 2412.19048), which takes every pair of pairs.
    """
    ours, theirs = matched_pair(student, teacher, mask, same_width=False)
    keep = _pair_mask(student.shape[0], mask, student.device)
    s, t = _cosines(ours)[keep], _cosines(theirs)[keep]
    count = s.numel()
    if count < 2:
        return s.sum() * 0
    # Offsets up to count // 2: no unordered pair of pairs is met more than twice.
    steps = min(16, count // 2)
    offsets = [1 + (k * (count // 2)) // steps for k in range(steps)]
    others = torch.stack([torch.roll(torch.arange(count, device=s.device), -offset) for offset in offsets])
    direction = torch.sign(t[None, :] - t[others])
    hinge = F.relu(margin - direction * (s[None, :] - s[others]))
    return masked_mean(hinge, direction != 0)
