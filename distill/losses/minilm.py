"""MiniLM's relations: how the last layer's queries, keys and values of one sentence relate to each other.

All targets are [L, L]: student and teacher may differ in width, and in MiniLM v2 in heads. Both must read the same tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .reduce import masked_mean
from .tokens import fine, kl_rows, pair_mask, token_pair


def relation_heads_for(*widths: int) -> list[int]:
    """The numbers of relation heads that divide every width, smallest first.

    Args:
        widths: hidden sizes, heads concatenated.

    Returns:
        The common divisors; 312 and 768 have 1, 2, 3, 4, 6, 8, 12, 24.

    Raises:
        ValueError: no width, or one below 1.
    """
    if not widths or min(widths) < 1:
        raise ValueError(f"widths are positive numbers; got {widths}")
    common = math.gcd(*widths)
    return [heads for heads in range(1, common + 1) if common % heads == 0]


def restricted_kl(student: Tensor, teacher: Tensor, keep: Tensor) -> Tensor:
    """KL(softmax(teacher) || softmax(student)) over the entries of the last axis that `keep` allows.

    Args:
        student: [..., n] scores, float32 or finer.
        teacher: [..., n] scores, without gradient.
        keep: bool, broadcast to [..., n]. What it rules out reaches neither value nor gradient, not even a NaN.

    Returns:
        [...]; 0 in rows where nothing is allowed (they are for the caller's mask to leave out).
    """
    # A finite fill: a row of -inf alone would be NaN.
    scores = (x.masked_fill(~keep, torch.finfo(x.dtype).min) for x in (student, teacher))
    return kl_rows(*scores)


def _relations(states: Tensor, heads: int) -> Tensor:
    """[B, L, d] -> [B, A_r, L, L], scaled dot products before the softmax; in full precision under autocast too."""
    split = states.unflatten(-1, (heads, -1)).transpose(1, 2)
    with torch.autocast(states.device.type, enabled=False):
        return split @ split.transpose(-1, -2) / math.sqrt(split.shape[-1])


def _mean_over_queries(rows: Tensor, mask: Tensor) -> Tensor:
    """Mean of [B, heads, L] over heads and the queries that count."""
    return masked_mean(rows, mask.bool()[:, None, :].expand_as(rows))


def relation_kl(student: Tensor, teacher: Tensor, mask: Tensor, *, relation_heads: int) -> Tensor:
    """Divergence between the self-relations of two sets of token vectors.

    Equation: with x cut into A_r relation heads of d / A_r numbers, R = softmax(x x^T / sqrt(d / A_r)) over the keys that
    count; KL(R_T || R_S), mean over every (sentence, head, query) that counts. No temperature.
    bloomberg/minilmv2.bb takes the mean within each sentence first: there a token of a short sentence weighs more than one
    of a long sentence; on sentences of one length the two are equal.

    Args:
        student: [B, L, d_S] queries, keys or values, heads concatenated.
        teacher: [B, L, d_T], no gradient is taken.
        mask: [B, L], true or 1 for tokens that count, as query and as key.
        relation_heads: A_r; divides d_S and d_T, whatever number of heads the models have.

    Returns:
        A scalar >= 0; 0 where every relation is the teacher's, and with one token a sentence.

    Raises:
        ValueError: another batch or length, or heads that do not divide both widths; the message lists those that do.

    Reference:
        MiniLMv2 (arXiv 2012.15828).
    """
    ours, theirs = token_pair(student, teacher, mask, same_width=False)
    widths = ours.shape[-1], theirs.shape[-1]
    if relation_heads < 1 or any(width % relation_heads for width in widths):
        fitting = ", ".join(map(str, relation_heads_for(*widths)))
        raise ValueError(
            f"relation_heads={relation_heads} does not divide the widths of student {tuple(student.shape)} and teacher "
            f"{tuple(teacher.shape)}; {fitting} would"
        )
    keep = pair_mask(mask)[:, None]
    rows = restricted_kl(_relations(ours, relation_heads), _relations(theirs, relation_heads), keep)
    return _mean_over_queries(rows, mask)


def _joined(states: Tensor) -> Tensor:
    """[B, H, L, d_head] -> [B, L, H d_head]; [B, L, d] as it is."""
    return states.transpose(1, 2).flatten(2) if states.ndim == 4 else states


def minilm_v2(student_qkv: Sequence[Tensor], teacher_qkv: Sequence[Tensor], mask: Tensor, *, relation_heads: int) -> Tensor:
    """Query-query, key-key and value-value relations of the student's last layer and one layer of the teacher.

    Equation: the sum of `relation_kl` over queries, keys and values, weight 1 each. No temperature.

    Args:
        student_qkv: (queries, keys, values), each [B, H, L, d_head] or [B, L, d].
        teacher_qkv: the same of the teacher, with heads and widths of its own; no gradient is taken.
        mask: [B, L], true or 1 for tokens that count.
        relation_heads: must divide all widths; bloomberg/minilmv2.bb has 48 for base teachers, 64 for large ones.

    Returns:
        A scalar >= 0; 0 where all relations are the teacher's.

    Raises:
        ValueError: not three tensors each, or as `relation_kl`.

    Reference:
        MiniLMv2 (arXiv 2012.15828).
    """
    if len(student_qkv) != 3 or len(teacher_qkv) != 3:
        raise ValueError(
            f"queries, keys and values are three tensors; got {len(student_qkv)} of the student and {len(teacher_qkv)} of the "
            "teacher"
        )
    terms = [
        relation_kl(_joined(ours), _joined(theirs), mask, relation_heads=relation_heads)
        for ours, theirs in zip(student_qkv, teacher_qkv, strict=True)
    ]
    return torch.stack(terms).sum()


def minilm_v1(
    student_scores: Tensor, teacher_scores: Tensor, student_values: Tensor, teacher_values: Tensor, mask: Tensor
) -> Tensor:
    """Attention and value relations of the two last layers, head by head.

    Equation: KL(A_T || A_S) + KL(V_T || V_S), A = softmax(scores) and V = softmax(v v^T / sqrt(d_head)) over the keys that
    count; each the mean over every (sentence, head, query) that counts. No temperature.

    Args:
        student_scores: [B, H, L, L], q k^T / sqrt(d_head) before the softmax; -inf where a layer may not look.
        teacher_scores: [B, H, L, L], no gradient is taken.
        student_values: [B, H, L, d_S].
        teacher_values: [B, H, L, d_T], no gradient is taken; d_T may be another than d_S.
        mask: [B, L], true or 1 for tokens that count, as query and as key.

    Returns:
        A scalar >= 0; 0 where both relations are the teacher's.

    Raises:
        ValueError: other shapes, or other numbers of heads (MiniLM v2 needs no equal heads).

    Reference:
        MiniLM (arXiv 2002.10957).
    """
    scores, values = tuple(student_scores.shape), tuple(student_values.shape)
    if student_scores.ndim != 4 or scores[2] != scores[3] or scores != tuple(teacher_scores.shape):
        raise ValueError(
            f"scores are [batch, heads, length, length] of equal heads; got student {scores}, teacher "
            f"{tuple(teacher_scores.shape)}; minilm_v2 needs no equal heads"
        )
    if student_values.ndim != 4 or not values[:3] == tuple(teacher_values.shape[:3]) == scores[:3]:
        raise ValueError(
            f"values are [batch, heads, length, dim] of the scores' {scores}; got student {values}, teacher "
            f"{tuple(teacher_values.shape)}"
        )
    # First, since it refuses a mask of another shape.
    value_relation = relation_kl(_joined(student_values), _joined(teacher_values), mask, relation_heads=scores[1])
    rows = restricted_kl(fine(student_scores), fine(teacher_scores.detach()), pair_mask(mask)[:, None])
    return _mean_over_queries(rows, mask) + value_relation
