"""From raw times to one row of the table, and the signs that the machine was disturbed.

A row is noisy if, at one thread, the wall time exceeds the process's own CPU time by a fifth (something else held the
core), if its slow runs are half as slow again as its median, if the two passes disagree by a fifth, if the machine had
more work than cores, or if more threads were asked for than there are cores. Such a number is kept and marked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

WALL_PER_CPU = 1.2
P90_PER_P50 = 1.5
PASS_PER_PASS = 1.2
LEAST_FOR_P99 = 100


@dataclass(frozen=True)
class Timing:
    """One series of runs in one process.

    Attributes:
        wall_ms: wall time of each run.
        cpu_ms: CPU time of all threads of the process, summed over the runs.
    """

    wall_ms: tuple[float, ...]
    cpu_ms: float


def disturbance(timing: Timing, threads: int) -> float:
    """How disturbed a series was: above 1 is noisy. The larger of its signs, each as a share of its limit."""
    spread = percentile(timing.wall_ms, 90) / percentile(timing.wall_ms, 50) / P90_PER_P50
    if threads > 1:  # the CPU time of several threads says nothing about waiting
        return spread
    return max(spread, sum(timing.wall_ms) / max(timing.cpu_ms, 1e-9) / WALL_PER_CPU)


def latency_row(batch: int, sequence: int, threads: int, passes: Sequence[Timing], *, busy: bool) -> dict[str, Any]:
    """Pool the passes of one cell of the grid.

    Args:
        batch, sequence, threads: the cell.
        passes: at least one series of runs, each of a process of its own.
        busy: the machine had more to do than it has cores.

    Returns:
        batch, sequence, threads, p50_ms, p90_ms, p99_ms (null below 100 runs), cpu_ms (mean per run), n,
        sentences_per_s (at the median), noisy, samples_ms (every run, in order).
    """
    samples = [value for timing in passes for value in timing.wall_ms]
    medians = [percentile(timing.wall_ms, 50) for timing in passes]
    middle = percentile(samples, 50)
    noisy = busy or any(disturbance(timing, threads) > 1 for timing in passes) or max(medians) > PASS_PER_PASS * min(medians)
    return {
        "batch": batch,
        "sequence": sequence,
        "threads": threads,
        "p50_ms": round(middle, 4),
        "p90_ms": round(percentile(samples, 90), 4),
        "p99_ms": round(percentile(samples, 99), 4) if len(samples) >= LEAST_FOR_P99 else None,
        "cpu_ms": round(sum(timing.cpu_ms for timing in passes) / len(samples), 4),
        "n": len(samples),
        "sentences_per_s": round(batch * 1000 / middle, 2),
        "noisy": noisy,
        "samples_ms": [round(value, 4) for value in samples],
    }


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` percent of the values lie, between two values linearly."""
    return float(np.percentile(np.asarray(values, np.float64), share))
