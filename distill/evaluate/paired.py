"""Is one model better than another on the same examples? The difference, its interval and how likely it is by chance."""

from __future__ import annotations

from typing import Any

import numpy as np

from .bootstrap import percentile_interval

ROUNDS = 10_000


def paired_difference(a: np.ndarray, b: np.ndarray, *, rounds: int = ROUNDS, seed: int = 0) -> dict[str, Any]:
    """Mean of a - b with a 95% interval, by a paired bootstrap over examples.

    Scores are averaged over seeds first; each round then draws n examples with repeats, the same for both models.
    The interval so holds for the seeds at hand: it does not tell what other seeds would give.

    Args:
        a, b: a score of each example, such as 1 where a guess is right: [seeds, n], or [n] for one seed. The number of
            seeds may differ, the examples must be the same in the same order.
        rounds: resamples.
        seed: of the resampling.

    Returns:
        {"difference", "ci95": [low, high], "p", "n"}: p is two-sided, twice the share of resamples on the other side of
        0 (those at 0 on both), counted with one more, so that it is never 0.

    Raises:
        ValueError: the shapes do not fit, or a score is no number.

    Reference:
        Efron and Tibshirani, "An introduction to the bootstrap", 1993; Berg-Kirkpatrick et al., "An empirical
        investigation of statistical significance in NLP", 2012.
    """
    first, second = np.atleast_2d(np.asarray(a, dtype=np.float64)), np.atleast_2d(np.asarray(b, dtype=np.float64))
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1] or not first.size or not second.size:
        raise ValueError(f"scores must be [seeds, n] with the same n, got {np.shape(a)} and {np.shape(b)}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("a score is no finite number")
    differences = first.mean(0) - second.mean(0)
    n = len(differences)
    rng = np.random.default_rng(seed)
    means = np.array([differences[rng.integers(0, n, n)].mean() for _ in range(rounds)])
    least = min(int((means <= 0).sum()), int((means >= 0).sum()))
    return {
        "difference": float(differences.mean()),
        "ci95": list(percentile_interval(means)),
        "p": min(1.0, 2 * (least + 1) / (rounds + 1)),
        "n": n,
    }
