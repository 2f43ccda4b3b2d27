"""Several processes label one store together; what one of them leaves undone when it is killed the others do."""

from __future__ import annotations

import errno
import logging
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from labellers import label_in_three

from distill.errors import RunError
from teachers.claims import Claims
from teachers.store import EmbeddingStore

KEYS = np.array([b"a" * 16, b"b" * 16], dtype="S16")


def test_three_processes_share_the_work_and_a_kill_loses_and_repeats_nothing(tmp_path: Path) -> None:
    seen = label_in_three(tmp_path, [tmp_path / "cache"] * 3, None, 0.05)
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
