"""What is said of the machine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

from distill.measure import hardware


def test_this_machine():
    found = hardware.environment()
    assert found["cpu"]
    assert 1 <= found["cores"] <= found["cores_logical"]
    assert found["memory_gb"] > 0.1
    assert found["python"] == platform.python_version()
    assert found["packages"]["numpy"] == numpy.__version__
    assert found["packages"].keys() <= set(hardware.PACKAGES)
    assert isinstance(found["container"], bool)


def test_nothing_of_the_user_or_the_host_is_told():
    text = json.dumps(hardware.environment())
    for secret in (str(Path.home()), os.getcwd(), platform.node()):
        assert len(secret) < 3 or secret not in text


def pretend(monkeypatch, files):
    monkeypatch.setattr(hardware, "_read", lambda path: files.get(path, ""))


def test_an_x86_of_two_hyperthreaded_cores(monkeypatch):
    block = "processor : {}\nmodel name : Some CPU @ 2 GHz\nphysical id : 0\ncore id : {}\nflags : fpu avx2 fma avx512_vnni\n"
    pretend(monkeypatch, {"/proc/cpuinfo": "\n".join(block.format(number, number // 2) for number in range(4)) + "\n"})
    found = hardware.environment()
    assert found["cpu"] == "Some CPU @ 2 GHz"
    assert found["flags"] == ["avx2", "fma", "avx512_vnni"]
    assert found["cores_physical"] == 2


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"/sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"/sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n", "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_limits_of_a_container(monkeypatch, files, quota):
    pretend(monkeypatch, {**files, "/sys/fs/cgroup/memory.max": "64000000\n"})
    found = hardware.environment()
    assert found["cpu_quota"] == quota
    assert found["memory_gb"] == 0.1


def test_peak_memory_is_our_own():
    """A child of a large process must not count the memory of its parent."""
    ballast = numpy.ones(60_000_000)  # 480 MB
    program = "from distill.measure.hardware import peak_rss_mb; print(peak_rss_mb())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 5 < float(done.stdout) < 200
    assert hardware.peak_rss_mb() > 480
    assert ballast[0] == 1
