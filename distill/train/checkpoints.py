"""Which checkpoint folders may be trusted: those whose completeness mark is there and agrees with their files."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..files import read_json, sha256_folder, write_json

MARK = "complete.json"
STATE = "trainer_state.json"


def seal(folder: Path) -> None:
    """Write the mark that says every file of a checkpoint is whole: name -> sha256."""
    write_json(folder / MARK, sha256_folder(folder, skip=(MARK,)))


def is_whole(folder: Path) -> bool:
    """Whether a checkpoint has its mark and every file has the hash that the mark tells."""
    if not (folder / MARK).is_file():
        return False
    try:
        mark = read_json(folder / MARK)
        return bool(mark) and mark == sha256_folder(folder, skip=(MARK,))
    except Exception:  # a torn mark is no mark
        return False


def step_of(folder: Path) -> int:
    """The optimizer step of `checkpoint-<step>`."""
    return int(folder.name.rsplit("-", 1)[1])


def newest_whole(work: Path) -> Path | None:
    """The checkpoint with the highest step that is whole, as is the best one it speaks of; newer ones are removed.

    Without the best one training would go on, and end with weights that are not the best.
    """
    whole: dict[int, Path] = {}
    for folder in sorted(work.glob("checkpoint-*"), key=step_of):
        if is_whole(folder):
            whole[step_of(folder)] = folder
        else:
            shutil.rmtree(folder, ignore_errors=True)
    for step in sorted(whole, reverse=True):
        best = best_step(whole[step])
        if best is None or best in whole:
            return whole[step]
        shutil.rmtree(whole.pop(step), ignore_errors=True)
    return None


def best_step(folder: Path) -> int | None:
    """The step of the best checkpoint so far, as a checkpoint's trainer state tells it."""
    state = folder / STATE
    value = read_json(state).get("best_global_step") if state.is_file() else None
    return int(value) if value else None
