"""What the operating system counts, and energy, from files of its form."""

from __future__ import annotations

import os
import threading
import time

import pytest

from distill.measure import outside
from distill.measure.energy import EnergyMeter
from distill.measure.hardware import memory_now_mb, peak_rss_mb
from distill.measure.outside import MachineTime, ThreadWatch, cpu_seconds, machine_time, running_threads

linux = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="there is no /proc")


def test_the_machine_by_hand(tmp_path, monkeypatch):
    monkeypatch.setattr(outside, "TICK", 100)
    stat = tmp_path / "stat"
    stat.write_text("cpu  1000 200 300 99999 50 10 20 70 5 5\ncpu0 1 2 3\n")
    found = machine_time(stat)
    assert found == MachineTime(busy=pytest.approx(15.3), steal=pytest.approx(0.7), wall=found.wall)
    assert machine_time(tmp_path / "absent") is None
    stat.write_text("nothing\n")
    assert machine_time(stat) is None


@linux
def test_the_cpu_time_and_threads_of_this_process():
    before = cpu_seconds(os.getpid())
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    assert cpu_seconds(os.getpid()) - before >= 0.07
    assert running_threads(os.getpid()) >= 1
    assert cpu_seconds(2**22 + 1) is None
    assert running_threads(2**22 + 1) is None


@linux
def test_a_sleeping_thread_is_none_that_runs():
    done = threading.Event()
    sleepers = [threading.Thread(target=done.wait) for _ in range(3)]
    for sleeper in sleepers:
        sleeper.start()
    time.sleep(0.05)
    try:
        assert running_threads(os.getpid()) <= 2
    finally:
        done.set()


@pytest.mark.parametrize(
    ("counts", "used", "kept"),
    [([1, 1, 1], 1.0, True), ([1, 2, 1, 1, 1, 1, 1, 1, 1, 1], 1.0, True), ([2, 2, 2], 1.0, False), ([1, 1, 1], 1.8, False)],
)
def test_a_budget_that_is_kept_and_one_that_is_not(monkeypatch, counts, used, kept):
    clock = iter([0.0, 10.0])
    monkeypatch.setattr(outside, "cpu_seconds", lambda pid: used * 10.0 if cpu else cpu.append(1) or 0.0)
    monkeypatch.setattr(outside.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(outside, "running_threads", lambda pid: next(seen))
    cpu: list[int] = []
    seen = iter(counts)
    watch = ThreadWatch(1, 1)
    for _ in counts:
        watch.look()
    verdict = watch.verdict()
    assert verdict["kept"] is kept
    assert (verdict["running_most"], verdict["cpu_per_wall"]) == (max(counts), used)


def test_nothing_is_said_of_threads_where_the_system_does_not_tell(monkeypatch):
    monkeypatch.setattr(outside, "running_threads", lambda pid: None)
    watch = ThreadWatch(os.getpid(), 1)
    watch.look()
    assert watch.verdict() is None


@linux
def test_memory_as_the_kernel_counts_it():
    assert 10 < memory_now_mb() <= peak_rss_mb() * 1.01


def zone(root, name, energy, limit=1_000_000):
    (root / name).mkdir(parents=True)
    (root / name / "energy_uj").write_text(f"{energy}\n")
    (root / name / "max_energy_range_uj").write_text(f"{limit}\n")


def test_joules_of_two_packages_one_of_which_began_anew(tmp_path):
    zone(tmp_path, "intel-rapl:0", 900_000)
    zone(tmp_path, "intel-rapl:1", 100)
    zone(tmp_path, "intel-rapl:0:0", 5)  # a part of the first one
    meter = EnergyMeter(tmp_path)
    assert meter.offered
    before = meter.read()
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("99_999".replace("_", ""))
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text("500100")
    assert meter.joules(before, meter.read()) == pytest.approx(0.2 + 0.5)


def test_energy_that_is_not_offered(tmp_path):
    meter = EnergyMeter(tmp_path / "absent")
    assert not meter.offered
    assert "no RAPL" in meter.words
    assert meter.joules(meter.read(), meter.read()) is None
    (tmp_path / "intel-rapl:0").mkdir()
    assert "may not be read" in EnergyMeter(tmp_path).words
