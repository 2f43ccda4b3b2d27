"""The same statistic of two models on the same examples: its difference, an interval and how likely it is by chance.

The resampling and the statistics are those of the report (`report.resampled`), so that a comparison and a report agree.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..report.resampled import ROUNDS, Statistic, compare, once


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
    first, second = once(a, n), once(b, n)
    if not (np.isfinite(first) and np.isfinite(second)):
        return {"a": _known(first), "b": _known(second), "difference": None, "ci95": None, "p": None, "n": n}
    found = compare(a, b, n, rounds=rounds, seed=seed)
    ends = None if found.difference_ci95 is None else list(found.difference_ci95)
    return {"a": first, "b": second, "difference": found.difference, "ci95": ends, "p": found.p, "n": n}


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
