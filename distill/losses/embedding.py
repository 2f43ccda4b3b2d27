"""Losses between one student embedding and the teacher's embedding of the same sentence.

Embeddings of a normalised teacher have length 1, so their squared distance is 2 (1 - cos): averaged over d
dimensions, as is often done, that is d/2 times smaller than the cosine loss and trains next to nothing. Here the
squared distance is summed over dimensions.
"""

from __future__ import annotations

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
