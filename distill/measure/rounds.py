"""The order in which models are asked. All of them stay in memory, one works at a time, and they take turns in short blocks.

Within a pass every round asks each model once for each case, in a drawn order; the next round asks in the opposite order
(A B C, then C B A), so that a slow drift of the machine weighs on all alike and the place in the order on none. The next pass
does it again with fresh processes, started in the opposite order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DistillError
from ..scratch import scratch
from .arrivals import PATIENCE, Segment, arrival_times
from .cases import Case, blocks_of
from .energy import EnergyMeter
from .outside import MachineTime, cpu_seconds, machine_time
from .plan import SEGMENTS, Plan
from .process import Worker
from .rows import Block

SEED = 20_241
MOST_REQUESTS = 5000
"""Of a segment of the server scenario, which is cut short where more would come."""
Key = tuple[str, int]  # case and threads


@dataclass
class Collected:
    """What the processes of one variant gave.

    Attributes:
        load_ms, start_ms, peak_rss_mb, base_mb: one of each process.
        first_ms, compile_ms: case and threads -> one of each process.
        blocks: case and threads -> in order.
        segments: case, threads and number of the load -> in order.
        capacity: case and threads -> requests a second.
        checks: threads -> what was seen of its threads from outside.
        idle: seconds of CPU time in the turns of others, and seconds of these turns.
        error: why it was given up.
    """

    load_ms: list[float] = field(default_factory=list)
    start_ms: list[float] = field(default_factory=list)
    peak_rss_mb: list[float] = field(default_factory=list)
    base_mb: list[float] = field(default_factory=list)
    first_ms: dict[Key, list[float]] = field(default_factory=dict)
    compile_ms: dict[Key, list[float]] = field(default_factory=dict)
    blocks: dict[Key, list[Block]] = field(default_factory=dict)
    segments: dict[tuple[str, int, int], list[Segment]] = field(default_factory=dict)
    capacity: dict[Key, float] = field(default_factory=dict)
    checks: dict[int, dict[str, Any] | None] = field(default_factory=dict)
    idle: list[float] = field(default_factory=lambda: [0.0, 0.0])
    error: DistillError | None = None


@dataclass(frozen=True)
class Task:
    """One variant in one pass: how it is started, what it runs, where its results go."""

    name: str
    spec: dict[str, Any]
    cases: tuple[Case, ...]
    into: Collected


class Pass:
    """One set of fresh processes, one for each variant that is still there, at one number of threads.

    Args:
        tasks: the variants.
        plan: how often.
        threads: budget of each.
        attempt, passing: which this is.
        meter: of energy.
        cache: where torch.compile may keep what it made.
        tick: called after every step.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        plan: Plan,
        threads: int,
        attempt: int,
        passing: int,
        meter: EnergyMeter,
        cache: Path,
        tick: Callable[[], None],
    ) -> None:
        self.tasks = [task for task in tasks if task.into.error is None and task.cases]
        self.plan, self.threads, self.attempt, self.passing = plan, threads, attempt, passing
        self.meter, self.cache, self.tick = meter, cache, tick
        self.workers: dict[str, Worker] = {}
        self.tokens: dict[tuple[str, str], list[int]] = {}
        self.rested: dict[str, tuple[float, float]] = {}

    def run(self) -> None:
        """Start, measure in rounds, end. A process that dies is noted in its `Collected`, and the others go on."""
        # An empty working directory, so that no file beside the user shadows a module.
        with scratch("measure") as place:
            try:
                for number, task in enumerate(self.tasks if self.passing % 2 == 0 else self.tasks[::-1]):
                    folder = place / str(number)
                    folder.mkdir()
                    self._guarded(task, self._start, folder)
                    self.tick()
                self._rounds()
                self._serve()
                for task in self.tasks:
                    self._guarded(task, self._end)
            finally:
                for worker in self.workers.values():
                    worker.kill()

    def _start(self, task: Task, folder: Path) -> None:
        worker = self.workers[task.name] = Worker(task.name, self.threads, task.spec, folder, self.cache)
        into = task.into
        into.load_ms.append(worker.hello["load_ms"])
        into.start_ms.append(worker.hello["start_ms"])
        if worker.hello["base_mb"] is not None:
            into.base_mb.append(worker.hello["base_mb"])
        for case in task.cases:
            made = worker.ask("case", **case.spec())
            self.tokens[task.name, case.key] = made["tokens"]
            into.first_ms.setdefault((case.key, self.threads), []).append(made["first_ms"])
            if made["compile_ms"] is not None:
                into.compile_ms.setdefault((case.key, self.threads), []).append(made["compile_ms"])
        if self.threads not in into.checks and self.plan.min_seconds > 0:
            into.checks[self.threads] = worker.watch_threads(task.cases[-1].key)

    def _rounds(self) -> None:
        cases = {case.key: case for task in self.tasks for case in task.cases if case.scenario != "server"}
        total = self.plan.passes * self.plan.rounds
        for turn in range(self.plan.rounds):
            for number, case in enumerate(cases.values()):
                groups = blocks_of(case, total)[self.passing * self.plan.rounds + turn]
                for task in self._order(number, turn, case):
                    self._guarded(task, self._block, case, turn, groups)
                self.tick()

    def _block(self, task: Task, case: Case, turn: int, groups: list[int]) -> None:
        worker = self.workers[task.name]
        runs = {"min_runs": 1 if case.sequence is None else self.plan.block_runs, "min_seconds": self.plan.block_seconds}
        answer, seen = self._watched(task, lambda: worker.ask("block", key=case.key, groups=groups, **runs))
        times = max(1, len(answer["wall_ms"]) // len(groups))
        tokens = self.tokens[task.name, case.key]
        block = Block(
            tuple(answer["wall_ms"]),
            answer["cpu_ms"],
            attempt=self.attempt,
            passing=self.passing,
            round=turn,
            sentences=times * sum(len(case.groups[group]) for group in groups),
            tokens=times * sum(tokens[group] for group in groups),
            sweeps=times,
            **seen,
        )
        task.into.blocks.setdefault((case.key, self.threads), []).append(block)

    def _serve(self) -> None:
        cases = {case.key: case for task in self.tasks for case in task.cases if case.scenario == "server"}
        for number, case in enumerate(cases.values()):
            for task in self._order(number, 0, case):
                if (case.key, self.threads) not in task.into.capacity:
                    self._guarded(task, self._find_capacity, case)
            for turn in range(SEGMENTS):
                for load in range(len(self.plan.asked_loads())):
                    for task in self._order(number, turn, case):
                        self._guarded(task, self._segment, case, turn, load)
                self.tick()

    def _find_capacity(self, task: Task, case: Case) -> None:
        """Requests a second, answered one after the other."""
        groups = list(range(0, len(case.groups), max(1, len(case.groups) // 64)))
        runs = {"min_runs": self.plan.min_runs, "min_seconds": min(self.plan.min_seconds, 0.5)}
        wall = self.workers[task.name].ask("block", key=case.key, groups=groups, **runs)["wall_ms"]
        task.into.capacity[case.key, self.threads] = 1000 * len(wall) / sum(wall)

    def _segment(self, task: Task, case: Case, turn: int, load: int) -> None:
        rate, share = self.plan.asked_loads()[load]
        if rate is None:
            rate = (share or 0.0) * task.into.capacity[case.key, self.threads]
        seconds = min(self.plan.segment_seconds, MOST_REQUESTS / rate)
        seed = (SEED, load, self.passing, turn)
        times = arrival_times(rate, seconds, seed)
        groups = np.random.default_rng([*seed, 1]).integers(0, len(case.groups), len(times)).tolist()
        asked = {"key": case.key, "groups": groups, "times": times, "limit": PATIENCE * seconds}
        answer, seen = self._watched(task, lambda: self.workers[task.name].ask("serve", **asked))
        segment = Segment(
            tuple(times),
            tuple(answer["start"]),
            tuple(answer["end"]),
            seconds,
            self.passing,
            answer["cpu_ms"],
            seen["others"],
            seen["steal"],
        )
        task.into.segments.setdefault((case.key, self.threads, load), []).append(segment)

    def _watched(self, task: Task, ask: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Ask, and tell what the machine did meanwhile."""
        pid = self.workers[task.name].pid
        own, machine, energy = cpu_seconds(pid), machine_time(), self.meter.read()
        self._note_rest(task, own, machine)
        answer = ask()
        joules = self.meter.joules(energy, self.meter.read())
        after, later = machine_time(), cpu_seconds(pid)
        if machine is None or after is None or own is None or later is None:
            return answer, {"seconds": 0.0, "others": None, "steal": None, "joules": joules}
        self.rested[task.name] = (later, after.wall)
        others = max(0.0, (after.busy - machine.busy) - (later - own))
        seen = {"seconds": after.wall - machine.wall, "others": others, "steal": after.steal - machine.steal, "joules": joules}
        return answer, seen

    def _note_rest(self, task: Task, own: float | None, machine: MachineTime | None) -> None:
        """CPU time that a process used since its last turn: it should have slept."""
        if own is not None and machine is not None and task.name in self.rested:
            used, since = self.rested[task.name]
            task.into.idle[0] += own - used
            task.into.idle[1] += machine.wall - since

    def _end(self, task: Task) -> None:
        task.into.peak_rss_mb.append(self.workers[task.name].close()["peak_rss_mb"])

    def _order(self, number: int, turn: int, case: Case) -> list[Task]:
        """Who runs a case in a round: drawn for two rounds, the second of them backwards."""
        tasks = [task for task in self.tasks if case in task.cases]
        drawn = np.random.default_rng([SEED, self.attempt, self.passing, turn // 2, number]).permutation(len(tasks))
        return [tasks[place] for place in (drawn if turn % 2 == 0 else drawn[::-1])]

    def _guarded(self, task: Task, does: Callable[..., None], *values: Any) -> None:
        """Do something with a process unless it is given up; one that fails now is given up."""
        if task.into.error is not None:
            return
        try:
            does(task, *values)
        except DistillError as error:
            task.into.error = error
            worker = self.workers.pop(task.name, None)
            if worker is not None:
                worker.kill()


def steps(tasks: Sequence[Task], plan: Plan) -> int:
    """How many steps a pass has."""
    cases = {case.key: case.scenario for task in tasks for case in task.cases}
    served = sum(scenario == "server" for scenario in cases.values())
    alive = sum(1 for task in tasks if task.into.error is None and task.cases)
    return alive + (len(cases) - served) * plan.rounds + served * SEGMENTS


def all_cores() -> int:
    """Logical cores of the whole machine."""
    return os.cpu_count() or 1
