"""Rank statistics in plain numpy, so that a dev evaluation costs milliseconds."""

from __future__ import annotations

import numpy as np


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties get the mean of theirs; all nan where a value is nan. [n] -> float64 [n]."""
    if np.isnan(values).any():
        return np.full(len(values), np.nan)
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    ends = np.r_[starts[1:], len(values)]
    result = np.empty(len(values))
    result[order] = np.repeat((starts + ends + 1) / 2, ends - starts)
    return result


def pearson(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation of two vectors; nan where one is constant."""
    # A mean of equal numbers may differ from them in the last bit: constants are told by their values.
    if len(a) == 0 or (a == a[0]).all() or (b == b[0]).all():
        return float("nan")
    x, y = a - a.mean(), b - b.mean()
    scale = np.sqrt((x * x).sum() * (y * y).sum())
    return float(np.clip((x * y).sum() / scale, -1, 1)) if scale > 0 else float("nan")


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation of two vectors; nan where one is constant."""
    return pearson(ranks(a), ranks(b))
