"""Processes that label: three at the same time on the same texts, of which the first is killed; and workers of Ray, killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

import teachers

LABELLER = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
from teachers import leases
from teachers.store import EmbeddingStore
leases.BEAT, leases.LEASE = 0.2, 2.0
home, url, log, stop, pause = Path(sys.argv[1]), sys.argv[2] or None, Path(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
texts = [f"text {number}" for number in range(200)]
shards = 0
def embed(batch):
    global shards
    if shards == stop:
        time.sleep(5 * pause if url else 0)  # the shard before is put at the URL meanwhile
        os.kill(os.getpid(), signal.SIGKILL)
    shards += 1
    time.sleep(pause)
    with log.open("a", encoding="utf-8") as stream:
        stream.writelines(f"{text}\\n" for text in batch)
    return np.stack([np.full(2, int(text.split()[1]), dtype=np.float32) for text in batch])
while not (log.parent / "go").exists():
    time.sleep(0.01)
rows = EmbeddingStore(home, {"weights": "abc"}, 2, url).label(texts, embed, shard_size=10)
assert rows.gather(np.arange(200))[:, 0].tolist() == list(range(200))
print(rows.new_sentences)
"""


def label_in_three(folder: Path, homes: Sequence[Path], url: str | None, pause: float) -> list[list[str]]:
    """Every text is labelled once, but for the third shard of the first process, which is killed at it.

    Args:
        folder: for logs.
        homes: the cache folder of each process.
        url: of the store that they share, where their folders are not one.
        pause: seconds that a shard takes.

    Returns:
        The texts that each labelled.
    """
    environment = {**os.environ, "PYTHONPATH": str(Path(teachers.__file__).parents[1])}
    logs = [folder / f"log-{number}" for number in range(3)]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", LABELLER, str(home), url or "", str(log), str(stop), str(pause)],
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for home, log, stop in zip(homes, logs, (2, -1, -1), strict=True)
    ]
    (folder / "go").touch()
    said = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [-signal.SIGKILL, 0, 0]
    seen = [log.read_text().splitlines() for log in logs]
    assert len(seen[0]) == 20, "the killed one finished two shards and was at its third"
    assert sorted(text for part in seen for text in part) == sorted(f"text {number}" for number in range(200))
    assert [int(count) for count in said[1:]] == [len(part) for part in seen[1:]]
    return seen


def kill_ray_workers(kind: str) -> list[int]:
    """Kill those of a class that Ray has started for this process, as suddenly as a machine goes; their process ids."""
    children = psutil.Process(os.getpid()).children(recursive=True)
    found = [child for child in children if " ".join(child.cmdline()).startswith(f"ray::{kind}")]
    for child in found:
        child.kill()
    return [child.pid for child in found]
