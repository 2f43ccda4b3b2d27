"""95 % intervals of timings, by resampling whole blocks.

Runs that follow each other are alike: a burst of other work slows dozens of them, and a process keeps for its whole life the
memory it was given. So runs are no independent samples, and an interval from them is far too narrow. What is resampled here is
the block (some runs of one model, next to a block of every other model, a round), inside the pass (a set of fresh processes):
first passes are drawn, then blocks of each pass drawn. With few passes the two sides are stretched (`interval_of`).
Efron and Tibshirani, An Introduction to the Bootstrap, chapters 8 and 13.

A ratio is the median, over rounds, of the ratio of two neighbouring blocks: what slows a whole round weighs on both and falls
out, and a burst that hits one of the two is one odd value under a median.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
SEED = 7
LEAST_BLOCKS = 5
"""With fewer blocks no interval is told."""
QUANTILES = 21
Array = NDArray[np.float64]
Interval = tuple[float, float]


def ratio_of(reference: Sequence[float], own: Sequence[float], passes: Sequence[int]) -> tuple[float, Interval | None]:
    """How many times faster than a reference, and its 95 % interval.

    Args:
        reference, own: a typical time of each block, [blocks]; those of one round at one place.
        passes: which pass each block is of, [blocks].

    Returns:
        The median over blocks of reference / own, and its interval (None below 5 blocks).
    """
    logs = np.log(np.asarray(reference, np.float64)) - np.log(np.asarray(own, np.float64))
    found = interval_of(logs[:, None], passes, _medians)
    return float(np.exp(np.median(logs))), None if found is None else (float(np.exp(found[0])), float(np.exp(found[1])))


def median_interval(blocks: Sequence[Sequence[float]], passes: Sequence[int]) -> Interval | None:
    """95 % interval of the median of all runs.

    Args:
        blocks: the runs of each block.
        passes: which pass each block is of.
    """
    shares = (np.arange(QUANTILES) + 0.5) / QUANTILES
    rows = np.stack([np.quantile(np.asarray(block, np.float64), shares) for block in blocks])
    return interval_of(rows, passes, _medians)


def rate_interval(seconds: Sequence[float], done: Sequence[float], passes: Sequence[int]) -> Interval | None:
    """95 % interval of what was done a second.

    Args:
        seconds: of each block.
        done: sentences or tokens of each block.
        passes: which pass each block is of.
    """

    def rates(drawn: Array) -> Array:
        return np.nansum(drawn[..., 1], axis=1) / np.nansum(drawn[..., 0], axis=1)

    return interval_of(np.stack([seconds, done], axis=1).astype(np.float64), passes, rates)


def interval_of(
    rows: Array, passes: Sequence[int], statistic: Callable[[Array], Array], *, draws: int = DRAWS, seed: int = SEED
) -> Interval | None:
    """95 % percentile interval of a statistic of blocks, passes drawn first and blocks inside them.

    Drawing m passes out of m shows only (m - 1) / m of their variance, so both sides are stretched by sqrt(m / (m - 1)).

    Args:
        rows: [blocks, values].
        passes: which pass each block is of, [blocks].
        statistic: [draws, blocks, values], nan where there is no block -> [draws].
        draws, seed: of the resampling.

    Returns:
        (low, high); None below 5 blocks.
    """
    if len(rows) < LEAST_BLOCKS:
        return None
    rng = np.random.default_rng(seed)
    numbers = np.asarray(passes)
    groups = [rows[numbers == number] for number in np.unique(numbers)]
    longest = max(len(group) for group in groups)
    # Every pass as long as the longest, what is missing not a number.
    table = np.full((len(groups), longest, rows.shape[1]), np.nan)
    for place, group in enumerate(groups):
        table[place, : len(group)] = group
    counts = np.array([len(group) for group in groups])
    chosen = rng.integers(0, len(groups), (draws, len(groups)))
    picks = (rng.random((draws, len(groups), longest)) * counts[chosen][..., None]).astype(np.int64)
    drawn = table[chosen[..., None], picks]
    beyond = np.arange(longest)[None, None, :] >= counts[chosen][..., None]
    drawn[beyond] = np.nan
    values = statistic(drawn.reshape(draws, len(groups) * longest, rows.shape[1]))
    low, high = np.quantile(values, [0.025, 0.975])
    middle = float(statistic(rows[None])[0])
    wider = float(np.sqrt(len(groups) / (len(groups) - 1))) if len(groups) > 1 else 1.0
    return middle - wider * max(0.0, middle - float(low)), middle + wider * max(0.0, float(high) - middle)


def half_width(value: float, interval: Interval | None) -> float | None:
    """The larger side of an interval as a share of its value."""
    if interval is None or value <= 0:
        return None
    return max(interval[1] - value, value - interval[0]) / value


def _medians(drawn: Array) -> Array:
    rows = drawn.reshape(len(drawn), -1)
    middle = np.nanmedian if np.isnan(rows).any() else np.median  # the first is many times slower
    return np.asarray(middle(rows, axis=1))
