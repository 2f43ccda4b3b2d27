"""The paired bootstrap and fast resampling: limits, coverage, and other ways to the same number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from distill.evaluate.paired import paired_difference
from distill.evaluate.resample import f1, resampled_means, resampled_sums


def test_the_difference_is_that_of_the_means_over_seeds():
    a, b = np.array([[1, 1, 0, 1], [1, 0, 0, 1]]), np.array([0, 1, 0, 0])
    found = paired_difference(a, b, rounds=500)
    assert found["difference"] == pytest.approx(5 / 8 - 1 / 4)
    assert found["n"] == 4
    turned = paired_difference(b, a, rounds=500)
    assert turned["difference"] == -found["difference"]
    assert turned["ci95"] == [-found["ci95"][1], -found["ci95"][0]]
    assert turned["p"] == found["p"]
    assert paired_difference(np.repeat(a, 3, axis=0), b, rounds=500) == found, "the same seed thrice adds nothing"


def test_equal_models_differ_by_nothing_and_better_ones_by_all():
    scores = np.random.default_rng(0).random((3, 50))
    assert paired_difference(scores, scores, rounds=99) == {"difference": 0, "ci95": [0, 0], "p": 1, "n": 50}
    better = paired_difference(scores + 1, scores, rounds=99)
    assert (better["difference"], better["p"]) == pytest.approx((1, 2 / 100))


def test_the_interval_is_that_of_a_t_test_for_many_examples():
    rng = np.random.default_rng(1)
    a = rng.normal(0.1, 1, 800)
    b = 0.5 * a + rng.normal(0, 0.5, 800)
    found = paired_difference(a, b, rounds=4000)
    expected = stats.ttest_rel(a, b)
    low, high = expected.confidence_interval(0.95)
    assert found["ci95"] == pytest.approx((low, high), abs=0.006)
    assert found["p"] == pytest.approx(expected.pvalue, abs=0.02)


def test_pairing_matters():
    """Hard examples are hard for both: the difference is sure although the models' own means are not."""
    hard = np.random.default_rng(2).normal(0, 5, 300)
    low, high = paired_difference(hard + 0.5, hard, rounds=300)["ci95"]
    assert (low, high) == pytest.approx((0.5, 0.5))


def test_the_interval_covers_the_true_difference_about_95_times_in_100():
    rng = np.random.default_rng(3)
    hits = 0
    for seed in range(150):
        a, b = (rng.random((3, 80)) < 0.7).astype(float), (rng.random((3, 80)) < 0.6).astype(float)
        low, high = paired_difference(a, b, rounds=300, seed=seed)["ci95"]
        hits += low <= 0.1 <= high
    assert 132 <= hits <= 149  # binomial(150, 0.95) is outside this about once in 300


def test_the_seed_alone_decides():
    a, b = np.random.default_rng(4).random((2, 30))
    found = [paired_difference(a, b, rounds=50, seed=seed)["ci95"] for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("a", "b"), [(np.zeros((2, 3)), np.zeros((2, 4))), (np.zeros((1, 2, 3)), np.zeros((2, 3))), (np.zeros(0), np.zeros(0))]
)
def test_scores_that_do_not_fit_are_refused(a, b):
    with pytest.raises(ValueError, match="same n"):
        paired_difference(a, b)
    with pytest.raises(ValueError, match="no finite number"):
        paired_difference(np.array([1, np.nan]), np.zeros(2))


def test_resampled_sums_are_those_of_drawn_rows():
    columns = np.random.default_rng(5).integers(0, 9, (40, 3))
    rng = np.random.default_rng(7)
    expected = np.stack([columns[rng.integers(0, 40, 40)].sum(0) for _ in range(6)])
    np.testing.assert_allclose(resampled_sums(columns, rounds=6, seed=7), expected)
    assert resampled_sums(np.zeros((0, 2)), rounds=3).tolist() == [[0, 0]] * 3


def test_resampled_means_have_the_spread_of_drawn_rows():
    hits = np.r_[np.ones(30), np.zeros(10)]
    drawn = resampled_sums(hits[:, None], rounds=20_000, seed=1)[:, 0] / 40
    made = resampled_means(hits, rounds=20_000, seed=2)
    assert stats.ks_2samp(np.round(drawn * 40), np.round(made * 40)).pvalue > 0.01
    assert np.isnan(resampled_means(np.zeros(0), rounds=2)).all()


@given(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
def test_f1_is_the_harmonic_mean(true, false, missed):
    precision, recall = true / max(1, true + false), true / max(1, true + missed)
    expected = 2 * precision * recall / (precision + recall) if true else 0
    assert float(f1(np.array(true), np.array(true + false), np.array(true + missed))) == pytest.approx(expected)
