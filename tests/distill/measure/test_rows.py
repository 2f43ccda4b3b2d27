"""From raw times to a row, by hand."""

from __future__ import annotations

import pytest

from distill.measure.rows import Timing, disturbance, latency_row, percentile


def calm(*wall):
    return Timing(tuple(wall), cpu_ms=sum(wall))


def test_a_row_by_hand():
    row = latency_row(4, 32, 1, [calm(1.0, 2.0, 2.0), calm(2.0, 2.0)], busy=False)
    assert row == {
        "batch": 4,
        "sequence": 32,
        "threads": 1,
        "p50_ms": 2.0,
        "p90_ms": 2.0,
        "p99_ms": None,
        "cpu_ms": 1.8,  # (5 + 4) / 5
        "n": 5,
        "sentences_per_s": 2000.0,  # 4 in 2 ms
        "noisy": False,
        "samples_ms": [1.0, 2.0, 2.0, 2.0, 2.0],
    }


@pytest.mark.parametrize(("n", "known"), [(99, False), (100, True)])
def test_p99_needs_a_hundred_runs(n, known):
    row = latency_row(1, 32, 1, [calm(*[1.0] * n)], busy=False)
    assert (row["p99_ms"] is not None) is known


def test_percentiles_lie_between_two_values():
    assert percentile([10.0, 20.0], 50) == 15.0
    assert percentile([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0], 90) == 9.0


@pytest.mark.parametrize(
    ("timing", "threads", "noisy"),
    [
        (calm(1.0, 1.0, 1.0), 1, False),
        (Timing((1.0, 1.0, 1.0), cpu_ms=2.4), 1, True),  # waited a fifth of its time
        (Timing((1.0, 1.0, 1.0), cpu_ms=2.6), 1, False),
        (Timing((1.0, 1.0, 1.0), cpu_ms=2.4), 2, False),  # with threads, CPU time tells nothing
        (calm(1.0, 1.0, 1.0, 1.6, 1.6), 1, True),  # slow runs
        (calm(1.0, 1.0, 1.0, 1.4, 1.4), 1, False),
        (calm(1.0, 1.0, 1.0, 1.6, 1.6), 4, True),
    ],
)
def test_signs_of_a_disturbed_machine(timing, threads, noisy):
    assert (disturbance(timing, threads) > 1) is noisy
    assert latency_row(1, 8, threads, [timing], busy=False)["noisy"] is noisy


def test_passes_that_disagree_and_busy_machines_are_noisy():
    assert latency_row(1, 8, 1, [calm(1.0, 1.0), calm(1.3, 1.3)], busy=False)["noisy"]
    assert not latency_row(1, 8, 1, [calm(1.0, 1.0), calm(1.1, 1.1)], busy=False)["noisy"]
    assert latency_row(1, 8, 1, [calm(1.0, 1.0)], busy=True)["noisy"]
