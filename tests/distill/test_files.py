"""What the disk refuses is told in one message, whichever library met it; what is written is whole and readable."""

from __future__ import annotations

import errno
import io
import os
import socket
import subprocess
import sys
import time

import pytest

from distill.errors import RunError
from distill.files import atomic_folder, atomic_write, disk_errors, is_full_disk, lock, remembered

SAFETENSORS = "Error while serializing: I/O error: No space left on device (os error 28)"
TORCH = [
    "[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598",
    "PytorchStreamWriter failed writing file data/0",
]


def safetensors_error(text):
    from safetensors import SafetensorError

    return SafetensorError(text)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission"),
        (errno.EISDIR, "a folder stands where a file is needed"),
    ],
)
def test_the_systems_errors_name_the_place(tmp_path, number, words):
    with pytest.raises(RunError, match=words) as caught, disk_errors(tmp_path / "here"):
        raise OSError(number, os.strerror(number))
    assert caught.value.exit_code == 2
    assert "here" in caught.value.where


def test_a_full_disk_in_the_words_of_other_libraries(tmp_path):
    for error in (safetensors_error(SAFETENSORS), *map(RuntimeError, TORCH)):
        assert is_full_disk(error)
        with pytest.raises(RunError, match="disk is full"), disk_errors(tmp_path):
            raise error


class Full(io.RawIOBase):
    """A file on a disk that has room for 500 bytes."""

    size = 0

    def writable(self):
        return True

    def write(self, data):
        self.size += len(data)
        if self.size > 500:
            raise OSError(errno.ENOSPC, "No space left on device")
        return len(data)


def test_torch_still_says_it_in_words_that_are_known():
    """Its archive writer has no kind of error of its own: should its words change, this finds out."""
    import torch

    with pytest.raises((OSError, RuntimeError)) as caught:
        torch.save({"weight": torch.zeros(100_000)}, Full())
    assert is_full_disk(caught.value)


@pytest.mark.parametrize(
    "error", [ValueError("os error 28"), RuntimeError("shapes do not match"), KeyError("x"), OSError(errno.ENOENT, "missing")]
)
def test_other_errors_pass_as_they_are(tmp_path, error):
    assert not is_full_disk(error)
    with pytest.raises(type(error)) as caught, disk_errors(tmp_path):
        raise error
    assert caught.value is error


def test_files_and_folders_in_the_way(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunError, match="a file stands where a folder is needed"):
        atomic_write(tmp_path / "file" / "x.json", "{}")
    with pytest.raises(RunError, match="a folder stands where a file is needed"):
        atomic_write(tmp_path / "folder", "{}")
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(item.name for item in tmp_path.rglob("*")) == ["file", "folder"]


def test_a_folder_has_the_permissions_that_the_umask_gives(tmp_path):
    """Whatever a library chose: safetensors makes files that their owner alone may read."""
    before = os.umask(0o027)
    try:
        with atomic_folder(tmp_path / "student") as work:
            (work / "deep").mkdir()
            for name in ("a.txt", "deep/model.safetensors"):
                (work / name).write_text("x")
                (work / name).chmod(0o600)
    finally:
        os.umask(before)
    modes = {file.stat().st_mode & 0o777 for file in (tmp_path / "student").rglob("*") if file.is_file()}
    assert modes == {0o640}


def test_a_folder_that_failed_leaves_the_old_one(tmp_path):
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "old.txt").write_text("old")

    def write():
        with atomic_folder(tmp_path / "student") as work:
            (work / "new.txt").write_text("new")
            raise safetensors_error(SAFETENSORS)

    with pytest.raises(RunError, match="disk is full"):
        write()
    assert sorted(item.name for item in tmp_path.rglob("*")) == ["old.txt", "student"]


@pytest.mark.parametrize("damage", ["{", "[]", "{}", '{"value": [0, 3], "sha256": "0"}', "\ud800"])
def test_what_is_remembered_is_found_once_and_again_where_it_is_damaged(tmp_path, damage):
    """One changed digit would choose other layers, and nothing would tell."""
    path, calls = tmp_path / "work" / "layers.json", []

    def find():
        calls.append(1)
        return [0, 2]

    assert [remembered(path, find) for _ in range(2)] == [[0, 2], [0, 2]]
    assert len(calls) == 1
    path.write_bytes(damage.encode("utf-8", "surrogatepass"))
    assert [remembered(path, find) for _ in range(2)] == [[0, 2], [0, 2]]
    assert len(calls) == 2


def locked(path, wait=False):
    with lock(path, "this store", wait=wait):
        return path.read_text()


def test_who_holds_a_lock_is_told_with_pid_machine_and_age(tmp_path, monkeypatch):
    path = tmp_path / "lock"
    with lock(path, "this store", wait=False):
        later = time.time() + 2 * 3600 + 65
        monkeypatch.setattr("distill.files.time.time", lambda: later)
        with pytest.raises(RunError, match="this store is in use") as caught:
            locked(path)
    assert caught.value.got == f"pid {os.getpid()} on {socket.gethostname()}, for 2 h 1 min"
    assert path.read_text() == ""


def test_a_lock_of_a_process_that_was_killed_is_free_at_once(tmp_path, caplog):
    program = f"""
import sys, time, pathlib
from distill.files import lock
with lock(pathlib.Path({str(tmp_path / "lock")!r}), "this store", wait=False):
    print("held", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    with pytest.raises(RunError, match="in use") as caught:
        locked(tmp_path / "lock")
    assert caught.value.got.startswith(f"pid {process.pid} on ")
    process.kill()
    process.wait()
    assert f'"pid": {process.pid}' in (tmp_path / "lock").read_text()
    assert f'"pid": {os.getpid()}' in locked(tmp_path / "lock")
    assert caplog.records == []


@pytest.mark.parametrize("content", ["", "pid 12 since 2024-01-01", "[]", '{"pid": "x"}', "\x00"])
def test_a_lock_file_that_says_nothing_is_free(tmp_path, content, caplog):
    (tmp_path / "lock").write_text(content)
    locked(tmp_path / "lock")
    assert caplog.records == []


def test_a_lock_that_another_machine_never_let_go_is_told(tmp_path, caplog):
    """Where a shared disk passes no locks on, the two could not see each other."""
    (tmp_path / "lock").write_text('{"pid": 12, "host": "elsewhere", "since": 0}')
    locked(tmp_path / "lock")
    assert "in use by pid 12 on elsewhere, for " in caplog.text
    assert (tmp_path / "lock").read_text() == ""


def test_a_file_system_without_locks_is_refused(tmp_path, monkeypatch):
    def none(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("distill.files.fcntl.flock", none)
    with pytest.raises(RunError, match="no locks") as caught:
        locked(tmp_path / "lock")
    assert "DISTILL_CACHE" in caught.value.hint
