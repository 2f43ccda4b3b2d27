import errno
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.errors import ModelError, RunError
from distill.files import read_json, write_json
from teachers import store as module
from teachers.store import EmbeddingStore

DIM = 6
KEY = {"weights": "abc", "prompt": ""}
TEXTS = [f"sentence number {number} {'x' * (number % 7)}" for number in range(50)]


def truth(text: str) -> np.ndarray:
    """The vector our make-believe teacher gives for a text."""
    return np.frombuffer(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:DIM], dtype=np.uint8).astype(np.float32)


class Fake:
    """A teacher that counts."""

    def __init__(self, fail_after: int | None = None) -> None:
        self.seen: list[str] = []
        self.fail_after = fail_after

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        if self.fail_after is not None and len(self.seen) >= self.fail_after:
            raise KeyboardInterrupt
        self.seen += texts
        return np.stack([truth(text) for text in texts])


def check(rows: module.StoredRows, texts: Sequence[str]) -> None:
    assert len(rows) == len(texts)
    np.testing.assert_array_equal(rows.gather(np.arange(len(texts))), np.stack([truth(text) for text in texts]))


def test_each_text_is_computed_once_and_comes_back_in_order(tmp_path: Path) -> None:
    teacher = Fake()
    rows = EmbeddingStore(tmp_path, KEY, DIM).label([*TEXTS, *TEXTS[:5]], teacher, shard_size=8)
    check(rows, [*TEXTS, *TEXTS[:5]])
    assert sorted(teacher.seen) == sorted(TEXTS)
    assert (rows.new_sentences, rows.reused) == (50, 0)


def test_a_later_run_reuses_and_adds(tmp_path: Path) -> None:
    EmbeddingStore(tmp_path, KEY, DIM).label(TEXTS[:30], Fake())
    teacher = Fake()
    rows = EmbeddingStore(tmp_path, KEY, DIM).label(TEXTS[::-1], teacher)
    check(rows, TEXTS[::-1])
    assert sorted(teacher.seen) == sorted(TEXTS[30:])
    assert (rows.new_sentences, rows.reused) == (20, 30)


def test_another_teacher_has_a_store_of_its_own(tmp_path: Path) -> None:
    EmbeddingStore(tmp_path, KEY, DIM).label(TEXTS, Fake())
    other = EmbeddingStore(tmp_path, {**KEY, "prompt": "query: "}, DIM).label(TEXTS, Fake())
    assert other.new_sentences == len(TEXTS)


def test_an_interrupted_labelling_goes_on_where_it_stopped(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, KEY, DIM)
    with pytest.raises(KeyboardInterrupt):
        store.label(TEXTS, Fake(fail_after=25), shard_size=10)
    teacher = Fake()
    rows = store.label(TEXTS, teacher, shard_size=10)
    check(rows, TEXTS)
    assert (rows.reused, rows.new_sentences, len(teacher.seen)) == (30, 20, 20)


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from teachers.store import EmbeddingStore
folder, log, stop = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
texts = [f"text {number}" for number in range(50)]
seen = 0
def embed(batch):
    global seen
    if seen >= stop:
        os.kill(os.getpid(), signal.SIGKILL)
    seen += len(batch)
    with log.open("a", encoding="utf-8") as stream:
        stream.writelines(f"{text}\\n" for text in batch)
    return np.stack([np.full(2, int(text.split()[1]), dtype=np.float32) for text in batch])
rows = EmbeddingStore(folder, {"weights": "abc"}, 2).label(texts, embed, shard_size=10)
assert rows.gather(np.arange(50))[:, 0].tolist() == list(range(50))
print(rows.reused, rows.new_sentences)
"""


def test_after_a_kill_finished_shards_are_neither_lost_nor_done_again(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def label(stop: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", KILLED, str(tmp_path / "cache"), str(log), str(stop)]
        environment = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[1])}
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    assert label(30).returncode == -signal.SIGKILL
    again = label(1000)
    assert (again.returncode, again.stdout.split()) == (0, ["30", "20"]), again.stderr
    assert sorted(log.read_text().splitlines()) == sorted(f"text {number}" for number in range(50))


@pytest.mark.parametrize("content", [{"format": module.FORMAT + 1}, {"format": 0}, {"format": True}, {}, [1]])
def test_a_store_of_another_version_is_refused_and_left_alone(tmp_path: Path, content: object) -> None:
    store = EmbeddingStore(tmp_path, KEY, DIM)
    store.label(TEXTS, Fake())
    assert read_json(store.folder / "format.json") == {"format": module.FORMAT}
    write_json(store.folder / "format.json", content)
    (store.folder / "of another version.npy").write_bytes(b"its own form")
    before = {path.name: path.read_bytes() for path in store.folder.iterdir() if path.is_file() and path.name != "lock"}
    teacher = Fake()
    with pytest.raises(RunError, match=r"(?s)another version.*got:.*format.*expected: format 1.*DISTILL_CACHE"):
        store.label(TEXTS, teacher)
    assert teacher.seen == []
    after = {path.name: path.read_bytes() for path in store.folder.iterdir() if path.is_file() and path.name != "lock"}
    assert after == before


def test_a_store_from_before_formats_were_named_is_used(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, KEY, DIM)
    store.label(TEXTS, Fake())
    (store.folder / "format.json").unlink()
    assert store.label(TEXTS, Fake()).new_sentences == 0
    assert (store.folder / "format.json").exists()


def test_a_full_disk_loses_no_finished_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = EmbeddingStore(tmp_path, KEY, DIM)
    write = module.atomic_write
    written: list[Path] = []

    def full(path: Path, data: bytes | str) -> None:
        if len(written) == 5:  # the third shard: its keys are there, its vectors find no space
            raise RunError("cannot write", where=str(path), got=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        written.append(path)
        write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(module, "atomic_write", full)
        with pytest.raises(RunError, match="No space left"):
            store.label(TEXTS, Fake(), shard_size=10)
    rows = store.label(TEXTS, Fake(), shard_size=10)
    check(rows, TEXTS)
    assert (rows.reused, rows.new_sentences) == (20, 30)


@pytest.mark.parametrize("damage", ["truncate", "flip", "no keys", "no vectors", "other width", "empty", "temporary"])
def test_damaged_shards_are_removed_and_made_again(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    store = EmbeddingStore(tmp_path, KEY, DIM)
    store.label(TEXTS, Fake(), shard_size=10)
    keys = min(store.folder.glob("*.keys.npy"))
    vectors = keys.with_name(keys.name.replace(".keys.npy", ".npy"))
    raw = vectors.read_bytes()
    if damage == "truncate":
        vectors.write_bytes(raw[:-7])
    elif damage == "flip":
        vectors.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    elif damage == "no keys":
        keys.unlink()
    elif damage == "no vectors":
        vectors.unlink()
    elif damage == "other width":
        np.save(vectors, np.zeros((10, DIM + 1), dtype=np.float32))
    elif damage == "empty":
        vectors.write_bytes(b"")
    else:
        (store.folder / ".x.npy.tmp-abc").write_bytes(b"half")
    rows = store.label(TEXTS, Fake(), shard_size=10)
    check(rows, TEXTS)
    assert rows.new_sentences == (0 if damage == "temporary" else 10)
    assert ("damaged" in caplog.text) == (damage not in ("temporary", "no keys"))
    assert not list(store.folder.glob(".*.tmp-*"))
    assert store.label(TEXTS, Fake()).new_sentences == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_broken_vector_names_its_sentence(tmp_path: Path, bad: float) -> None:
    def embed(texts: Sequence[str]) -> np.ndarray:
        out = Fake()(texts)
        out[[text == TEXTS[17] for text in texts], 2] = bad
        return out

    with pytest.raises(ModelError, match=r"(?s)sentence 18.*sentence number 17"):
        EmbeddingStore(tmp_path, KEY, DIM).label(TEXTS, embed)


def test_a_wrong_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"(?s)got:.*5.*expected:.*6"):
        EmbeddingStore(tmp_path, KEY, DIM).label(TEXTS, lambda texts: np.zeros((len(texts), 5), dtype=np.float32))


def test_two_labellers_share_the_work(tmp_path: Path) -> None:
    counts: list[int] = []
    seen: list[str] = []

    def embed(texts: Sequence[str]) -> np.ndarray:
        seen.extend(texts)
        time.sleep(0.01)
        return Fake()(texts)

    def work() -> None:
        rows = EmbeddingStore(tmp_path, KEY, DIM).label(TEXTS, embed, shard_size=10)
        check(rows, TEXTS)
        counts.append(rows.new_sentences)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 50
    assert len(seen) == 50


def test_sha256_is_that_of_the_vectors_in_order(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, KEY, DIM)
    expected = hashlib.sha256(np.stack([truth(text) for text in TEXTS]).tobytes()).hexdigest()
    assert store.label(TEXTS, Fake(), shard_size=7).sha256() == expected
    assert store.label(TEXTS[::-1], Fake()).sha256() != expected


def test_more_shards_than_open_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OPEN_MAPS", 2)
    rows = EmbeddingStore(tmp_path, KEY, DIM).label(TEXTS, Fake(), shard_size=5)
    check(rows, TEXTS)
    check(rows, TEXTS)


def test_progress_sees_the_new_sentences_alone(tmp_path: Path) -> None:
    totals: list[tuple[int | None, str]] = []

    def track(items: Iterable[int], *, total: int | None, description: str, unit: str = "") -> Iterator[int]:
        totals.append((total, unit))
        yield from items

    store = EmbeddingStore(tmp_path, KEY, DIM)
    store.label(TEXTS[:20], Fake(), progress=track)
    check(store.label(TEXTS, Fake(), progress=track, shard_size=4), TEXTS)
    assert totals == [(20, "sentences"), (30, "sentences")]


def test_no_texts(tmp_path: Path) -> None:
    rows = EmbeddingStore(tmp_path, KEY, DIM).label([], Fake())
    assert (len(rows), rows.gather(np.array([], dtype=int)).shape) == (0, (0, DIM))


@settings(deadline=None)  # each shard is synced to disk
@given(
    texts=st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=1, max_size=30),
    shard_size=st.integers(1, 9),
    data=st.data(),
)
def test_any_texts_any_shards_any_gather(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], shard_size: int, data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("store")
    store = EmbeddingStore(root, KEY, DIM)
    half = data.draw(st.integers(0, len(texts)))
    first = store.label(texts[:half], Fake(), shard_size=shard_size)
    rows = store.label(texts, Fake(), shard_size=shard_size)
    assert first.new_sentences + rows.new_sentences == len(set(texts))
    indices = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=12))
    expected = np.array([truth(texts[index]) for index in indices], dtype=np.float32).reshape(-1, DIM)
    np.testing.assert_array_equal(rows.gather(np.array(indices, dtype=int)), expected)
