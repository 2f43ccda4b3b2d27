"""Semantic textual similarity: do a model's similarities rank sentence pairs as people do?"""

from __future__ import annotations

from typing import Any

import numpy as np

from .bootstrap import ROUNDS, bootstrap_rows
from .ranks import pearson, spearman

METRIC = "spearman_cosine"


def pair_scores(first: np.ndarray, second: np.ndarray) -> dict[str, np.ndarray]:
    """Four similarities of each pair of rows; higher means more alike.

    Args:
        first, second: [n, d].

    Returns:
        {"cosine", "euclidean", "manhattan", "dot"}: float64 [n]; distances are negated.
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    dot = (a * b).sum(1)
    return {
        "cosine": dot / np.maximum(norms, 1e-12),
        "euclidean": -np.linalg.norm(a - b, axis=1),
        "manhattan": -np.abs(a - b).sum(1),
        "dot": dot,
    }


def evaluate_sts(
    first: np.ndarray, second: np.ndarray, gold: np.ndarray, *, rounds: int = ROUNDS, seed: int = 0
) -> dict[str, Any]:
    """Pearson and Spearman of four similarities against gold scores.

    Args:
        first, second: embeddings of the two sides, [n, d].
        gold: [n], any scale.
        rounds: bootstrap resamples of pairs for the 95% interval of the cosine Spearman.
        seed: of the resampling.

    Returns:
        {"value", "ci95": [low, high], "n", "details": {"pearson_cosine", ...}, "scores": cosine [n]}.
    """
    found = pair_scores(first, second)
    details = {f"pearson_{name}": pearson(values, gold) for name, values in found.items()}
    details |= {f"spearman_{name}": spearman(values, gold) for name, values in found.items()}
    cosine = found["cosine"]
    interval = bootstrap_rows(lambda rows: spearman(cosine[rows], gold[rows]), len(gold), rounds=rounds, seed=seed)
    return {
        "value": details[METRIC],
        "ci95": list(interval),
        "n": len(gold),
        "details": details,
        "scores": cosine,
    }
