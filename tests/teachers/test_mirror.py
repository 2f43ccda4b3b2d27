"""Machines that share no disk fill one store at a URL: nothing is lost, nothing wrong is used, double work is counted."""

from __future__ import annotations

import itertools
import json
import logging
import os
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from labellers import label_in_three

from distill.errors import RunError, UserError
from distill.files import sha256_folder
from teachers import leases, line
from teachers.leases import Leases
from teachers.line import Line
from teachers.remote import Remote, check_url
from teachers.store import EmbeddingStore

KEY = {"weights": "abc"}
TEXTS = [f"sentence {number}{' longer' * (number % 5)}" for number in range(95)]


class Faulty(MemoryFileSystem):
    """An object store whose network can be cut."""

    protocol = "faulty"
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012
    wrong: Exception | None = None
    left: Iterator[int] = itertools.count()
    cachable = False

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return MemoryFileSystem._strip_protocol(path.replace("faulty://", "memory://"))

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        self._fail()
        super().pipe_file(path, value, mode=mode, **kwargs)

    def cat_file(self, *args: Any, **kwargs: Any) -> bytes:
        self._fail()
        return super().cat_file(*args, **kwargs)

    def ls(self, *args: Any, **kwargs: Any) -> Any:
        self._fail()
        return super().ls(*args, **kwargs)

    def rm_file(self, path: str) -> None:
        self._fail()
        super().rm_file(path)

    def _fail(self) -> None:
        if Faulty.wrong is not None and next(Faulty.left, None) is None:
            raise Faulty.wrong


fsspec.register_implementation("faulty", Faulty, clobber=True)


def cut(error: Exception, after: int = 0) -> None:
    """Every request fails, but for the first few."""
    Faulty.wrong, Faulty.left = error, iter(range(after))


@pytest.fixture(params=["memory", "file", "faulty"])
def any_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"file://{tmp_path}/bucket" if request.param == "file" else f"{request.param}://{uuid.uuid4().hex}/prefix"


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A place that works until `cut`, and is asked again at once when it has failed."""
    monkeypatch.setattr(line, "RETRY", 0.0)
    yield f"faulty://{uuid.uuid4().hex}"
    Faulty.wrong = None


class Teacher:
    """Counts what it is asked."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, texts: list[str]) -> np.ndarray:
        self.seen += texts
        return np.array([[len(text), int(text.split()[1])] for text in texts], dtype=np.float32)


def label(home: Path, url: str | None, texts: list[str] = TEXTS, **options: Any) -> tuple[list[str], Any]:
    """What the teacher was asked on a machine whose cache is `home`, and the rows."""
    teacher = Teacher()
    rows = EmbeddingStore(home, KEY, 2, url).label(texts, teacher, shard_size=10, **options)
    np.testing.assert_array_equal(rows.gather(np.arange(len(texts))), Teacher()(texts))
    return teacher.seen, rows


def objects(url: str, end: str) -> list[str]:
    files, root = fsspec.url_to_fs(url)
    return sorted(path for path in files.find(root) if path.endswith(end))


def test_another_machine_finds_what_the_first_has_made(tmp_path: Path, any_url: str) -> None:
    check_url(any_url)
    label(tmp_path / "alone", None)
    assert len(label(tmp_path / "a", any_url, workers=2)[0]) == 95
    seen, rows = label(tmp_path / "b", any_url)
    assert seen == []
    assert (rows.new_sentences, rows.reused) == (0, 95)
    expected = sha256_folder(tmp_path / "alone")
    assert sha256_folder(tmp_path / "a") == sha256_folder(tmp_path / "b") == expected
    assert len(objects(any_url, ".keys.npy")) == 10
    assert objects(any_url, "probe") == []
    assert [path for path in objects(any_url, "") if "claims/" in path or ".tmp-" in path] == []


def test_shards_are_fetched_where_they_hold_what_is_wanted_alone(tmp_path: Path, any_url: str) -> None:
    label(tmp_path / "a", any_url)
    seen, _ = label(tmp_path / "b", any_url, [*TEXTS[:5], "sentence 100"])
    assert seen == ["sentence 100"]
    assert len(list((tmp_path / "b").rglob("*.keys.npy"))) == 2
    assert len(objects(any_url, ".keys.npy")) == 11


def test_what_was_labelled_without_the_place_is_put_there(tmp_path: Path, any_url: str) -> None:
    label(tmp_path / "a", None)
    assert label(tmp_path / "a", any_url)[0] == []
    assert label(tmp_path / "b", any_url)[0] == []


def test_three_machines_share_the_work_and_a_kill_loses_and_repeats_nothing(tmp_path: Path) -> None:
    homes = [tmp_path / f"home-{number}" for number in range(3)]
    label_in_three(tmp_path, homes, f"file://{tmp_path}/bucket", 0.1)
    assert not list((tmp_path / "bucket").rglob("claims/*"))


@pytest.mark.parametrize("end", [".npy", ".keys.npy"])
@pytest.mark.parametrize("harm", [lambda data: data[:-3], lambda data: b"", lambda data: data[:-1] + bytes([data[-1] ^ 1])])
def test_a_damaged_object_is_refused_and_made_again(
    tmp_path: Path, any_url: str, end: str, harm: Any, caplog: pytest.LogCaptureFixture
) -> None:
    label(tmp_path / "a", any_url)
    files, _ = fsspec.url_to_fs(any_url)
    broken = [path for path in objects(any_url, end) if end == ".keys.npy" or not path.endswith(".keys.npy")][3]
    files.pipe_file(broken, harm(files.cat_file(broken)))
    with caplog.at_level(logging.WARNING):
        seen, _ = label(tmp_path / "b", any_url)
    assert 1 <= len(seen) <= 10
    assert "a damaged piece of" in caplog.text or len(objects(any_url, ".keys.npy")) == 11
    assert label(tmp_path / "c", any_url)[0] == []


def test_a_store_of_another_version_is_refused_and_left(tmp_path: Path, any_url: str) -> None:
    label(tmp_path / "a", any_url)
    files, _ = fsspec.url_to_fs(any_url)
    (path,) = objects(any_url, "format.json")
    files.pipe_file(path, json.dumps({"format": 2}).encode())
    before = objects(any_url, "")
    with pytest.raises(RunError, match=r"another version of distill wrote this teacher's store\n.*format 2"):
        label(tmp_path / "b", any_url, [*TEXTS, "sentence 100"])
    assert objects(any_url, "") == before


@pytest.mark.parametrize("after", [0, 1, 4, 9, 20, 33])
def test_a_network_that_goes_is_told_once_and_the_next_command_puts_there_what_is_missing(
    tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture, after: int
) -> None:
    label(tmp_path / "other", url, TEXTS[:20])
    cut(OSError("no route to host"), after)
    with caplog.at_level(logging.WARNING):
        seen, _ = label(tmp_path / "a", url)
    assert len(seen) in (75, 85, 95)  # as many shards of the other one as came through
    assert caplog.text.count("cannot be reached (OSError: no route to host). Labelling goes on here alone") == 1
    assert "could not be put there" in caplog.text
    Faulty.wrong = None
    assert label(tmp_path / "a", url)[0] == []
    assert label(tmp_path / "b", url)[0] == []


def test_a_network_that_comes_back_is_used_again(tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture) -> None:
    cut(PermissionError("expired token"), 7)

    def embed(texts: list[str]) -> np.ndarray:
        if TEXTS[75] in texts:
            Faulty.wrong = None
        return Teacher()(texts)

    with caplog.at_level(logging.WARNING):
        EmbeddingStore(tmp_path / "a", KEY, 2, url).label(TEXTS, embed, shard_size=10)
    assert "PermissionError: expired token" in caplog.text
    assert "can be reached again" in caplog.text
    assert "could not be put there" not in caplog.text
    assert label(tmp_path / "b", url)[0] == []


def test_a_request_that_hangs_counts_as_gone(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, url: str) -> None:
    forever = threading.Event()
    monkeypatch.setattr(line, "LIMIT", 0.05)
    monkeypatch.setattr(Remote, "names", lambda *_: forever.wait(20))
    assert Leases(Line(Remote(url))).taken()[0].tolist() == []
    assert "no answer in" in caplog.text
    forever.set()


def test_texts_that_two_machines_have_labelled_are_counted(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Claims that nobody sees: the other machine does the first and the last shard too, the last one among other texts."""
    monkeypatch.setattr(Leases, "taken", lambda self: (np.empty(0, dtype="S16"), []))
    monkeypatch.setattr(Leases, "claim", lambda self, keys: "")

    def embed(texts: list[str]) -> np.ndarray:
        if TEXTS[0] in texts:
            label(tmp_path / "b", url, TEXTS[:10])
        if TEXTS[90] in texts:
            label(tmp_path / "c", url, [*TEXTS[92:], "sentence 200"])
        return Teacher()(texts)

    with caplog.at_level(logging.WARNING):
        EmbeddingStore(tmp_path / "a", KEY, 2, url).label(TEXTS, embed, shard_size=10)
    assert "13 sentences were labelled on two machines" in caplog.text


def test_a_claim_is_one_machines_until_it_lapses(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE", 0.2)
    monkeypatch.setattr(leases, "BEAT", 60.0)
    keys = np.array([b"a" * 16, b"b" * 16], dtype="S16")
    dead, one, two = (Leases(Line(Remote(url))) for _ in range(3))
    first = dead.claim(keys)
    assert first
    assert one.claim(keys[::-1]) is None
    taken, owners = one.taken()
    assert sorted(taken.tolist()) == sorted(keys.tolist())
    assert f"process {os.getpid()} on " in str(owners[0])
    two.taken()
    time.sleep(0.3)
    assert one.taken()[0].tolist() == []
    second = one.claim(keys)
    assert second not in ("", None, first)
    assert two.claim(keys) is None
    one.close(finished=True)
    assert two.claim(keys) == first
    two.close(finished=False)
    assert objects(url, "") == []


def test_a_place_that_cannot_create_once_serves_too(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = MemoryFileSystem.pipe_file

    def old(self: Any, path: str, value: bytes, **kwargs: Any) -> None:
        if kwargs.pop("mode", "overwrite") != "overwrite":
            raise NotImplementedError
        pipe(self, path, value, **kwargs)

    monkeypatch.setattr(Faulty, "pipe_file", old)
    place = Remote(url)
    assert place.create("a", b"1")
    assert not place.create("a", b"2")
    assert place.read("a") == b"1"


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("nowhere://bucket", "this URL cannot be used\n.*Protocol not known: nowhere"),
        ("s3://bucket/prefix", "the driver of this protocol is not installed\n.*\n.*s3fs"),
        ("/mnt/folder", "no URL of a folder"),
        ("simplecache::memory://bucket", "no URL of a folder"),
        ("file:///dev/null/x", "cannot be reached"),
    ],
)
def test_a_url_that_cannot_be_used_is_named(bad: str, words: str) -> None:
    if bad.startswith("s3"):
        pytest.MonkeyPatch().setitem(sys.modules, "s3fs", None)
    with pytest.raises(UserError, match=words) as caught:
        check_url(bad)
    assert bad in str(caught.value)


@pytest.mark.parametrize(
    ("error", "words"), [(PermissionError("403"), "no permission there"), (OSError("x"), "cannot be reached")]
)
def test_permission_and_network_are_looked_at_before(url: str, error: Exception, words: str) -> None:
    for after in (0, 1, 2, 3):
        cut(error, after)
        with pytest.raises(UserError, match=words):
            check_url(url)
    Faulty.wrong = None
    check_url(url)
