"""Several shards at once: the same files, each text once, and an error that leaves nothing claimed."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from distill.files import sha256_folder
from teachers.claims import Claims
from teachers.store import EmbeddingStore

TEXTS = [f"sentence {number}{' longer' * (number % 5)}" for number in range(95)]


def vectors(texts: list[str]) -> np.ndarray:
    return np.array([[len(text), int(text.split()[1])] for text in texts], dtype=np.float32)


def test_the_files_are_those_of_one_at_a_time(tmp_path: Path) -> None:
    EmbeddingStore(tmp_path / "one", {"a": 1}, 2).label(TEXTS, vectors, shard_size=10)
    together, seen = threading.Barrier(3), []

    def embed(texts: list[str]) -> np.ndarray:
        seen.extend(texts)
        if len(seen) <= 30:
            together.wait(20)  # three threads are here at the same time, or this breaks
        return vectors(texts)

    rows = EmbeddingStore(tmp_path / "three", {"a": 1}, 2).label([*TEXTS, TEXTS[0]], embed, shard_size=10, workers=3)
    assert sorted(seen) == sorted(TEXTS)
    assert (rows.new_sentences, rows.reused) == (95, 0)
    np.testing.assert_array_equal(rows.gather(np.arange(96)), vectors([*TEXTS, TEXTS[0]]))
    assert sha256_folder(tmp_path / "three") == sha256_folder(tmp_path / "one")


def test_an_error_of_one_ends_all_and_what_is_finished_stays(tmp_path: Path) -> None:
    store, broken = EmbeddingStore(tmp_path, {"a": 1}, 2), threading.Event()

    def breaks(texts: list[str]) -> np.ndarray:
        if TEXTS[50] in texts:
            broken.set()
            raise OSError("gone")
        if TEXTS[40] in texts:
            assert broken.wait(20)
        return vectors(texts)

    with pytest.raises(OSError, match="gone"):
        store.label(TEXTS, breaks, shard_size=10, workers=2)
    assert Claims(store.folder / "claims").others()[0].tolist() == []
    seen: list[str] = []
    rows = store.label(TEXTS, lambda texts: (seen.extend(texts), vectors(texts))[1], shard_size=10)
    assert not set(seen) & set(TEXTS[:40])
    assert len(seen) == rows.new_sentences <= 55
