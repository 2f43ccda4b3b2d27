"""How much slower one model is than another: the ratio of their medians, with an interval from the raw samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..evaluate.bootstrap import percentile_interval

ROUNDS = 2000


def ratio_of_medians(ours: Sequence[float], theirs: Sequence[float], *, rounds: int = ROUNDS, seed: int = 0) -> dict[str, Any]:
    """median(ours) / median(theirs) with a 95% interval, by a bootstrap of blocks of neighbouring samples.

    Neighbouring runs are alike (a clock that rises, another process), so blocks of sqrt(n) are drawn, not single runs.
    The interval holds within these two measurements; it does not know how the machine differed between them.

    Args:
        ours, theirs: times in one unit, in the order they were taken.
        rounds: resamples.
        seed: of the resampling.

    Returns:
        {"ratio", "ci95": [low, high] or None}: None with fewer than 5 samples on a side, and no ratio where one is missing.
    """
    a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    if not len(a) or not len(b) or np.median(b) <= 0:
        return {"ratio": None, "ci95": None}
    ratio = float(np.median(a) / np.median(b))
    if min(len(a), len(b)) < 5:
        return {"ratio": ratio, "ci95": None}
    rng = np.random.default_rng(seed)
    found = _medians(a, rounds, rng) / _medians(b, rounds, rng)
    return {"ratio": ratio, "ci95": list(percentile_interval(found))}


def _medians(values: np.ndarray, rounds: int, rng: np.random.Generator) -> np.ndarray:
    """Medians of resamples, [rounds], of blocks that may go round the end."""
    n = len(values)
    length = max(1, round(math.sqrt(n)))
    starts = rng.integers(0, n, (rounds, math.ceil(n / length)))
    rows = (starts[:, :, None] + np.arange(length)).reshape(rounds, -1)[:, :n] % n
    return np.asarray(np.median(values[rows], axis=1))


def median_interval(values: Sequence[float], *, rounds: int = ROUNDS, seed: int = 0) -> tuple[float, float] | None:
    """95% interval of a median, as in `ratio_of_medians`; None with fewer than 5 samples."""
    samples = np.asarray(values, dtype=np.float64)
    if len(samples) < 5:
        return None
    return percentile_interval(_medians(samples, rounds, np.random.default_rng(seed)))
