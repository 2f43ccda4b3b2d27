"""Artefacts that are whole or absent: atomic writes, locks, hashes, cache folders."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from .errors import RunError, shorten

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_FULL = "free some space and run the same command again"
_DISK = {
    errno.ENOSPC: ("the disk is full", _FULL),
    errno.EDQUOT: ("the disk quota is used up", _FULL),
    errno.EROFS: ("the file system is read-only", "choose another folder with --out"),
    errno.EACCES: ("permission denied", "choose a folder you may write to"),
    errno.EPERM: ("permission denied", "choose a folder you may write to"),
    errno.ENOTDIR: ("a file stands where a folder is needed", "choose another folder with --out"),
    errno.EEXIST: ("a file stands where a folder is needed", "choose another folder with --out"),
    errno.EISDIR: ("a folder stands where a file is needed", "choose another name"),
}

T = TypeVar("T")
logger = logging.getLogger(__name__)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full, read-only or forbidden disk into an error that names the folder."""
    try:
        yield
    except Exception as error:
        number = _disk_errno(error)
        if number not in _DISK:
            raise
        message, hint = _DISK[number]
        raise RunError(f"cannot write: {message}", where=str(path), hint=hint) from error


def is_full_disk(error: Exception) -> bool:
    """Whether an exception says that a disk is full or a quota used up, whichever library raised it."""
    return _disk_errno(error) in (errno.ENOSPC, errno.EDQUOT)


def _disk_errno(error: Exception) -> int | None:
    """The system's number of an error. safetensors tells it in words; torch's writer tells only that a file broke off."""
    if isinstance(error, OSError):
        return error.errno
    text = str(error)
    if type(error).__name__ == "SafetensorError" and (found := re.search(r"\(os error (\d+)\)", text)):
        return int(found[1])
    broke_off = "PytorchStreamWriter" in text or ("inline_container" in text and "unexpected pos" in text)
    return errno.ENOSPC if isinstance(error, RuntimeError) and broke_off else None


def atomic_write(path: Path, data: bytes | str) -> None:
    """Write `data` to `path` in one step: readers see the old file or the new one, never a part.

    Raises:
        RunError: the disk is full, read-only or forbidden.
    """
    with atomic_file(path) as target:
        target.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)


def check_writable(path: Path) -> None:
    """Refuse a file that could not be written, before the work whose result it is to hold.

    Raises:
        RunError: a folder stands there, or the disk is full, read-only or forbidden.
    """
    with disk_errors(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A file to fill, put in place of `path` on success and removed on failure: `atomic_write` for what is too large for memory.

    Yields:
        A temporary file beside `path`.

    Raises:
        RunError: the disk is full, read-only or forbidden.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.tmp-", dir=path.parent)
        os.close(handle)
        try:
            yield Path(name)
            with open(name, "rb") as stream:
                os.fsync(stream.fileno())
            os.chmod(name, 0o666 & ~_umask())
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON, atomically. NaN and infinity are refused."""
    atomic_write(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The JSON value in `path`.

    Raises:
        RunError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise RunError("this file is missing", where=str(path), hint="run the command that makes it again") from error
    except (ValueError, RecursionError) as error:
        raise RunError(
            "this file is damaged", where=str(path), got=error, expected="JSON", hint="delete it and run the same command again"
        ) from error


def remembered(path: Path, make: Callable[[], T]) -> T:
    """A JSON value that was found before an interruption, or is found now and kept with its sha256.

    Args:
        path: where it is kept; a file that is damaged is made again.
        make: finds it.
    """
    if path.exists():
        with contextlib.suppress(RunError, KeyError, TypeError):
            kept = read_json(path)
            value: T = kept["value"]
            if kept["sha256"] == _json_hash(value):
                return value
        logger.warning("a damaged file is made again: %s", path)
    value = make()
    write_json(path, {"value": value, "sha256": _json_hash(value)})
    return value


def _json_hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, put in place of `path` on success and removed on failure.

    Yields:
        A temporary folder beside `path`.

    Raises:
        RunError: the disk is full, read-only or forbidden.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{path.name}.tmp-", dir=path.parent))
        os.chmod(work, 0o777 & ~_umask())
        try:
            yield work
            for file in work.rglob("*"):  # safetensors makes files that nobody else may read
                if file.is_file():
                    os.chmod(file, 0o666 & ~_umask())
            old = work.with_name(work.name + ".old")
            if path.exists():
                os.replace(path, old)
            os.replace(work, path)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def lock(path: Path, purpose: str, *, wait: bool) -> Iterator[None]:
    """Hold the lock file `path` for the block. The system frees it when the process dies.

    Args:
        path: lock file; created when absent, left in place, empty when nobody holds it.
        purpose: what the lock protects, for the error.
        wait: True to wait for the other holder, False to refuse at once.

    Raises:
        RunError: another process holds it and `wait` is False, or the file system knows no locks.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = open(path, "a+", encoding="utf-8")  # noqa: SIM115 - closed below
    with stream:
        try:
            flock(stream, path, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if not wait:
                raise RunError(
                    f"{purpose} is in use",
                    where=str(path.parent),
                    got=_owner(stream)[0],
                    hint="wait until it ends, or give this run another name or folder",
                ) from error
            logger.warning("waiting for %s, which holds %s", _owner(stream)[0], path.parent)
            flock(stream, path, fcntl.LOCK_EX)
        owner, host = _owner(stream)
        if host not in (None, _host()):  # one that died on this machine holds nothing any more, and needs no word
            logger.warning("%s was in use by %s, which never let go; if it still runs, stop one of the two", purpose, owner)
        stream.truncate(0)
        stream.write(json.dumps({"pid": os.getpid(), "host": _host(), "since": int(time.time())}) + "\n")
        stream.flush()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                stream.truncate(0)
            fcntl.flock(stream, fcntl.LOCK_UN)


def flock(stream: IO[str], path: Path, how: int) -> None:
    """The system's lock of an open file.

    Args:
        stream: the file.
        path: of it, for the error.
        how: as for `fcntl.flock`.

    Raises:
        RunError: the file system knows no locks.
        BlockingIOError: another process holds it, and `how` says not to wait.
    """
    try:
        fcntl.flock(stream, how)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise RunError(
            "this file system has no locks, so two runs could spoil each other's work",
            where=str(path.parent),
            got=error.strerror,
            hint="choose a folder on another disk (--out, or DISTILL_CACHE for the teacher's store)",
        ) from error


def _owner(stream: IO[str]) -> tuple[str, str | None]:
    """Who a lock file says that holds it, in words, and on which machine; None where it says nothing."""
    stream.seek(0)
    try:
        found = json.loads(stream.read())
        pid, host, since = int(found["pid"]), str(found["host"]), int(found["since"])
    except (ValueError, KeyError, TypeError):
        return "unknown process", None
    minutes = max(0, int(time.time()) - since) // 60
    return f"pid {pid} on {shorten(host, 80)}, for {minutes // 60} h {minutes % 60} min", host


def _host() -> str:
    return socket.gethostname()


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_folder(path: Path, *, skip: tuple[str, ...] = ()) -> dict[str, str]:
    """Relative path -> hex sha256 of every file below `path`, sorted, without top-level names in `skip`."""
    files = (file for file in sorted(path.rglob("*")) if file.is_file())
    pairs = ((file.relative_to(path), file) for file in files)
    return {name.as_posix(): sha256_file(file) for name, file in pairs if name.parts[0] not in skip}


def fingerprint(value: Any) -> str:
    """A short stable key (16 hex digits) of a JSON value."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def cache_dir() -> Path:
    """`$DISTILL_CACHE`, or `~/.cache/distill`."""
    return Path(os.environ.get("DISTILL_CACHE") or Path.home() / ".cache" / "distill").expanduser()


def expand(name: str | Path) -> Path:
    """A path with `~` written out; as it stands where there is no such home."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        return Path(name)


def _umask() -> int:
    """The process's umask; reading it needs setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
