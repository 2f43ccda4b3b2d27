"""From blocks of raw times to rows of the result, and the signs that the machine was disturbed.

A block is disturbed if, at one thread, its wall time exceeds the process's own CPU time by a fifth: something else held the core.
A row is noisy if more than a quarter of its blocks are disturbed, if other work kept more than half of the remaining cores busy,
if other virtual machines took more than 3 % of the time, if its slow runs are half as slow again as its median, if two passes
disagree by a fifth, if its ratio is known to no better than 5 %, or if more threads were asked for than there are cores.
Such a number is kept and marked with the reasons.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .intervals import half_width, median_interval, rate_interval, ratio_of

WALL_PER_CPU = 1.2
P90_PER_P50 = 1.5
PASS_PER_PASS = 1.2
DISTURBED_SHARE = 0.25
STEAL_SHARE = 0.03
OTHERS_SHARE = 0.5
RATIO_HALF_WIDTH = 0.05
LEAST_FOR_P99 = 100


@dataclass(frozen=True)
class Block:
    """Some runs of one model, one after the other, while the other models sleep.

    Attributes:
        wall_ms: wall time of each run.
        cpu_ms: CPU time of all threads of the process, summed over the runs.
        attempt, passing, round: which repeat, which set of processes, which turn.
        sentences, tokens: what all runs together worked through; padding is no token.
        sweeps: how often the block's whole work was done.
        seconds: on a clock, from outside.
        others: seconds of cores that other work used meanwhile; None where the system does not tell.
        steal: seconds of cores that other virtual machines took.
        joules: of the processor; None where it is not offered.
    """

    wall_ms: tuple[float, ...]
    cpu_ms: float
    attempt: int = 0
    passing: int = 0
    round: int = 0
    sentences: int = 0
    tokens: int = 0
    sweeps: int = 1
    seconds: float = 0.0
    others: float | None = None
    steal: float | None = None
    joules: float | None = None

    @property
    def typical_ms(self) -> float:
        """The median run."""
        return percentile(self.wall_ms, 50)

    @property
    def work_ms(self) -> float:
        """Once through the block's work."""
        return sum(self.wall_ms) / self.sweeps

    @property
    def cpu_run_ms(self) -> float:
        """CPU time of a run, on average."""
        return self.cpu_ms / len(self.wall_ms)

    @property
    def place(self) -> tuple[int, int, int]:
        """Blocks of several models at one place are of one round."""
        return self.attempt, self.passing, self.round


@dataclass(frozen=True)
class Machine:
    """What decides how much other work is too much.

    Attributes:
        cores: that this process may use.
        all_cores: of the whole machine.
        busy: the machine had more to do than it has cores before the measurement began.
    """

    cores: int
    all_cores: int
    busy: bool = False


def disturbed(block: Block, threads: int) -> bool:
    """Whether something else held the core. The CPU time of several threads says nothing about waiting."""
    return threads == 1 and sum(block.wall_ms) > WALL_PER_CPU * max(block.cpu_ms, 1e-9)


def disturbance(blocks: Sequence[Block], threads: int, machine: Machine) -> dict[str, float]:
    """The signs that come from outside the times themselves, each as a share of its limit: above 1 is noisy."""
    found = {"held": sum(disturbed(block, threads) for block in blocks) / len(blocks) / DISTURBED_SHARE}
    seconds = sum(block.seconds for block in blocks)
    if seconds > 0 and all(block.others is not None for block in blocks):
        free = max(machine.all_cores - threads, 1)
        found["others"] = sum(block.others or 0.0 for block in blocks) / seconds / (OTHERS_SHARE * free)
        found["steal"] = sum(block.steal or 0.0 for block in blocks) / seconds / machine.all_cores / STEAL_SHARE
    return found


def noise(blocks: Sequence[Block], threads: int, machine: Machine, ratio: dict[str, Any] | None) -> list[str]:
    """Why a row must not be compared, in words; nothing where it may."""
    signs = disturbance(blocks, threads, machine)
    found = []
    if signs["held"] > 1:
        share = sum(disturbed(block, threads) for block in blocks)
        found.append(f"other work held the core in {share} of {len(blocks)} blocks")
    if signs.get("others", 0) > 1:
        cores = sum(block.others or 0.0 for block in blocks) / sum(block.seconds for block in blocks)
        found.append(f"other work kept {cores:.1f} cores busy")
    if signs.get("steal", 0) > 1:
        found.append(f"other virtual machines took {signs['steal'] * STEAL_SHARE:.0%} of the time")
    if machine.busy:
        found.append("the machine had more to do than it has cores")
    if threads > machine.cores:
        found.append(f"{threads} threads on {machine.cores} core{'s' if machine.cores > 1 else ''}")
    if ratio is not None and ratio["half_width"] is not None and ratio["half_width"] > RATIO_HALF_WIDTH:
        found.append(f"the ratio is known to ±{ratio['half_width']:.0%} only")
    return found


def latency_row(
    batch: int, sequence: int | None, threads: int, blocks: Sequence[Block], machine: Machine, ratio: dict[str, Any] | None
) -> dict[str, Any]:
    """Pool the blocks of one cell of the grid, or of text sentence by sentence.

    Args:
        batch, sequence, threads: the cell; sequence None: text of its own lengths.
        blocks: at least one.
        machine: what it runs on.
        ratio: to the reference, see `ratio_to`.

    Returns:
        batch, sequence, threads, p50_ms, p50_ci95, p90_ms, p99_ms (null below 100 runs), cpu_ms (mean per run), n, blocks,
        sentences_per_s and tokens_per_s (at the median; of text: over all runs), ratio, noisy, noise (the reasons), energy_mj
        (mean per run), samples_ms (every run, in order), block_runs (how many of them each block has), block_places.
    """
    samples = [value for block in blocks for value in block.wall_ms]
    middle = percentile(samples, 50)
    reasons = noise(blocks, threads, machine, ratio) + _own_signs(samples, blocks, spread=sequence is not None)
    if sequence is not None:
        per_s = batch * 1000 / middle
        tokens = per_s * sequence
    else:
        total = sum(samples) / 1000
        per_s, tokens = sum(b.sentences for b in blocks) / total, sum(b.tokens for b in blocks) / total
    return {
        "batch": batch,
        "sequence": sequence,
        "threads": threads,
        "p50_ms": round(middle, 4),
        "p50_ci95": rounded(median_interval([block.wall_ms for block in blocks], [_pass(block) for block in blocks])),
        "p90_ms": round(percentile(samples, 90), 4),
        "p99_ms": round(percentile(samples, 99), 4) if len(samples) >= LEAST_FOR_P99 else None,
        "cpu_ms": round(sum(block.cpu_ms for block in blocks) / len(samples), 4),
        "n": len(samples),
        "blocks": len(blocks),
        "sentences_per_s": round(per_s, 2),
        "tokens_per_s": round(tokens, 1),
        "ratio": ratio,
        "noisy": bool(reasons),
        "noise": reasons,
        "energy_mj": _millijoules(blocks, len(samples)),
        "samples_ms": [round(value, 4) for value in samples],
        "block_runs": [len(block.wall_ms) for block in blocks],
        "block_places": [list(block.place) for block in blocks],
    }


def offline_row(
    batch: int, sequence: int | None, threads: int, blocks: Sequence[Block], machine: Machine, ratio: dict[str, Any] | None
) -> dict[str, Any]:
    """Throughput over a corpus, sorted by length and padded batch by batch.

    Args:
        batch, threads: of the runs.
        sequence: the longest of synthetic lengths; None: text.
        blocks, machine, ratio: as in `latency_row`.

    Returns:
        batch, sequence, threads, sentences_per_s, sentences_per_s_ci95, tokens_per_s, seconds, sentences, n (runs), blocks,
        ratio, noisy, noise, energy_mj (mean per sentence), samples_ms, block_runs, block_places.
    """
    seconds = [sum(block.wall_ms) / 1000 for block in blocks]
    sentences = [block.sentences for block in blocks]
    reasons = noise(blocks, threads, machine, ratio)
    return {
        "batch": batch,
        "sequence": sequence,
        "threads": threads,
        "sentences_per_s": round(sum(sentences) / sum(seconds), 2),
        "sentences_per_s_ci95": rounded(rate_interval(seconds, sentences, [_pass(block) for block in blocks])),
        "tokens_per_s": round(sum(block.tokens for block in blocks) / sum(seconds), 1),
        "seconds": round(sum(seconds), 3),
        "sentences": sum(sentences),
        "n": sum(len(block.wall_ms) for block in blocks),
        "blocks": len(blocks),
        "ratio": ratio,
        "noisy": bool(reasons),
        "noise": reasons,
        "energy_mj": _millijoules(blocks, sum(sentences)),
        "samples_ms": [round(value, 4) for block in blocks for value in block.wall_ms],
        "block_runs": [len(block.wall_ms) for block in blocks],
        "block_places": [list(block.place) for block in blocks],
    }


def ratio_to(
    name: str, reference: Sequence[Block], own: Sequence[Block], time_of: Callable[[Block], float]
) -> dict[str, Any] | None:
    """How many times faster than the reference, paired round by round.

    Args:
        name: of the reference.
        reference, own: their blocks; those of rounds that both have are paired.
        time_of: what is compared of a block: `Block.typical_ms`, or `work_ms` where the blocks are the same work, or `cpu_ms`.

    Returns:
        to, value (above 1: faster than the reference), ci95, half_width (the larger side of the interval as a share of the
        value), blocks; None where no round is shared.
    """
    theirs = {block.place: block for block in reference}
    pairs = [(theirs[block.place], block) for block in own if block.place in theirs]
    if not pairs:
        return None
    times = [[max(time_of(block), 1e-9) for block in side] for side in zip(*pairs, strict=True)]
    value, interval = ratio_of(times[0], times[1], [_pass(block) for _, block in pairs])
    width = half_width(value, interval)
    return {
        "to": name,
        "value": round(value, 4),
        "ci95": rounded(interval),
        "half_width": None if width is None else round(width, 4),
        "blocks": len(pairs),
    }


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` percent of the values lie, between two values linearly."""
    return float(np.percentile(np.asarray(values, np.float64), share))


def rounded(interval: tuple[float, float] | None) -> list[float] | None:
    """An interval as JSON."""
    return None if interval is None or not all(map(math.isfinite, interval)) else [round(end, 4) for end in interval]


def _own_signs(samples: Sequence[float], blocks: Sequence[Block], *, spread: bool) -> list[str]:
    """The signs that the times themselves give. Text of several lengths is spread by nature."""
    found = []
    if spread and percentile(samples, 90) > P90_PER_P50 * percentile(samples, 50):
        found.append(f"the slow runs take {percentile(samples, 90) / percentile(samples, 50):.1f} times the median")
    passes: dict[tuple[int, int], list[float]] = {}
    for block in blocks:
        passes.setdefault((block.attempt, block.passing), []).extend(block.wall_ms)
    medians = [percentile(values, 50) for values in passes.values()]
    if max(medians) > PASS_PER_PASS * min(medians):
        found.append(f"two passes differ by {max(medians) / min(medians) - 1:.0%}")
    return found


def _pass(block: Block) -> int:
    return block.attempt * 1000 + block.passing


def _millijoules(blocks: Sequence[Block], per: int) -> float | None:
    joules = [block.joules for block in blocks if block.joules is not None]
    return round(sum(joules) * 1000 / per, 3) if len(joules) == len(blocks) and per else None
