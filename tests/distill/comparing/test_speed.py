"""Ratios of medians: exact on paper, with intervals that know of neighbours that are alike."""

import numpy as np
import pytest

from distill.comparing.speed import median_interval, ratio_of_medians


def test_the_ratio_and_an_interval_around_it():
    rng = np.random.default_rng(0)
    ours, theirs = 12 * rng.lognormal(0, 0.1, 200), 10 * rng.lognormal(0, 0.1, 200)
    found = ratio_of_medians(ours, theirs)
    low, high = found["ci95"]
    assert low < 1.2 < high
    assert high - low < 0.1
    assert found == ratio_of_medians(ours, theirs)


def test_constant_times_have_no_spread():
    assert ratio_of_medians([2.0] * 10, [1.0] * 10) == {"ratio": 2.0, "ci95": [2.0, 2.0]}


@pytest.mark.parametrize(("ours", "theirs", "ratio"), [([3.0] * 4, [1.0] * 9, 3.0), ([], [1.0], None), ([1.0], [], None)])
def test_too_few_samples_give_no_interval(ours, theirs, ratio):
    assert ratio_of_medians(ours, theirs) == {"ratio": ratio, "ci95": None}


def test_a_slow_drift_makes_the_interval_wide():
    drift = np.concatenate([np.full(50, 1.0), np.full(50, 1.5)]) * np.random.default_rng(0).lognormal(0, 0.01, 100)
    low, high = median_interval(drift)
    mixed_low, mixed_high = median_interval(np.random.default_rng(1).permutation(drift))
    assert high - low >= mixed_high - mixed_low
    assert median_interval([1.0] * 4) is None
