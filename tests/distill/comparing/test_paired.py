"""Weighted statistics against the same statistic on resamples that are written out, and differences known on paper."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from distill.comparing.paired import paired_statistic
from distill.evaluate.paired import paired_difference
from distill.report.resampled import f1_of, mean_of, spearman_of

numbers = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 3)), min_size=3, max_size=30)


@settings(deadline=None)
@given(numbers)
def test_a_drawn_row_counts_as_often_as_it_is_written_out(rows):
    guesses, labels, draws = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    written = np.repeat(np.arange(len(rows)), draws.astype(int))
    if not len(written):
        return
    (found,) = spearman_of(guesses, labels)(draws[None])
    if len(set(guesses[written])) < 2 or len(set(labels[written])) < 2:
        assert np.isnan(found)
        return
    assert found == pytest.approx(stats.spearmanr(guesses[written], labels[written]).statistic, abs=1e-9)
    assert mean_of(guesses)(draws[None])[0] == pytest.approx(guesses[written].mean())


def test_f1_of_counts():
    counts = np.array([[1, 2, 1], [0, 0, 0], [2, 2, 4]], dtype=np.float64)
    assert f1_of(*counts.T)(np.array([[1, 1, 1]]))[0] == pytest.approx(2 * 3 / (4 + 5))
    assert f1_of(*counts.T)(np.array([[0, 3, 0], [2, 0, 1]])) == pytest.approx([0.0, 2 * 4 / (6 + 6)])


def test_the_mean_agrees_with_the_paired_test_of_means():
    rng = np.random.default_rng(0)
    a, b = rng.random(300), rng.random(300)
    found = paired_statistic(mean_of(a), mean_of(b), 300)
    other = paired_difference(a, b)
    assert found["difference"] == pytest.approx(other["difference"])
    assert found["ci95"] == pytest.approx(other["ci95"], abs=0.005)
    assert found["p"] == pytest.approx(other["p"], abs=0.05)


def test_equal_models_do_not_differ():
    values = np.random.default_rng(0).random(50)
    found = paired_statistic(spearman_of(values, values**2), spearman_of(values, values**2), 50)
    assert (found["difference"], found["ci95"], found["p"]) == (0.0, [0.0, 0.0], 1.0)


def test_a_constant_model_has_no_difference():
    values = np.arange(10.0)
    found = paired_statistic(spearman_of(np.ones(10), values), spearman_of(values, values), 10)
    assert (found["a"], found["b"], found["difference"], found["ci95"], found["p"]) == (None, 1.0, None, None, None)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(5)
    inside = 0
    for trial in range(60):
        better, worse = (rng.random(200) < 0.8).astype(float), (rng.random(200) < 0.7).astype(float)
        low, high = paired_statistic(mean_of(better), mean_of(worse), 200, rounds=400, seed=trial)["ci95"]
        inside += low <= 0.1 <= high
    assert inside >= 52
