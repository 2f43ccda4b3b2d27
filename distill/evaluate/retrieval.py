"""Retrieval with judged relevance: does each query find its documents, and how far up?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import UserError
from .bootstrap import ROUNDS, percentile_interval
from .resample import resampled_sums

DIGITS = 9
"""Cosines that agree to so many decimals are ties: the order of a sum must not decide who comes first."""
FAR = 100
"""The second depth of recall."""
_BLOCK = 64


def evaluate_retrieval(
    queries: np.ndarray,
    documents: np.ndarray,
    relevance: Mapping[int, Mapping[int, float]],
    *,
    k: int = 10,
    owners: np.ndarray | None = None,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> dict[str, Any]:
    """nDCG, MRR, recall and mean average precision of a search by cosine.

    The gain of a document is its relevance itself, discounted by log2(rank + 1), as trec_eval does. Ties are broken against the
    model: among documents that are equally similar to the query the relevant ones come last, the most relevant last of all, so
    that a collapsed model scores next to nothing. Queries without a relevant document are left out, as everywhere.

    Args:
        queries: vectors [q, d].
        documents: vectors of documents [n, d], or of their parts where `owners` is given.
        relevance: query row -> document -> how relevant it is; 0 and below is not relevant.
        k: depth of nDCG, MRR and the first recall.
        owners: int [n], the document that each row is a part of, from 0 without gaps; a document is as similar as its best
            part. None: row i is document i.
        rounds: bootstrap resamples of queries for the 95% interval of nDCG.
        seed: of the resampling.

    Returns:
        {"value": nDCG@k, "ci95": [low, high], "n": queries judged, "details": {"ndcg@k", "mrr@k", "recall@k", "recall@100",
        "map"}, "scores": nDCG@k of each query judged [n]}, the names with the number in place of k. All are nan where a vector
        holds something that is no number.

    Raises:
        UserError: widths differ, k is below 1, the relevance names a query or document that is not there, no query has a
            relevant document, or `owners` has gaps.
    """
    count = _check(queries, documents, relevance, k, owners)
    judged = {row: {name: gain for name, gain in gains.items() if gain > 0} for row, gains in sorted(relevance.items())}
    judged = {row: gains for row, gains in judged.items() if gains}
    if not judged:
        raise UserError("no query has a relevant document", where="relevance", expected="a relevance above 0 for some query")
    finite = bool(np.isfinite(queries).all() and np.isfinite(documents).all())
    rows = np.full((len(judged), 5), np.nan)
    if finite:
        ours, theirs = _unit64(queries), _unit64(documents)
        order = list(judged)
        for start in range(0, len(order), _BLOCK):
            block = order[start : start + _BLOCK]
            similar = np.round(best_parts(ours[block] @ theirs.T, owners, count), DIGITS)
            for at, (query, scores) in enumerate(zip(block, similar, strict=True), start):
                found, gains = np.array(list(judged[query])), np.array(list(judged[query].values()), np.float64)
                rows[at] = _metrics(pessimistic_ranks(scores, found, gains), gains, k)
    names = [f"ndcg@{k}", f"mrr@{k}", f"recall@{k}", f"recall@{FAR}", "map"]
    details = dict(zip(names, rows.mean(0).tolist(), strict=True))
    means = resampled_sums(rows[:, :1], rounds=rounds, seed=seed)[:, 0] / len(rows)
    result = {"value": details[names[0]], "ci95": list(percentile_interval(means)), "n": len(rows), "details": details}
    return {**result, "scores": rows[:, 0]}


def best_parts(similarities: np.ndarray, owners: np.ndarray | None, count: int) -> np.ndarray:
    """Of each document the similarity of its best part: [q, rows] -> [q, count].

    Args:
        similarities: of queries to parts.
        owners: [rows], the document of each part; None: parts are documents.
        count: documents; each owns at least one part.
    """
    if owners is None:
        return similarities
    order = np.argsort(owners, kind="stable")
    starts = np.searchsorted(owners[order], np.arange(count))
    return np.asarray(np.maximum.reduceat(similarities[:, order], starts, axis=1))


def pessimistic_ranks(scores: np.ndarray, relevant: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Ranks from 1 of the relevant documents of a query, ties broken against them.

    Args:
        scores: of all documents [n], higher is nearer.
        relevant: int [r], which of them are relevant.
        gains: [r], how relevant.

    Returns:
        int [r]: where several documents share a score, the relevant ones have the last places of these, by rising gain.
    """
    own = scores[relevant]
    last = len(scores) - np.searchsorted(np.sort(scores), own, side="left")
    order = np.lexsort((gains, -own))  # by falling score, and by rising gain within a tie
    ranks = np.empty(len(relevant), np.int64)
    group_end = np.searchsorted(-own[order], -own[order], side="right")
    ranks[order] = last[order] - (group_end - 1 - np.arange(len(order)))
    return ranks


def _metrics(ranks: np.ndarray, gains: np.ndarray, k: int) -> list[float]:
    """nDCG@k, MRR@k, recall@k, recall@100 and average precision of one query."""
    best = np.sort(gains)[::-1][:k]
    ideal = (best / np.log2(np.arange(len(best)) + 2)).sum()
    near = ranks <= k
    gained = (gains[near] / np.log2(ranks[near] + 1)).sum()
    first = ranks.min()
    ordered = np.sort(ranks)
    precision = (np.arange(len(ranks)) + 1) / ordered
    return [gained / ideal, 1 / first if first <= k else 0.0, near.mean(), (ranks <= FAR).mean(), precision.mean()]


def _unit64(vectors: np.ndarray) -> np.ndarray:
    rows = vectors.astype(np.float64)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _check(
    queries: np.ndarray,
    documents: np.ndarray,
    relevance: Mapping[int, Mapping[int, float]],
    k: int,
    owners: np.ndarray | None,
) -> int:
    """How many documents there are, or what is wrong."""
    if queries.ndim != 2 or documents.ndim != 2 or queries.shape[1] != documents.shape[1]:
        raise UserError(
            "queries and documents are no vectors of one width",
            got=f"queries {list(queries.shape)}, documents {list(documents.shape)}",
            expected="[q, d] and [n, d]",
            hint="encode both with the same model and the same number of dimensions",
        )
    if k < 1:
        raise UserError("k must be at least 1", where="k", got=k)
    count = len(documents)
    if owners is not None:
        count = int(owners.max()) + 1 if len(owners) else 0
        if len(owners) != len(documents) or not np.array_equal(np.unique(owners), np.arange(count)):
            raise UserError(
                "owners must name a document for every row, and every document at least once",
                where="owners",
                got=f"{len(owners)} owners of {len(np.unique(owners))} documents, the largest {count - 1}",
                expected=f"{len(documents)} numbers from 0 without gaps",
            )
    for query, gains in relevance.items():
        if not 0 <= query < len(queries):
            raise UserError("relevance names a query that is not there", got=query, expected=f"0 to {len(queries) - 1}")
        for document in gains:
            if not 0 <= document < count:
                raise UserError(
                    f"relevance of query {query} names a document that is not there", got=document, expected=f"0 to {count - 1}"
                )
    return count
