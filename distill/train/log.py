"""log.jsonl: one line per logged step, every loss term by name, and one per dev evaluation."""

from __future__ import annotations

import json
import statistics
from collections import deque
from pathlib import Path
from typing import Any

from ..files import atomic_write
from ..progress import note

SPIKE = 5.0
"""A loss so many times the median of the last lines is told, where it is more than a tenth of the highest so far."""
RECENT, ENOUGH = 20, 5
"""Lines that a loss is compared with, and how many there must be."""


class StepLog:
    """Appends lines to a log that survives interruption. A loss that jumps is marked with `spike` and told.

    Args:
        path: the file.
        stage: name of the training stage, written into every line.
        resume_step: lines of this stage past this step are dropped: the steps will be trained again.
        writes: whether this process does; of several that train together one alone.
    """

    def __init__(self, path: Path, stage: str, resume_step: int = 0, *, writes: bool = True) -> None:
        self.path = path
        self.stage = stage
        self.recent: deque[float] = deque(maxlen=RECENT)
        self.highest = 0.0
        self.writes = writes
        if not writes:
            return
        kept = []
        if path.exists():
            for line in path.read_text("utf-8", errors="replace").splitlines():
                entry = _parse(line)
                if entry and (entry["stage"] != stage or entry["step"] <= resume_step):
                    kept.append(line + "\n")
                    if entry["stage"] == stage:
                        self._spike(entry)
        atomic_write(path, "".join(kept))

    def write(self, **values: Any) -> None:
        """Append one line."""
        if not self.writes:
            return
        jump = self._spike(values)
        if jump is not None:
            values["spike"] = jump
            usual = f"the median of the last {len(self.recent) - 1} lines"
            note(f"training: loss {values['loss']:.4g} at step {values['step']} is {jump:g} times {usual}")
        with open(self.path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps({"stage": self.stage, **values}, allow_nan=False) + "\n")

    def _spike(self, values: dict[str, Any]) -> float | None:
        """How many times the usual loss a line's is, where it jumps; the loss is remembered."""
        loss = values.get("loss")
        if not isinstance(loss, (int, float)):
            return None
        usual = statistics.median(self.recent) if len(self.recent) >= ENOUGH else float("inf")
        jumps = loss > SPIKE * usual and loss > self.highest / 10
        self.recent.append(float(loss))
        self.highest = max(self.highest, float(loss))
        return float(f"{loss / usual:.3g}") if jumps and usual > 0 else None


def _parse(line: str) -> dict[str, Any] | None:
    """A log line, or None where the line was torn by a kill."""
    try:
        value = json.loads(line)
    except json.JSONDecodeError:
        return None
    return value if isinstance(value, dict) and "stage" in value and "step" in value else None
