"""log.jsonl: one line per logged step, every loss term by name, and one per dev evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..files import atomic_write


class StepLog:
    """Appends lines to a log that survives interruption.

    Args:
        path: the file.
        stage: name of the training stage, written into every line.
        resume_step: lines of this stage past this step are dropped: the steps will be trained again.
        writes: whether this process does; of several that train together one alone.
    """

    def __init__(self, path: Path, stage: str, resume_step: int = 0, *, writes: bool = True) -> None:
        self.path = path
        self.stage = stage
        self.writes = writes
        if not writes:
            return
        kept = []
        if path.exists():
            for line in path.read_text("utf-8", errors="replace").splitlines():
                entry = _parse(line)
                if entry and (entry["stage"] != stage or entry["step"] <= resume_step):
                    kept.append(line + "\n")
        atomic_write(path, "".join(kept))

    def write(self, **values: Any) -> None:
        """Append one line."""
        if not self.writes:
            return
        with open(self.path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps({"stage": self.stage, **values}, allow_nan=False) + "\n")


def _parse(line: str) -> dict[str, Any] | None:
    """A log line, or None where the line was torn by a kill."""
    try:
        value = json.loads(line)
    except json.JSONDecodeError:
        return None
    return value if isinstance(value, dict) and "stage" in value and "step" in value else None
