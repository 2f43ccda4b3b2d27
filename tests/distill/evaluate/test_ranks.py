"""Rank statistics against scipy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from distill.evaluate.ranks import pearson, ranks, spearman

ties = st.lists(st.integers(-3, 3), min_size=1, max_size=60)
floats = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)
pairs = st.lists(st.tuples(st.integers(-4, 4), st.floats(-100, 100, width=16)), min_size=3, max_size=60)


@settings(max_examples=100, deadline=None)
@given(st.one_of(ties, floats))
def test_ranks_are_those_of_scipy(values):
    np.testing.assert_array_equal(ranks(np.array(values)), stats.rankdata(values))


def test_ranks_by_hand():
    assert ranks(np.array([10, 30, 20, 20])).tolist() == [1, 4, 2.5, 2.5]
    assert ranks(np.array([])).tolist() == []
    assert np.isnan(ranks(np.array([1.0, np.nan, 2.0]))).all()


@settings(max_examples=100, deadline=None)
@given(pairs)
def test_correlations_are_those_of_scipy(rows):
    a, b = np.array(rows, dtype=np.float64).T
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert math.isnan(pearson(a, b))
        assert math.isnan(spearman(a, b))
        return
    assert pearson(a, b) == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-6)
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)


def test_correlations_by_hand():
    up = np.array([1.0, 2.0, 3.0, 4.0])
    assert pearson(up, 5 * up - 7) == pytest.approx(1)
    assert spearman(up, up**9) == 1
    assert spearman(up, -np.exp(up)) == -1
    assert spearman(up, np.array([1, 3, 2, 4])) == pytest.approx(0.8)  # 1 - 6 * 2 / (4 * 15)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 0.7, 1e-9, 1e9 + 0.1])
@pytest.mark.parametrize("length", [1, 3, 7, 1000])
def test_a_constant_has_no_correlation_although_its_mean_is_rounded(value, length):
    """The mean of three times 0.1 is not 0.1: without care a collapsed model gets a correlation of noise."""
    constant, other = np.full(length, value), np.arange(length, dtype=np.float64)
    assert math.isnan(pearson(constant, other))
    assert math.isnan(pearson(other, constant))
    assert math.isnan(spearman(constant, other))


def test_no_correlation_leaves_its_range():
    for seed in range(200):
        values = np.random.default_rng(seed).normal(size=7)
        assert -1 <= pearson(values, -3 * values) <= pearson(values, 3 * values) <= 1


def test_what_is_not_a_number_gives_no_number():
    assert math.isnan(spearman(np.array([0.1, np.nan, 0.3]), np.arange(3.0)))
    assert math.isnan(pearson(np.array([]), np.array([])))
