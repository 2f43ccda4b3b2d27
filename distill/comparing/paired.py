"""The same statistic of two models on the same examples: its difference, an interval and how likely it is by chance.

`evaluate.paired` compares means of scores. Here a statistic need not be a mean: a resample is given as how often each
example was drawn, int [rounds, n], and every statistic is computed from that for all rounds at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..evaluate.bootstrap import percentile_interval

ROUNDS = 2000
BLOCK_ENTRIES = 1 << 21
"""Numbers of draws held in memory at a time, 16 MiB."""

Statistic = Callable[[np.ndarray], np.ndarray]
"""Draws [rounds, n], or [n] -> value [rounds], or one value; nan where it is undefined."""


def mean_of(scores: np.ndarray) -> Statistic:
    """The mean of a score a row, [n]."""

    def statistic(draws: np.ndarray) -> np.ndarray:
        return np.asarray(draws @ scores / draws.sum(-1))

    return statistic


def f1_of(counts: np.ndarray) -> Statistic:
    """Micro F1 of counts a row, [n, 3]: right guesses, guesses, and what is there; 0 where there is nothing at all."""

    def statistic(draws: np.ndarray) -> np.ndarray:
        true, guessed, there = np.moveaxis(draws @ counts, -1, 0)
        total = guessed + there
        return np.asarray(np.divide(2.0 * true, total, out=np.zeros_like(total, dtype=np.float64), where=total > 0))

    return statistic


def spearman_of(guesses: np.ndarray, labels: np.ndarray) -> Statistic:
    """Spearman's correlation of two numbers a row, [n] each, with ties at their mean rank.

    A row drawn k times counts as k rows with equal values, as in a resample that is written out.
    """
    sides = [np.unique(values, return_inverse=True) for values in (guesses, labels)]

    def statistic(draws: np.ndarray) -> np.ndarray:
        drawn = np.atleast_2d(draws).astype(np.float64)
        total = drawn.sum(-1, keepdims=True)
        ranked = [_ranks(drawn, place, len(values)) for values, place in sides]
        middle = (total + 1) / 2
        a, b = (ranks - middle for ranks in ranked)
        with np.errstate(invalid="ignore", divide="ignore"):  # of equal values alone there is no correlation
            scale = np.sqrt((drawn * a * a).sum(-1) * (drawn * b * b).sum(-1))
            found = np.where(scale > 1e-9, (drawn * a * b).sum(-1) / scale, np.nan)
        return np.asarray(found if draws.ndim == 2 else found[0])

    return statistic


def _ranks(drawn: np.ndarray, place: np.ndarray, count: int) -> np.ndarray:
    """Mean ranks from 1 of every row in every resample, [rounds, n]; `place` is the number of each row's value, by size."""
    rounds = len(drawn)
    rows = (np.arange(rounds)[:, None] * count + place).ravel()
    weights = np.bincount(rows, weights=drawn.ravel(), minlength=rounds * count).reshape(rounds, count)
    before = np.cumsum(weights, axis=1) - weights
    return np.asarray((before + (weights + 1) / 2)[:, place])


def paired_statistic(a: Statistic, b: Statistic, n: int, *, rounds: int = ROUNDS, seed: int = 0) -> dict[str, Any]:
    """The statistic of a minus that of b, with a 95% interval, by a paired bootstrap over examples.

    Each round draws n examples with repeats, the same for both models.

    Args:
        a, b: of the two models, over the same n examples in the same order.
        n: examples.
        rounds: resamples.
        seed: of the resampling.

    Returns:
        {"a", "b", "difference", "ci95": [low, high] or None, "p", "n"}: p is two-sided, twice the share of resamples on the
        other side of 0 (those at 0 on both), counted with one more, so that it is never 0; None where a value is undefined.

    Reference:
        Efron and Tibshirani, "An introduction to the bootstrap", 1993; Berg-Kirkpatrick et al., "An empirical
        investigation of statistical significance in NLP", 2012.
    """
    whole = np.ones(n, dtype=np.int64)
    first, second = float(a(whole)), float(b(whole))
    if not (np.isfinite(first) and np.isfinite(second)):
        return {"a": _known(first), "b": _known(second), "difference": None, "ci95": None, "p": None, "n": n}
    rng = np.random.default_rng(seed)
    parts, size = [], max(1, BLOCK_ENTRIES // n)
    for start in range(0, rounds, size):
        draws = _draws(rng, min(size, rounds - start), n)
        parts.append(a(draws) - b(draws))
    found = np.concatenate(parts)
    found = found[np.isfinite(found)]
    if not len(found):
        return {"a": first, "b": second, "difference": first - second, "ci95": None, "p": None, "n": n}
    least = min(int((found <= 0).sum()), int((found >= 0).sum()))
    return {
        "a": first,
        "b": second,
        "difference": first - second,
        "ci95": list(percentile_interval(found)),
        "p": min(1.0, 2 * (least + 1) / (len(found) + 1)),
        "n": n,
    }


def _draws(rng: np.random.Generator, rounds: int, n: int) -> np.ndarray:
    """How often each of n examples is drawn when n are drawn with repeats, int [rounds, n]."""
    drawn = rng.integers(0, n, (rounds, n)) + n * np.arange(rounds)[:, None]
    return np.bincount(drawn.ravel(), minlength=rounds * n).reshape(rounds, n)


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
