"""95% intervals by resampling, seeded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

ROUNDS = 1000


def percentile_interval(values: np.ndarray) -> tuple[float, float]:
    """The 2.5th and 97.5th percentile of bootstrap values, without those that are not numbers; nan where none is one."""
    if np.isnan(values).all():
        return float("nan"), float("nan")
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def bootstrap_rows(
    statistic: Callable[[np.ndarray], float], rows: int, *, rounds: int = ROUNDS, seed: int = 0
) -> tuple[float, float]:
    """95% percentile interval of a statistic of rows.

    Args:
        statistic: takes row indices [rows] (with repeats) and returns a number.
        rows: how many rows there are.
        rounds: resamples.
        seed: of the resampling.

    Returns:
        (low, high).
    """
    rng = np.random.default_rng(seed)
    return percentile_interval(np.array([statistic(rng.integers(0, rows, rows)) for _ in range(rounds)]))
