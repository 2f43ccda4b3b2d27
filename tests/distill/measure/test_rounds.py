"""The order of turns, repeats, and what becomes of a process that dies: with processes that are none."""

from __future__ import annotations

import bag
import fakeworkers
import numpy as np
import pytest

from distill.errors import DistillError
from distill.measure import latency, outside, rounds
from distill.measure.latency import Variant, measure_models

NAMES = ("fp32", "fast", "faithful")


@pytest.fixture
def variants(tmp_path):
    folder = bag.folder(tmp_path / "student")
    return [Variant(name, "export", "onnx", folder / "onnx" / bag.FILES[name]) for name in NAMES]


@pytest.fixture
def measured(monkeypatch, variants):
    """Measure with stand-ins on a machine where nothing else happens."""

    def go(times, *, cpu=1.0, dies=None, models=variants, **options):
        workers = fakeworkers.FakeWorkers(times, cpu, dies)
        monkeypatch.setattr(rounds, "Worker", workers)
        monkeypatch.setattr(latency, "load_average", lambda: 0.0)
        monkeypatch.setattr(latency, "available_cores", lambda: 4)
        given = {"batch": (1,), "sequence": (4,), "min_runs": 10, "progress": False} | options
        return measure_models(models, **given), workers

    return go


def steady(ms):
    return lambda key, number: [ms] * 4


def all_steady(**own):
    return {name: steady(own.get(name, 1.0)) for name in NAMES}


def turns(workers):
    asked = [name for name, does, _ in workers.asked if does == "block"]
    return [asked[at : at + 3] for at in range(0, len(asked), 3)]


def test_every_round_asks_each_once_and_the_next_one_backwards(measured):
    _, workers = measured(all_steady(), rounds=6)
    order = turns(workers)
    assert len(order) == 12  # 2 passes of 6 rounds
    assert all(sorted(turn) == sorted(NAMES) for turn in order)
    assert all(order[at] == order[at + 1][::-1] for at in range(0, 12, 2))
    assert len({tuple(turn) for turn in order}) > 2
    assert workers.started == [*NAMES, *NAMES[::-1]]  # fresh processes, in the opposite order
    again = measured(all_steady(), rounds=6)[1]
    assert turns(again) == order


def test_a_slow_drift_weighs_on_all_alike(measured):
    """The machine becomes slower by half over the run: the pooled medians move, the ratio does not."""
    seen = []

    def drifting(ms):
        def times(key, number):
            seen.append(1)
            return [ms * (1 + 0.5 * len(seen) / 60)] * 4

        return times

    result, _ = measured({"fp32": drifting(3.0), "fast": drifting(1.0), "faithful": drifting(2.0)}, rounds=10, repeats=0)
    fast, faithful = (variant["latency"][0]["ratio"] for variant in result["variants"][1:])
    assert fast["value"] == pytest.approx(3, rel=0.01)
    assert faithful["value"] == pytest.approx(1.5, rel=0.01)
    assert fast["ci95"][0] < 3 < fast["ci95"][1]
    assert fast["half_width"] < 0.03


def test_bursts_of_other_work_do_not_move_the_ratio(measured):
    rng = np.random.default_rng(3)

    def bursting(ms):
        return lambda key, number: ms * (1 + 0.02 * rng.random(4) + (2.0 if rng.random() < 0.2 else 0.0))

    result, _ = measured({"fp32": bursting(4.0), "fast": bursting(1.0), "faithful": bursting(2.0)}, rounds=15, repeats=0)
    ratio = result["variants"][1]["latency"][0]["ratio"]
    assert ratio["value"] == pytest.approx(4, rel=0.03)


def test_numbers_of_a_calm_machine(measured):
    result, _ = measured(all_steady(fp32=3.0, fast=1.5))
    first, fast, _ = result["variants"]
    row = fast["latency"][0]
    assert (row["p50_ms"], row["p50_ci95"], row["n"], row["blocks"], row["attempts"]) == (1.5, [1.5, 1.5], 40, 10, 1)
    assert row["ratio"] == {"to": "fp32", "value": 2.0, "ci95": [2.0, 2.0], "half_width": 0.0, "blocks": 10}
    assert row["cpu_ratio"]["value"] == 2.0
    assert first["latency"][0]["ratio"] is None
    assert (first["load_ms"], first["peak_rss_mb"], first["peak_over_base_mb"]) == (10.0, 160.0, 110.0)
    assert result["noise"]["comparable"]
    assert result["noise"]["noisy_rows"] == 0


def test_a_disturbed_cell_is_measured_again_and_the_calm_attempt_kept(measured, capsys):
    """The first attempt, two passes of three processes, waits for its core; the second does not."""
    result, _ = measured(all_steady(), cpu=lambda started: 0.5 if started <= 6 else 1.0, repeats=3, progress=True)
    row = result["variants"][1]["latency"][0]
    assert (row["attempts"], row["blocks"], row["set_aside"]) == (2, 10, 10)
    assert {place[0] for place in row["block_places"]} == {1}
    assert not row["noisy"]
    assert result["noise"]["comparable"]
    assert "measuring again, 1 of 3 times" in capsys.readouterr().err


def test_a_machine_that_stays_noisy_is_told_after_a_bounded_number_of_repeats(measured, capsys):
    result, workers = measured(all_steady(), cpu=0.5, repeats=2, progress=True)
    assert len(workers.started) == 3 * 2 * 3  # three attempts of two passes
    assert result["noise"]["attempts"] == 3
    assert not result["noise"]["comparable"]
    assert "too noisy to compare" in result["noise"]["words"]
    assert "too noisy to compare" in capsys.readouterr().err
    for variant in result["variants"]:
        assert variant["latency"][0]["noisy"]
        assert "held the core in 10 of 10 blocks" in variant["latency"][0]["noise"][0]


def test_a_ratio_that_is_not_known_well_is_a_reason(measured):
    def wild(key, number):
        return [1.0 + (number % 5)] * 4

    result, _ = measured({**all_steady(), "fast": wild}, repeats=0)
    row = result["variants"][1]["latency"][0]
    assert row["ratio"]["half_width"] > 0.05
    assert any("the ratio is known to" in reason for reason in row["noise"])


def test_a_trial_is_one_pass_without_repeats(measured):
    result, workers = measured(all_steady(), cpu=0.1, min_seconds=0.0, min_runs=3)
    assert workers.started == list(NAMES)
    assert [result["grid"][name] for name in ("passes", "rounds", "repeats")] == [1, 3, 0]
    assert result["variants"][1]["latency"][0]["ratio"]["ci95"] is None  # three blocks give no interval


@pytest.mark.parametrize("moment", ["hello", "case", "block", "bye"])
def test_a_process_that_dies_takes_no_other_with_it(measured, moment):
    result, workers = measured(all_steady(), dies={"fast": moment})
    fast, faithful = result["variants"][1:]
    assert "died" in (fast["error"] or "") or moment == "bye"
    assert faithful["error"] is None
    assert faithful["latency"][0]["blocks"] == 10
    assert fast["unavailable"] is False
    assert len([name for name in workers.started if name == "fast"]) == (2 if moment == "bye" else 1)


def test_without_the_reference_there_are_no_ratios(measured):
    result, _ = measured(all_steady(), dies={"fp32": "hello"})
    assert [variant["latency"][0]["ratio"] for variant in result["variants"][1:]] == [None, None]


def test_where_every_process_dies_the_first_error_is_raised(measured):
    with pytest.raises(DistillError, match="died"):
        measured(all_steady(), dies=dict.fromkeys(NAMES, "hello"))


def test_everything_is_ended_whatever_happens(variants, monkeypatch):
    class Stop(BaseException):
        pass

    def stop(key, number):
        raise Stop

    workers = fakeworkers.FakeWorkers({**all_steady(), "fast": stop})
    monkeypatch.setattr(rounds, "Worker", workers)
    with pytest.raises(Stop):
        measure_models(variants, batch=(1,), sequence=(4,), progress=False)
    assert sorted(workers.killed) == sorted(NAMES)


def test_a_load_beyond_the_capacity_is_said_to_be_one(measured):
    """A model that takes 10 ms answers 100 a second: at 150 a second the queue grows without end."""
    times = {name: steady(10.0) for name in NAMES}
    options = {"scenarios": ("server",), "rates": (20.0, 150.0), "loads": (0.5,), "server_seconds": 30.0}
    result, _ = measured(times, **options)
    slow, fast, half = result["variants"][0]["server"]
    assert not slow["saturated"]
    assert fast["saturated"]
    assert fast["queue"]["p99_ms"] > 10 * slow["queue"]["p99_ms"]
    assert (half["rate_per_s"], half["load"], half["capacity_per_s"]) == (50.0, 0.5, 100.0)
    # M/D/1 at half of its capacity: the mean wait is half a service time (Pollaczek and Khinchine)
    assert np.mean(half["queue_ms"]) == pytest.approx(5.0, rel=0.25)
    assert half["service"]["p50_ms"] == pytest.approx(10.0)
    assert result["variants"][1]["server"][0]["arrivals_s"] == slow["arrivals_s"]  # the same requests for all


def test_other_work_and_steal_are_counted_from_outside(measured, monkeypatch):
    """Four cores are busy and none with the model; half a core is taken by other virtual machines."""
    clock = {"now": 0.0}

    def machine():
        clock["now"] += 1.0
        return outside.MachineTime(busy=4.0 * clock["now"], steal=0.5 * clock["now"], wall=clock["now"])

    monkeypatch.setattr(rounds, "machine_time", machine)
    monkeypatch.setattr(rounds, "cpu_seconds", lambda pid: 0.0)
    monkeypatch.setattr(rounds, "all_cores", lambda: 4)
    monkeypatch.setattr(latency, "all_cores", lambda: 4)
    result, _ = measured(all_steady(), repeats=0)
    reasons = result["variants"][0]["latency"][0]["noise"]
    assert "other work kept 4.0 cores busy" in reasons
    assert any("other virtual machines took 12% of the time" in reason for reason in reasons)


def test_a_model_that_uses_more_threads_than_its_budget_is_marked(measured, monkeypatch):
    greedy = {"budget": 1, "running_most": 3, "running_mean": 2.1, "cpu_per_wall": 2.0, "kept": False}
    monkeypatch.setattr(fakeworkers._Worker, "watch_threads", lambda self, key: greedy if self.name == "fast" else None)
    result, _ = measured(all_steady())
    assert result["variants"][1]["latency"][0]["noise"] == ["it ran 2.1 threads on a budget of 1"]
    assert result["variants"][1]["threads_seen"] == [{"threads": 1, **greedy}]
    assert not result["noise"]["comparable"]
    assert result["variants"][2]["latency"][0]["noise"] == []
