"""Requests at random, and what is said of those that wait."""

from __future__ import annotations

import numpy as np
import pytest

from distill.measure.arrivals import Segment, arrival_times, server_row


def test_arrivals_are_a_poisson_process_of_the_rate():
    times = np.array(arrival_times(50.0, 200.0, (1, 2)))
    assert len(times) == pytest.approx(10_000, rel=0.03)
    gaps = np.diff(times)
    assert (gaps >= 0).all()
    assert times[-1] < 200
    assert np.mean(gaps) == pytest.approx(0.02, rel=0.03)
    assert np.std(gaps) == pytest.approx(np.mean(gaps), rel=0.03)  # the mark of an exponential
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 0.03


def test_one_seed_gives_the_same_requests_and_another_does_not():
    assert arrival_times(5.0, 10.0, (1, 2)) == arrival_times(5.0, 10.0, (1, 2))
    assert arrival_times(5.0, 10.0, (1, 2)) != arrival_times(5.0, 10.0, (1, 3))
    slow, quick = arrival_times(5.0, 10.0, (1,)), arrival_times(10.0, 10.0, (1,))
    assert quick[: len(slow)] == pytest.approx([time / 2 for time in slow])


def test_there_is_always_a_request():
    assert arrival_times(1e-6, 0.001, (1,)) == [0.0]


def row(*segments, rate=10.0, capacity=20.0):
    return server_row(segments, rate=rate, share=0.5, capacity=capacity, threads=1, sequence=None)


def test_queue_and_service_by_hand():
    segment = Segment((1.0, 2.0, 2.1), (1.0, 2.0, 2.3), (1.3, 2.3, 2.6), seconds=4.0)
    found = row(segment)
    assert found["queue_ms"] == pytest.approx([0, 0, 200])
    assert found["service_ms"] == pytest.approx([300, 300, 300])
    assert (found["p50_ms"], found["queue"]["p50_ms"], found["service"]["p50_ms"]) == (300.0, 0.0, 300.0)
    assert (found["p99_ms"], found["n"], found["unanswered"], found["saturated"]) == (None, 3, 0, False)
    assert found["busy"] == pytest.approx(0.225)  # 0.9 of 4 seconds
    assert found["offered_per_s"] == 0.75


def test_the_first_tenth_is_not_counted():
    segment = Segment((0.1, 2.0), (0.1, 2.0), (1.9, 2.1), seconds=4.0)
    assert row(segment)["n"] == 1


def test_requests_that_were_never_answered_count_as_long_as_they_waited():
    segment = Segment((1.0, 2.0, 3.0), (1.0,), (9.0,), seconds=4.0)
    found = row(segment)
    assert (found["unanswered"], found["saturated"]) == (2, True)
    assert found["queue_ms"] == pytest.approx([0, 7000, 6000])
    assert found["service"]["p50_ms"] == 8000.0  # of those that were answered
    nobody = row(Segment((1.0, 2.0), (), (), seconds=4.0))
    assert nobody["queue_ms"] == pytest.approx([3000, 2000])


def test_a_rate_beyond_the_capacity_is_saturated_even_if_all_were_answered():
    segment = Segment((1.0,), (1.0,), (1.1,), seconds=4.0)
    assert row(segment, rate=25.0)["saturated"]


def test_p99_and_its_interval_need_enough_requests_and_segments():
    times = tuple(np.linspace(1, 3.9, 40))
    many = [Segment(times, times, tuple(t + 0.01 for t in times), seconds=4.0, passing=number % 2) for number in range(6)]
    found = row(*many)
    assert found["p99_ms"] == pytest.approx(10.0)
    assert found["p99_ci95"] == pytest.approx([10.0, 10.0])
    few = row(*many[:2])
    assert (few["p99_ms"], few["p99_ci95"], few["p50_ci95"]) == (None, None, None)
