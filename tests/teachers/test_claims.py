"""Several processes label one store together; what one of them leaves undone when it is killed the others do."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from distill.errors import RunError
from teachers import store as module
from teachers.claims import Claims
from teachers.store import EmbeddingStore

KEYS = np.array([b"a" * 16, b"b" * 16], dtype="S16")

LABELLER = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
from teachers.store import EmbeddingStore
folder, log, stop = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
texts = [f"text {number}" for number in range(200)]
shards = 0
def embed(batch):
    global shards
    if shards == stop:
        os.kill(os.getpid(), signal.SIGKILL)
    shards += 1
    time.sleep(0.05)
    with log.open("a", encoding="utf-8") as stream:
        stream.writelines(f"{text}\\n" for text in batch)
    return np.stack([np.full(2, int(text.split()[1]), dtype=np.float32) for text in batch])
while not (log.parent / "go").exists():
    time.sleep(0.01)
rows = EmbeddingStore(folder, {"weights": "abc"}, 2).label(texts, embed, shard_size=10)
assert rows.gather(np.arange(200))[:, 0].tolist() == list(range(200))
print(rows.new_sentences)
"""


def test_three_processes_share_the_work_and_a_kill_loses_and_repeats_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[1])}
    logs = [tmp_path / f"log-{number}" for number in range(3)]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", LABELLER, str(tmp_path / "cache"), str(log), str(stop)],
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for log, stop in zip(logs, (2, -1, -1), strict=True)
    ]
    (tmp_path / "go").touch()
    said = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [-signal.SIGKILL, 0, 0]
    seen = [log.read_text().splitlines() for log in logs]
    assert len(seen[0]) == 20, "the killed one finished two shards and was at its third"
    assert sorted(text for part in seen for text in part) == sorted(f"text {number}" for number in range(200))
    assert [int(count) for count in said[1:]] == [len(part) for part in seen[1:]]
    assert min(map(len, seen)) >= 10
    assert not list((tmp_path / "cache").rglob("claims/*"))


def test_a_claim_holds_while_its_owner_lives(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    with claims.make(KEYS):
        taken, owners = Claims(tmp_path).others()
        assert taken.tolist() == KEYS.tolist()
        assert (owners[0].pid, len(owners)) == (os.getpid(), 1)
        assert f"process {os.getpid()} on " in str(owners[0])
    assert claims.others()[0].tolist() == []


@pytest.mark.parametrize("torn", [b"", b'{"host": "x", "pi'])
def test_the_claim_of_a_dead_process_is_removed_whatever_is_in_it(tmp_path: Path, torn: bytes) -> None:
    (tmp_path / "0123.json").write_bytes(torn)
    assert Claims(tmp_path).others()[0].tolist() == []
    assert list(tmp_path.iterdir()) == []


def test_who_waits_says_for_whom(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    texts, begun, go_on = [f"text {number}" for number in range(10)], threading.Event(), threading.Event()

    def slow(batch: list[str]) -> np.ndarray:
        begun.set()
        assert go_on.wait(20)
        return np.zeros((len(batch), 2), dtype=np.float32)

    def never(batch: list[str]) -> np.ndarray:
        raise AssertionError("another process has all of it")

    other = threading.Thread(target=EmbeddingStore(tmp_path, {"weights": "abc"}, 2).label, args=(texts, slow))
    other.start()
    assert begun.wait(20)
    timer = threading.Timer(2.5, go_on.set)
    timer.start()
    with caplog.at_level(logging.WARNING):
        rows = EmbeddingStore(tmp_path, {"weights": "abc"}, 2).label(texts, never)
    other.join()
    assert (rows.new_sentences, rows.reused) == (0, 10)
    assert caplog.text.count("waiting for process") == 1


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch):
    def none(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("distill.files.fcntl.flock", none)
    with pytest.raises(RunError, match="no locks"):
        EmbeddingStore(tmp_path, {"a": 1}, 2).label(["x"], lambda batch: np.zeros((len(batch), 2), np.float32))
