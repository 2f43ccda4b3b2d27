"""Agreement with the teacher on plain text: no labels are needed."""

from __future__ import annotations

from typing import Any

import numpy as np

from .bootstrap import ROUNDS, percentile_interval
from .ranks import pearson, ranks

METRIC = "spearman"
NEIGHBOURS = 10


def unit(embeddings: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1, float32 [n, d]."""
    rows = embeddings.astype(np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def row_cosines(student: np.ndarray, teacher: np.ndarray) -> np.ndarray:
    """Cosine of each student row to its teacher row, [n]; both [n, d]."""
    return np.asarray((unit(student) * unit(teacher)).sum(1))


def neighbour_overlap(student: np.ndarray, teacher: np.ndarray, k: int = NEIGHBOURS) -> np.ndarray:
    """For each sentence, the share of the teacher's k nearest others that are among the student's k nearest, [n].

    Args:
        student, teacher: cosine matrices [n, n].
        k: neighbours; capped at n - 1.
    """
    n = len(student)
    k = min(k, n - 1)
    away = np.eye(n, dtype=bool)
    found = [np.argpartition(np.where(away, -np.inf, matrix), -k, axis=1)[:, -k:] for matrix in (student, teacher)]
    marks = np.zeros((2, n, n), dtype=bool)
    for mark, nearest in zip(marks, found, strict=True):
        np.put_along_axis(mark, nearest, True, axis=1)
    return np.asarray((marks[0] & marks[1]).sum(1) / k)


def pair_similarities(embeddings: np.ndarray) -> np.ndarray:
    """Cosine of every distinct pair of rows, [n (n - 1) / 2]."""
    rows = unit(embeddings)
    return np.asarray((rows @ rows.T)[np.triu_indices(len(rows), 1)])


def quick_agreement(student: np.ndarray, teacher: np.ndarray) -> dict[str, float]:
    """What training looks at between steps: the Spearman of pair similarities, and the mean cosine where widths agree.

    Args:
        student: [n, d_S].
        teacher: [n, d_T].

    Returns:
        {"agreement_spearman", "agreement_cosine" (nan where widths differ), "similarity_spread", "teacher_spread"}:
        the spreads are the standard deviations of the pair similarities, for the collapse guard.
    """
    ours, theirs = pair_similarities(student), pair_similarities(teacher)
    cosine = float(row_cosines(student, teacher).mean()) if student.shape[1] == teacher.shape[1] else float("nan")
    return {
        "agreement_spearman": pearson(ranks(ours), ranks(theirs)),
        "agreement_cosine": cosine,
        "similarity_spread": float(ours.std()),
        "teacher_spread": float(theirs.std()),
    }


def evaluate_agreement(student: np.ndarray, teacher: np.ndarray, *, rounds: int = ROUNDS, seed: int = 0) -> dict[str, Any]:
    """Mean cosine, Spearman of pair similarities and neighbour overlap, the Spearman with a 95% interval.

    The interval resamples sentences, not pairs (pairs that share a sentence are not independent). Ranks are kept
    from the full set, so that a round is a product of matrices instead of a sort.

    Args:
        student: [n, d_S].
        teacher: [n, d_T].
        rounds: bootstrap resamples.
        seed: of the resampling.

    Returns:
        {"value", "ci95", "n", "details": {"spearman", "mean_cosine" or None, "top10_overlap"}}; the value is nan where
        one model finds all pairs equally similar.
    """
    n = len(student)
    cosines = [unit(rows) @ unit(rows).T for rows in (student, teacher)]
    upper = np.triu_indices(n, 1)
    orders = [ranks(matrix[upper]) for matrix in cosines]
    value = pearson(*orders)
    ranked = []
    for values in orders:
        full = np.zeros((n, n), dtype=np.float64)
        full[upper] = (values - values.mean()) / max(values.std(), 1e-12)
        ranked.append(full + full.T)
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=rounds).astype(np.float64)

    def mean(matrix: np.ndarray) -> np.ndarray:
        """Mean over the pairs of each resample; a sentence drawn twice is no pair with itself."""
        total = ((weights @ matrix) * weights).sum(1)
        return np.asarray(total / (weights.sum(1) ** 2 - (weights**2).sum(1)))

    s, t = ranked
    with np.errstate(invalid="ignore", divide="ignore"):  # a resample of one sentence, or of one similarity, counts as nan
        scale = np.sqrt((mean(s * s) - mean(s) ** 2) * (mean(t * t) - mean(t) ** 2))
        correlations = np.where(scale > 1e-12, (mean(s * t) - mean(s) * mean(t)) / scale, np.nan)
    same_width = student.shape[1] == teacher.shape[1]
    return {
        "value": value,
        "ci95": list(percentile_interval(correlations)),
        "n": n,
        "details": {
            "spearman": value,
            "mean_cosine": float(row_cosines(student, teacher).mean()) if same_width else None,
            "top10_overlap": float(neighbour_overlap(*cosines).mean()),
        },
    }
