"""Which checkpoint folders may be trusted: those whose completeness mark is there and agrees with their files."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..files import read_json, sha256_folder, write_json

MARK = "complete.json"


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
    """The whole checkpoint with the highest step; folders that are not whole are removed."""
    best = None
    for folder in sorted(work.glob("checkpoint-*"), key=step_of):
        if is_whole(folder):
            best = folder
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return best
