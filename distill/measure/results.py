"""From what the processes gave to the rows of measure.json, and whether they may be compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .arrivals import Segment, server_row
from .cases import Case
from .plan import Plan
from .rounds import Collected
from .rows import DISTURBED_SHARE, RATIO_HALF_WIDTH, Block, Machine, disturbance, latency_row, noise, offline_row, ratio_to

Row = dict[str, Any]
PARTS = ("latency", "text", "offline", "server")


@dataclass(frozen=True)
class Results:
    """Everything that was measured.

    Attributes:
        plan: what was asked for.
        cases: what was run.
        found: variant -> what its processes gave; the first one is the reference.
        attempts: case and threads -> how often it was measured.
        machine: what it ran on.
    """

    plan: Plan
    cases: Sequence[Case]
    found: Mapping[str, Collected]
    attempts: dict[tuple[str, int], int]
    machine: Machine

    def kept(self, case: Case, count: int) -> dict[str, list[Block]]:
        """The blocks of every model that count: those of calm attempts, or else of the calmest one.

        Which attempt that is, signs from outside decide (waiting for a core, other work, steal), never the times.
        """
        blocks = {name: found.blocks.get((case.key, count), []) for name, found in self.found.items()}
        numbers = sorted({block.attempt for rows in blocks.values() for block in rows})
        worst = dict.fromkeys(numbers, 0.0)
        for rows in blocks.values():
            for number in numbers:
                part = [block for block in rows if block.attempt == number]
                if part:
                    worst[number] = max(worst[number], *disturbance(part, count, self.machine).values())
        calm = [number for number in numbers if worst[number] <= 1] or sorted(numbers, key=lambda number: worst[number])[:1]
        return {name: [block for block in rows if block.attempt in calm] for name, rows in blocks.items()}

    def row(self, name: str, case: Case, count: int, machine: Machine | None = None) -> Row | None:
        """The row of a variant for a case that is not the server's; None where it was not run."""
        kept = self.kept(case, count)
        blocks, first, machine = kept[name], next(iter(self.found)), machine or self.machine
        if not blocks:
            return None
        offline = case.scenario == "offline"
        ratio = cpu_ratio = None
        if name != first:
            ratio = ratio_to(first, kept[first], blocks, work_ms if offline else typical_ms)
            cpu_ratio = ratio_to(first, kept[first], blocks, lambda block: block.cpu_run_ms)
        make = offline_row if offline else latency_row
        row = make(case.batch, case.sequence, count, blocks, machine, ratio)
        set_aside = len(self.found[name].blocks[case.key, count]) - len(blocks)
        return {**row, "cpu_ratio": cpu_ratio, "attempts": self.attempts.get((case.key, count), 1), "set_aside": set_aside}

    def rows(self, name: str, *, compiled: bool) -> dict[str, list[Row]]:
        """Every row of a variant: latency (the grid), text, offline, server."""
        rows: dict[str, list[Row]] = {part: [] for part in PARTS}
        found = self.found[name]
        for count in self.plan.threads:
            for case in self.cases:
                if case.scenario == "server":
                    rows["server"] += self._server_rows(name, case, count)
                elif row := self.row(name, case, count):
                    more = {"first_ms": most(found.first_ms.get((case.key, count), []))}
                    if compiled:
                        more["compile_ms"] = most(found.compile_ms.get((case.key, count), []))
                    part = "offline" if case.scenario == "offline" else "text" if case.sequence is None else "latency"
                    rows[part].append({**row, **more})
            self._mark_greedy(found.checks.get(count), count, rows)
        return rows

    def _mark_greedy(self, seen: Mapping[str, Any] | None, count: int, rows: Mapping[str, list[Row]]) -> None:
        """Mark the rows of a model that used more than its thread budget: its times are not those of so many threads."""
        if seen is None or seen["kept"]:
            return
        for part in rows.values():
            for row in part:
                if row["threads"] == count:
                    row["noisy"] = True
                    row["noise"] = [*row["noise"], f"it ran {seen['running_mean']} threads on a budget of {count}"]

    def _server_rows(self, name: str, case: Case, count: int) -> Iterator[Row]:
        found = self.found[name]
        for load, (rate, share) in enumerate(self.plan.asked_loads()):
            segments = found.segments.get((case.key, count, load))
            if not segments:
                continue
            capacity = found.capacity[case.key, count]
            asked = rate if rate is not None else (share or 0.0) * capacity
            row = server_row(segments, rate=asked, share=share, capacity=capacity, threads=count, sequence=case.sequence)
            reasons = noise([_as_block(segments)], count, self.machine, None)
            yield {**row, "noisy": bool(reasons), "noise": reasons}

    def hopeless(self) -> bool:
        """Whether nothing at all was measured."""
        return not any(found.blocks or found.segments for found in self.found.values())


def verdict(rows: Mapping[str, Mapping[str, Sequence[Row]]], attempts: int) -> dict[str, Any]:
    """Whether the numbers may be compared, and why not.

    Args:
        rows: variant -> part -> rows.
        attempts: how often cells were measured at most.
    """
    flat = [row for parts in rows.values() for part in parts.values() for row in part]
    noisy = [row for row in flat if row["noisy"]]
    reasons = list(dict.fromkeys(reason for row in noisy for reason in row["noise"]))
    words = "no row is disturbed"
    if noisy:
        words = f"{len(noisy)} of {len(flat)} rows are too noisy to compare ({'; '.join(reasons[:3])})"
        words += "; measure again when it is calm"
    return {
        "comparable": not noisy,
        "noisy_rows": len(noisy),
        "rows": len(flat),
        "attempts": attempts,
        "words": words,
        "limits": {"disturbed_blocks": DISTURBED_SHARE, "ratio_half_width": RATIO_HALF_WIDTH},
    }


def typical_ms(block: Block) -> float:
    """The median run of a block."""
    return block.typical_ms


def work_ms(block: Block) -> float:
    """Once through the work of a block."""
    return block.work_ms


def most(values: Sequence[float]) -> float | None:
    """The largest, rounded; None of none."""
    return round(max(values), 3) if values else None


def _as_block(segments: Sequence[Segment]) -> Block:
    """The segments of a load as one block, for its signs of noise: answering and CPU time, other work, steal."""
    busy = sum(end - start for segment in segments for start, end in zip(segment.start, segment.end, strict=True))
    seconds = sum(max(segment.seconds, segment.end[-1] if segment.end else 0.0) for segment in segments)
    cpu = sum(segment.cpu_ms for segment in segments)
    others, steal = _sum(segment.others for segment in segments), _sum(segment.steal for segment in segments)
    return Block((busy * 1000,), cpu, seconds=seconds, others=others, steal=steal)


def _sum(values: Iterable[float | None]) -> float | None:
    rows = list(values)
    return None if any(value is None for value in rows) else sum(value or 0.0 for value in rows)
