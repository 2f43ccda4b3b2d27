"""The intervals: do they cover, are they repeatable, do they stand holes?"""

import math

import numpy as np
import pytest
from scipy import stats

from distill.evaluate.bootstrap import bootstrap_rows, percentile_interval


def test_percentiles_by_hand():
    assert percentile_interval(np.arange(1001.0)) == (25.0, 975.0)
    assert percentile_interval(np.array([np.nan, *range(1001), np.nan])) == (25.0, 975.0)


def test_nothing_but_holes_is_no_interval():
    assert all(math.isnan(end) for end in percentile_interval(np.full(5, np.nan)))


def test_the_interval_covers_the_true_mean_about_95_times_in_100():
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        values = rng.normal(3.0, 2.0, 60)
        low, high = bootstrap_rows(lambda rows, values=values: float(values[rows].mean()), 60, rounds=300, seed=seed)
        hits += low <= 3.0 <= high
    assert 180 <= hits <= 198  # binomial(200, 0.95) is outside this about once in 500


def test_the_interval_is_about_that_of_scipy():
    values = np.random.default_rng(1).exponential(size=80)
    ours = bootstrap_rows(lambda rows: float(values[rows].mean()), 80, rounds=4000)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", random_state=5).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_the_seed_alone_decides():
    values = np.random.default_rng(2).normal(size=30)
    found = [bootstrap_rows(lambda rows: float(values[rows].mean()), 30, rounds=50, seed=seed) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]
