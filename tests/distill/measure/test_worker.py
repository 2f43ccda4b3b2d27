"""The timing loop, with calls that do as they are told."""

from __future__ import annotations

import gc
import time

import pytest

from distill.measure import worker
from distill.measure.rows import Timing


@pytest.fixture(autouse=True)
def _short_warm_up(monkeypatch):
    monkeypatch.setattr(worker, "WARM_UP_SECONDS", 0.0)


def test_runs_and_seconds_are_both_met():
    calls = []
    timing = worker.timed(lambda: calls.append(1), 7, 0.0)
    assert len(timing.wall_ms) == 7
    assert len(calls) == 7 + worker.WARM_UP_RUNS
    timing = worker.timed(lambda: time.sleep(0.01), 1, 0.1)
    assert sum(timing.wall_ms) >= 80
    assert len(timing.wall_ms) > 1


def test_wall_time_counts_sleep_and_cpu_time_does_not():
    timing = worker.timed(lambda: time.sleep(0.005), 5, 0.0)
    assert min(timing.wall_ms) >= 5
    assert timing.cpu_ms < 0.5 * sum(timing.wall_ms)


def test_the_warm_up_lasts_as_long_as_it_should(monkeypatch):
    monkeypatch.setattr(worker, "WARM_UP_SECONDS", 0.05)
    calls = []
    worker.timed(lambda: (calls.append(1), time.sleep(0.005)), 1, 0.0)
    assert len(calls) - 1 > worker.WARM_UP_RUNS


def test_the_garbage_collector_is_off_while_timing_and_on_afterwards():
    seen = []
    worker.timed(lambda: seen.append(gc.isenabled()), 2, 0.0)
    assert seen[-2:] == [False, False]
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        worker.timed(lambda: 1 / 0 if not gc.isenabled() else None, 2, 0.0)
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("cpu_totals", "kept", "tries"),
    [([3.0], 3.0, 1), ([1.0, 3.0], 3.0, 2), ([1.0, 2.0, 1.5], 2.0, 3), ([1.0, 1.0, 3.0, 3.0], 3.0, 3)],
)
def test_a_disturbed_series_is_measured_again_and_the_calmest_kept(monkeypatch, cpu_totals, kept, tries):
    series, made = iter(cpu_totals), []

    def fake(run, min_runs, min_seconds):
        made.append(1)
        return Timing((1.0, 1.0, 1.0), next(series))

    monkeypatch.setattr(worker, "timed", fake)
    assert worker.calmest(lambda: None, 1, 3, 0.0).cpu_ms == kept
    assert len(made) == tries
