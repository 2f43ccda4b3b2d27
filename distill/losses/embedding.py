"""Losses between one student embedding and the teacher's embedding of the same sentence.

Embeddings of a normalised teacher have length 1, so their squared distance is 2 (1 - cos): averaged over d
dimensions, as is often done, that is d/2 times smaller than the cosine loss and trains next to nothing. Here the
squared distance is summed over dimensions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .reduce import masked_mean, matched_pair


def embedding_cosine(student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
    """Cosine distance to the teacher.

    Equation: mean_i (1 - cos(s_i, t_i)). Blind to length. No temperature.

    Args:
        student: [B, d].
        teacher: [B, d], no gradient is taken.
        mask: [B], true for rows that count.

    Returns:
        A scalar in [0, 2]; 0 where each student row points the way of its teacher row.

    Raises:
        ValueError: the shapes differ.

    Reference:
        The cosine term of DistilBERT (arXiv 1910.01108), on sentence embeddings instead of hidden states.
    """
    ours, theirs = matched_pair(student, teacher, mask, same_width=True)
    return masked_mean(1 - F.cosine_similarity(ours, theirs, dim=-1), mask)


def embedding_mse(student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
    """Squared Euclidean distance to the teacher.

    Equation: mean_i sum_d (s_id - t_id)^2. Summed over dimensions, not averaged. No temperature.

    Args:
        student: [B, d]; normalised if the teacher is.
        teacher: [B, d], no gradient is taken.
        mask: [B], true for rows that count.

    Returns:
        A scalar >= 0; 0 where student = teacher.

    Raises:
        ValueError: the shapes differ.

    Reference:
        Reimers and Gurevych 2020 (arXiv 2004.09813), up to the sum over dimensions.
    """
    ours, theirs = matched_pair(student, teacher, mask, same_width=True)
    return masked_mean((ours - theirs).pow(2).sum(-1), mask)


def embedding_contrastive(student: Tensor, teacher: Tensor, mask: Tensor | None = None, *, temperature: float = 0.05) -> Tensor:
    """Each student row finds its own teacher row among those of the batch.

    Equation: mean_i -log( exp(cos(s_i, t_i) / tau) / sum_j exp(cos(s_i, t_j) / tau) ), j over i itself and the rows whose
    teacher vector is another one: a sentence that is in the batch twice is no negative of itself. tau is no
    distillation temperature: there is no factor of its square.

    Args:
        student: [B, d].
        teacher: [B, d], no gradient is taken.
        mask: [B], true for rows that count, as anchors and as negatives.
        temperature: tau > 0.

    Returns:
        A scalar >= 0.

    Raises:
        ValueError: the shapes differ, or the temperature is not positive.

    Reference:
        DistilCSE (arXiv 2112.05638), with the batch alone as memory bank.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    ours, theirs = matched_pair(student, teacher, mask, same_width=True)
    ours, theirs = F.normalize(ours, dim=-1), F.normalize(theirs, dim=-1)
    with torch.autocast(ours.device.type, enabled=False):  # bfloat16 would tell a row from its own copy
        scores = ours @ theirs.T / temperature
        twins = theirs @ theirs.T > 1 - 1e-6
    left_out = twins if mask is None else twins | ~mask.bool()[None, :]
    itself = torch.eye(len(ours), dtype=torch.bool, device=ours.device)
    scores = scores.masked_fill(left_out & ~itself, float("-inf"))
    own = scores.diagonal()
    per_row = torch.logsumexp(scores, dim=1) - own
    return masked_mean(per_row, mask)
