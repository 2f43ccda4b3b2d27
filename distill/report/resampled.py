"""Bootstrap of what is kept of the teacher, paired: both models are drawn the same examples, whatever the metric.

A resample is told by how often it holds each example, [rounds, n], so that a metric needs no loop over rounds: means and F1
are products, and the ranks of a resample follow from the order of the examples by sums of those counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

ROUNDS = 2000
LARGE, FEWER_ROUNDS = 20_000, 500
"""From so many examples on fewer rounds are drawn: the interval is narrow then, and a report takes seconds, not minutes."""
BLOCK = 2_000_000
"""Counts held at a time, so that memory does not grow with the examples."""

Statistic = Callable[[np.ndarray], np.ndarray]
"""How often each example counts, [rounds, n] -> the metric of each round, [rounds]; nan where it is undefined."""


@dataclass(frozen=True)
class Comparison:
    """A model against its teacher on the same examples.

    Attributes:
        value, teacher: the metric of both.
        retained_ci95: 95% interval of value / teacher; None where the teacher is not above 0 in every round.
        difference: value - teacher.
        difference_ci95: its 95% interval; None where fewer than two rounds have one.
        p: two-sided chance of such a difference under none; at least 2 / (rounds + 1).
        n: examples.
    """

    value: float
    teacher: float
    retained_ci95: tuple[float, float] | None
    difference: float
    difference_ci95: tuple[float, float] | None
    p: float | None
    n: int


def mean_of(scores: np.ndarray) -> Statistic:
    """The mean of a score of each example, [n]."""
    return lambda counts: counts @ scores / np.maximum(counts.sum(1), 1e-12)


def f1_of(right: np.ndarray, guessed: np.ndarray, wanted: np.ndarray) -> Statistic:
    """2 right / (guessed + wanted), each summed over examples, [n] each; 0 where nothing is guessed or wanted."""

    def statistic(counts: np.ndarray) -> np.ndarray:
        total = counts @ (guessed + wanted).astype(np.float64)
        return np.divide(2.0 * (counts @ right.astype(np.float64)), total, out=np.zeros(len(counts)), where=total > 0)

    return statistic


def spearman_of(a: np.ndarray, b: np.ndarray) -> Statistic:
    """Spearman's rank correlation of two columns, [n] each, with the ranks of each resample; nan where one is constant."""
    first, second = _Order(a), _Order(b)

    def statistic(counts: np.ndarray) -> np.ndarray:
        middle = (counts.sum(1, keepdims=True) + 1) / 2
        x, y = first.ranks(counts) - middle, second.ranks(counts) - middle
        scale = np.sqrt((counts * x * x).sum(1) * (counts * y * y).sum(1))
        return np.divide((counts * x * y).sum(1), scale, out=np.full(len(counts), np.nan), where=scale > 1e-9)

    return statistic


class _Order:
    """The order of a column, ties together.

    Args:
        values: [n], no nan.
    """

    def __init__(self, values: np.ndarray) -> None:
        self.order = np.argsort(values, kind="stable")
        ordered = values[self.order]
        self.starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        self.sizes = np.diff(np.r_[self.starts, len(values)])

    def ranks(self, counts: np.ndarray) -> np.ndarray:
        """Mean rank of each example in resamples that hold it so often, [rounds, n]."""
        groups = np.add.reduceat(counts[:, self.order], self.starts, axis=1)
        middle = np.cumsum(groups, axis=1) - (groups - 1) / 2
        found = np.empty(counts.shape)
        found[:, self.order] = np.repeat(middle, self.sizes, axis=1)
        return found


def resamples(n: int, rounds: int = ROUNDS, seed: int = 0) -> Iterator[np.ndarray]:
    """How often each of n examples is drawn, in blocks of [rounds, n], float64."""
    rng = np.random.default_rng(seed)
    size = max(1, min(rounds, BLOCK // max(n, 1)))
    for start in range(0, rounds, size):
        drawn = range(min(size, rounds - start))
        yield np.stack([np.bincount(rng.integers(0, n, n), minlength=n) for _ in drawn]).astype(np.float64)


def once(statistic: Statistic, n: int) -> float:
    """The metric of the examples as they are."""
    return float(statistic(np.ones((1, n)))[0])


def compare(model: Statistic, teacher: Statistic, n: int, *, rounds: int | None = None, seed: int = 0) -> Comparison:
    """A model against its teacher, both on the same resamples.

    Args:
        model, teacher: the metric of both.
        n: examples.
        rounds: resamples; None: `ROUNDS`, or `FEWER_ROUNDS` of a large set.
        seed: of the resampling.

    Reference:
        Efron and Tibshirani, "An introduction to the bootstrap", 1993.
    """
    rounds = rounds or (ROUNDS if n < LARGE else FEWER_ROUNDS)
    blocks = [(model(counts), teacher(counts)) for counts in resamples(n, rounds, seed)]
    ours, theirs = (np.concatenate(side) for side in zip(*blocks, strict=True))
    value, base = once(model, n), once(teacher, n)
    known = np.isfinite(ours) & np.isfinite(theirs)
    differences = (ours - theirs)[known]
    enough = len(differences) > 1
    kept = None
    if enough and bool((theirs[known] > 0).all()) and base > 0:
        kept = _interval(ours[known] / theirs[known])
    least = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return Comparison(
        value=value,
        teacher=base,
        retained_ci95=kept,
        difference=value - base,
        difference_ci95=_interval(differences) if enough else None,
        p=min(1.0, 2 * (least + 1) / (len(differences) + 1)) if enough else None,
        n=n,
    )


def _interval(values: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
