"""What is to be measured, and how often: refused before the first process starts where it cannot be met."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from ..errors import UserError, nearest
from .cases import Scenario, Scope

SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)
SCOPES: tuple[Scope, ...] = get_args(Scope)
ROUNDS = 5
PASSES = 2
REPEATS = 1
SEGMENTS = 3
"""Of the server scenario, in each pass."""


@dataclass(frozen=True)
class Plan:
    """The whole of a measurement.

    Attributes:
        batch, sequence, threads: the grid.
        min_runs, min_seconds: of every row of the grid, over all passes and rounds.
        scenarios: single_stream, offline, server.
        scope: model, or end_to_end with tokenization.
        text: a file of the user's own sentences.
        rates: requests a second of the server scenario.
        loads: the same as shares of what each model can answer.
        server_seconds: of every load of every model, over all passes.
        passes: sets of fresh processes.
        rounds: turns of every model within a pass.
        repeats: how often noisy cells are measured again.
    """

    batch: tuple[int, ...] = (1, 32)
    sequence: tuple[int, ...] = (32, 128)
    threads: tuple[int, ...] = (1,)
    min_runs: int = 30
    min_seconds: float = 1.0
    scenarios: tuple[Scenario, ...] = ("single_stream",)
    scope: Scope = "model"
    text: Path | None = None
    rates: tuple[float, ...] = ()
    loads: tuple[float, ...] = (0.5, 0.8)
    server_seconds: float = 12.0
    passes: int = PASSES
    rounds: int = ROUNDS
    repeats: int = REPEATS

    @property
    def block_runs(self) -> int:
        """Runs of a block of the grid, at least."""
        return math.ceil(self.min_runs / (self.passes * self.rounds))

    @property
    def block_seconds(self) -> float:
        """Seconds of a block of the grid, at least."""
        return self.min_seconds / (self.passes * self.rounds)

    @property
    def segment_seconds(self) -> float:
        """Seconds of a segment of the server scenario."""
        return self.server_seconds / (self.passes * SEGMENTS)

    def asked_loads(self) -> list[tuple[float | None, float | None]]:
        """Every load of the server scenario: (requests a second, None) or (None, share of the capacity)."""
        return [*((rate, None) for rate in self.rates), *((None, share) for share in self.loads)]

    def settled(self) -> Plan:
        """Checked, and as a trial where no time is to be spent: one pass, no more rounds than runs, nothing twice.

        Raises:
            UserError: a number is out of range, or a name is unknown.
        """
        self._check_grid()
        self._check_scenarios()
        if self.min_seconds > 0:
            return self
        return replace(self, passes=1, rounds=min(self.rounds, self.min_runs), repeats=0)

    def _check_grid(self) -> None:
        cells = [(b, s, t) for t in self.threads for b in self.batch for s in self.sequence]
        if not cells or len(set(cells)) != len(cells) or min(min(cell) for cell in cells) < 1:
            raise UserError(
                "this grid cannot be measured",
                where="measure",
                got=cells,
                expected="batch, sequence and threads: different whole numbers from 1",
            )
        least = min(self.min_runs, self.passes, self.rounds)
        if least < 1 or not 0 <= self.min_seconds < math.inf or self.repeats < 0:
            raise UserError(
                "these numbers of runs cannot be met",
                where="measure",
                got=f"min_runs {self.min_runs}, min_seconds {self.min_seconds}, passes {self.passes}, rounds {self.rounds}, "
                f"repeats {self.repeats}",
                expected="at least 1 run, 0 seconds, 1 pass, 1 round and 0 repeats",
            )

    def _check_scenarios(self) -> None:
        _check_names("scenarios", self.scenarios, SCENARIOS)
        _check_names("scope", (self.scope,), SCOPES)
        if "server" not in self.scenarios:
            return
        if not self.rates and not self.loads:
            raise UserError("the server scenario has no load", where="measure.rates", expected="rates, or loads")
        if any(not 0 < value < math.inf for value in (*self.rates, *self.loads, self.server_seconds)):
            raise UserError(
                "these loads cannot be met",
                where="measure",
                got=f"rates {self.rates}, loads {self.loads}, server_seconds {self.server_seconds}",
                expected="numbers above 0",
            )


def _check_names(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    if not names or len(set(names)) != len(names):
        raise UserError(f"{what} must be different names", where=f"measure.{what}", got=names, expected=", ".join(known))
    for name in names:
        if name not in known:
            raise UserError(
                "unknown name", where=f"measure.{what}", got=name, expected=", ".join(known), hint=nearest(name, known)
            )
