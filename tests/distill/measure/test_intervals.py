"""Intervals of timings: how wide they are, and how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.measure.intervals import half_width, interval_of, median_interval, rate_interval, ratio_of

TWO = [0] * 5 + [1] * 5
times = st.lists(st.floats(0.01, 1e4), min_size=5, max_size=20)


def test_without_spread_there_is_no_width():
    assert ratio_of([6.0] * 10, [2.0] * 10, TWO) == (pytest.approx(3), (pytest.approx(3), pytest.approx(3)))
    assert median_interval([[2.0, 2.0]] * 10, TWO) == (2.0, 2.0)
    assert rate_interval([0.5] * 10, [20] * 10, TWO) == (40.0, 40.0)


@given(times)
def test_a_ratio_and_its_inverse_are_one_statement(reference):
    own = [value * 0.5 + 1 for value in reference]
    passes = [number % 2 for number in range(len(own))]
    value, interval = ratio_of(reference, own, passes)
    back, other = ratio_of(own, reference, passes)
    assert value * back == pytest.approx(1)
    assert interval[0] * other[1] == pytest.approx(1)
    assert interval[0] <= value * (1 + 1e-9)
    assert interval[1] >= value * (1 - 1e-9)


@given(times, st.floats(0.1, 10))
def test_a_machine_that_is_slower_by_a_factor_has_the_same_ratios(own, factor):
    reference = [value * 2 + 0.1 for value in own]
    passes = [0] * len(own)
    first = ratio_of(reference, own, passes)
    second = ratio_of([value * factor for value in reference], [value * factor for value in own], passes)
    assert first[0] == pytest.approx(second[0])
    assert first[1] == pytest.approx(second[1])


def test_few_blocks_give_no_interval():
    assert ratio_of([1.0] * 4, [1.0] * 4, [0] * 4) == (1.0, None)
    assert median_interval([[1.0]] * 4, [0] * 4) is None
    assert half_width(1.0, None) is None


def test_the_half_width_is_the_larger_side():
    assert half_width(2.0, (1.8, 2.1)) == pytest.approx(0.1)
    assert half_width(2.0, (1.9, 2.4)) == pytest.approx(0.2)


def test_passes_that_disagree_widen_the_interval():
    """Blocks of one pass agree; between passes lies 4 %, which no number of blocks of one pass would show."""
    reference = [1.0] * 10
    agreeing = ratio_of(reference, [1.0, 1.001] * 5, TWO)[1]
    apart = ratio_of(reference, [1.0, 1.001, 1.0, 1.001, 1.0, 1.04, 1.041, 1.04, 1.041, 1.04], TWO)[1]
    assert agreeing[1] - agreeing[0] < 0.002
    assert apart[1] - apart[0] > 0.035


def test_passes_of_unequal_length():
    value, interval = ratio_of([2.0] * 7, [1.0] * 7, [0, 0, 0, 0, 0, 1, 1])
    assert (value, interval) == (pytest.approx(2), (pytest.approx(2), pytest.approx(2)))
    rows = np.arange(7.0)[:, None]
    low, high = interval_of(rows, [0, 0, 0, 0, 0, 1, 1], lambda drawn: np.nanmean(drawn[..., 0], axis=1))
    assert -1 < low < 3 < high < 7


def test_few_passes_stretch_the_interval_and_one_does_not():
    rows = np.array([[0.0]] * 5 + [[1.0]] * 5)

    def mean(drawn):
        return np.nanmean(drawn[..., 0], axis=1)

    assert interval_of(rows, TWO, mean) == pytest.approx((0.5 - 0.5 * 2**0.5, 0.5 + 0.5 * 2**0.5))
    low, high = interval_of(rows, [0] * 10, mean)
    assert 0.1 < low < 0.5 < high < 0.9


def test_two_measurements_of_one_pair_agree():
    """Processes that differ by 1 %: of a hundred pairs of measurements with 4 passes each, 9 of 10 intervals overlap."""
    rng = np.random.default_rng(5)
    passes = np.repeat([0, 1, 2, 3], 5)

    def measured():
        shift = rng.normal(0, 0.01, 4)[passes]
        return ratio_of(np.exp(rng.normal(0, 0.01, 20)), np.exp(rng.normal(0, 0.01, 20) + shift), passes)[1]

    pairs = [(measured(), measured()) for _ in range(100)]
    assert sum(one[0] <= two[1] and two[0] <= one[1] for one, two in pairs) >= 90


def test_it_holds_the_truth_about_as_often_as_it_says():
    """Drift, bursts that hit one block of two, and processes that differ by 1 %: 95 % asked for, at least 85 % held."""
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(200):
        passes = np.repeat([0, 1, 2, 3], 5)
        shift = rng.normal(0, 0.01, 4)[passes]
        drift = 1 + 0.3 * np.sin(np.linspace(0, 6, 20) + rng.random() * 6)
        burst = [1 + np.where(rng.random(20) < 0.1, rng.random(20), 0) for _ in range(2)]
        reference = 3.0 * drift * burst[0] * np.exp(rng.normal(0, 0.02, 20))
        own = drift * burst[1] * np.exp(rng.normal(0, 0.02, 20) + shift)
        _, (low, high) = ratio_of(reference, own, passes)
        held += low <= 3.0 <= high
    assert held >= 170
