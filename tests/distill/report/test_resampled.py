"""The paired bootstrap: against scipy's ranks, against numbers worked out by hand, and in its limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from distill.report.resampled import compare, f1_of, mean_of, once, resamples, spearman_of
from distill.report.samples import median_interval, samples_csv

ROWS = st.lists(st.tuples(st.integers(0, 4), st.floats(-2, 2, width=16), st.integers(0, 3)), min_size=2, max_size=25)


@settings(deadline=None)
@given(ROWS)
def test_a_resample_has_the_correlation_of_its_rows(rows):
    """Ties and repeats included: the oracle repeats the rows and asks scipy."""
    counts, a, b = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    found = float(spearman_of(a, b)(counts[None])[0])
    x, y = (np.repeat(side, counts.astype(int)) for side in (a, b))
    if len(set(x)) < 2 or len(set(y)) < 2:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-9)


def test_means_and_f1_by_hand():
    assert once(mean_of(np.array([1.0, 0.0, 1.0, 1.0])), 4) == 0.75
    right, guessed, wanted = np.array([1, 0, 2]), np.array([2, 1, 2]), np.array([1, 0, 3])
    assert once(f1_of(right, guessed, wanted), 3) == pytest.approx(2 * 3 / (5 + 4))
    assert once(f1_of(np.zeros(2), np.zeros(2), np.zeros(2)), 2) == 0.0


def test_every_resample_holds_n_examples():
    drawn = np.concatenate(list(resamples(7, rounds=50)))
    assert drawn.shape == (50, 7)
    assert (drawn.sum(1) == 7).all()


def test_the_student_that_is_the_teacher_keeps_everything():
    scores = np.random.default_rng(0).random(200)
    told = compare(mean_of(scores), mean_of(scores), 200, rounds=200)
    assert told.retained_ci95 == (1.0, 1.0)
    assert (told.difference, told.difference_ci95, told.p) == (0.0, (0.0, 0.0), 1.0)


def test_a_student_that_is_worse_on_the_same_examples_is_told_apart_where_unpaired_intervals_overlap():
    rng = np.random.default_rng(1)
    hard = rng.random(400) < 0.5
    teacher = np.where(hard, 0.0, 1.0)
    student = teacher.copy()
    student[np.flatnonzero(~hard)[:16]] = 0.0
    told = compare(mean_of(student), mean_of(teacher), 400)
    assert told.difference == pytest.approx(-0.04)
    assert told.difference_ci95[1] < 0
    assert told.p < 0.01
    assert told.retained_ci95[0] < student.mean() / teacher.mean() < told.retained_ci95[1] < 1


def test_coin_flips_are_no_difference():
    """Both are right half of the time, on examples of their own: of 40 pairs few have a small p."""
    small = 0
    for seed in range(40):
        a, b = (np.random.default_rng([seed, side]).integers(0, 2, 150).astype(float) for side in (0, 1))
        small += compare(mean_of(a), mean_of(b), 150, rounds=400).p < 0.05
    assert small <= 6


def test_nothing_is_retained_of_a_teacher_that_may_be_worth_nothing():
    teacher = np.zeros(50)
    told = compare(mean_of(np.ones(50)), mean_of(teacher), 50, rounds=100)
    assert told.retained_ci95 is None
    assert told.difference == 1.0


def test_a_metric_that_is_never_defined_has_no_interval():
    flat = spearman_of(np.ones(20), np.arange(20.0))
    told = compare(flat, flat, 20, rounds=50)
    assert (told.retained_ci95, told.difference_ci95, told.p) == (None, None, None)


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr("distill.report.resampled.BLOCK", 1000)
    blocks = list(resamples(300, rounds=10))
    assert max(block.size for block in blocks) <= 1000
    assert sum(map(len, blocks)) == 10


def test_the_interval_of_a_median_is_that_of_the_tables():
    """Conover's table of order statistics: of 30 values the 10th and the 21st, of 6 the ends."""
    assert median_interval([float(value) for value in range(30, 0, -1)]) == (10.0, 21.0)
    assert median_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) == (1.0, 6.0)
    assert median_interval([1.0] * 5) is None


def test_the_interval_of_a_median_holds_it_nineteen_times_in_twenty():
    rng = np.random.default_rng(3)
    held = sum(low <= np.log(2) <= high for low, high in (median_interval(rng.exponential(size=40).tolist()) for _ in range(400)))
    assert held >= 368  # 92 %


def test_samples_are_lines_that_a_csv_reader_reads():
    rows = [('fast, "8-bit"', 1, 32, 1, 1, 1.25)]
    assert samples_csv(rows) == 'model,batch,sequence,threads,run,ms\n"fast, ""8-bit""",1,32,1,1,1.25\n'
