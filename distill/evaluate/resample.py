"""Bootstrap of sums: fast enough for a thousand rounds of many rows."""

from __future__ import annotations

import numpy as np

from .bootstrap import ROUNDS


def resampled_sums(columns: np.ndarray, *, rounds: int = ROUNDS, seed: int = 0) -> np.ndarray:
    """Column sums of resampled rows.

    Args:
        columns: [n, k], any numbers.
        rounds: resamples of n rows, with repeats.
        seed: of the resampling.

    Returns:
        float64 [rounds, k].
    """
    n = len(columns)
    if n == 0:
        return np.zeros((rounds, columns.shape[1]))
    rng = np.random.default_rng(seed)
    values = columns.astype(np.float64)
    return np.stack([np.bincount(rng.integers(0, n, n), minlength=n) @ values for _ in range(rounds)])


def resampled_means(hits: np.ndarray, *, rounds: int = ROUNDS, seed: int = 0) -> np.ndarray:
    """Means of resampled rows that are 0 or 1, [rounds]: the number of ones in a resample is binomial, so none is drawn.

    Args:
        hits: [n] of 0 and 1.
        rounds: resamples.
        seed: of the resampling.
    """
    n = len(hits)
    if n == 0:
        return np.full(rounds, np.nan)
    return np.random.default_rng(seed).binomial(n, float(np.mean(hits)), rounds) / n


def f1(true: np.ndarray, guessed: np.ndarray, there: np.ndarray) -> np.ndarray:
    """2 true / (guessed + there), 0 where nothing is guessed or there is nothing; any shape."""
    total = np.asarray(guessed + there, dtype=np.float64)
    return np.divide(2.0 * true, total, out=np.zeros_like(total), where=total > 0)
