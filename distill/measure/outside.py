"""A process and its machine as the operating system counts them: read from outside, from /proc, without touching the process.

On a system without /proc every answer is None, and what depends on it says "not offered".
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
SLACK = 1.15
"""CPU time over wall time may exceed the budget by so much: the kernel counts in ticks."""


@dataclass(frozen=True)
class MachineTime:
    """What all cores of the machine have done since it started, in seconds of one core.

    Attributes:
        busy: with work, that of other containers on the machine included.
        steal: taken by other virtual machines.
        wall: seconds on a clock.
    """

    busy: float
    steal: float
    wall: float


def machine_time(stat: Path = Path("/proc/stat")) -> MachineTime | None:
    """Read the first line of /proc/stat; None where there is none."""
    try:
        words = stat.read_text("utf-8").split("\n", 1)[0].split()
        user, nice, system, _, _, irq, soft, steal = (int(word) / TICK for word in words[1:9])
    except (OSError, ValueError):
        return None
    return MachineTime(user + nice + system + irq + soft, steal, time.monotonic())


def cpu_seconds(pid: int) -> float | None:
    """CPU time that all threads of a process have used, in seconds; None where it cannot be read."""
    fields = _stat(Path(f"/proc/{pid}/stat"))
    return None if fields is None else (int(fields[11]) + int(fields[12])) / TICK


def running_threads(pid: int) -> int | None:
    """How many threads of a process run or wait for a core, now."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return None
    states = [_stat(task / "stat") for task in tasks]
    return sum(1 for fields in states if fields is not None and fields[0] == "R")


class ThreadWatch:
    """Counts the running threads of a process at moments while it works, and its CPU time over all of them.

    Args:
        pid: the process.
        threads: its budget.
    """

    def __init__(self, pid: int, threads: int) -> None:
        self.pid = pid
        self.threads = threads
        self.counts: list[int] = []
        self._cpu, self._wall = cpu_seconds(pid), time.monotonic()

    def look(self) -> None:
        """Count once."""
        count = running_threads(self.pid)
        if count is not None:
            self.counts.append(count)

    def verdict(self) -> dict[str, Any] | None:
        """budget, running_most, running_mean, cpu_per_wall (cores used), kept: whether it stayed within its budget.

        A thread that starts another one is running beside it for a moment, so the mean of the counts decides, not the most.
        """
        cpu, wall = cpu_seconds(self.pid), time.monotonic() - self._wall
        if cpu is None or self._cpu is None or not self.counts or wall <= 0:
            return None
        mean, used = sum(self.counts) / len(self.counts), (cpu - self._cpu) / wall
        return {
            "budget": self.threads,
            "running_most": max(self.counts),
            "running_mean": round(mean, 2),
            "cpu_per_wall": round(used, 2),
            "kept": mean <= self.threads * SLACK + 0.1 and used <= self.threads * SLACK,
        }


def _stat(path: Path) -> list[str] | None:
    """The fields of a /proc stat file behind the name: state, ..., utime at 11, stime at 12."""
    try:
        return path.read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None
