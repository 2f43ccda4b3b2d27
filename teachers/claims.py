"""Who labels which texts of a store now: several processes, on one machine or on several that share a file system.

A claim is a file `claims/<name>.json` that its owner holds locked as long as it works, so that the system frees it when the owner
dies, however it dies. It names the owner and holds the keys of the texts. Claims are made and read with the store's lock held.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from distill.files import disk_errors, flock


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock file `path` for the block, waiting for it: of locks that are held for moments alone.

    Raises:
        RunError: the disk is full, read-only or forbidden, or the file system knows no locks.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = open(path, "a+", encoding="utf-8")  # noqa: SIM115 - closed below
    with stream:
        flock(stream, path, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True)
class Owner:
    """Who has claimed texts.

    Attributes:
        host, pid: the process.
        since: when, in seconds since 1970.
    """

    host: str
    pid: int
    since: float

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, for {max(0.0, time.time() - self.since):.0f} s"


class Claim:
    """Texts that this process labels; let go of at the end of the block.

    Args:
        path: the claim's file.
        stream: the file, open and locked.
    """

    def __init__(self, path: Path, stream: IO[str]) -> None:
        self._path, self._stream = path, stream

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *error: object) -> None:
        self._path.unlink(missing_ok=True)
        self._stream.close()


class Claims:
    """The claims on one store. Every method is called with the store's lock held.

    Args:
        folder: where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: set[Path] = set()

    def make(self, keys: np.ndarray) -> Claim:
        """Claim the texts of these keys, S16 [n].

        Raises:
            RunError: the disk is full, read-only or forbidden.
        """
        owner = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.time()}
        path = self._folder / f"{secrets.token_hex(8)}.json"
        with disk_errors(path):
            self._folder.mkdir(parents=True, exist_ok=True)
            stream = open(path, "w", encoding="utf-8")  # noqa: SIM115 - open as long as the claim holds
            try:
                flock(stream, path, fcntl.LOCK_EX)
                json.dump({**owner, "keys": keys.tobytes().hex()}, stream)
                stream.flush()
            except BaseException:
                stream.close()
                path.unlink(missing_ok=True)
                raise
        self._own.add(path)
        return Claim(path, stream)

    def others(self) -> tuple[np.ndarray, list[Owner]]:
        """What is claimed by whoever else still lives, S16 [n], and by whom; claims of the dead are removed."""
        found, owners = [np.empty(0, dtype="S16")], []
        for path in sorted(self._folder.glob("*.json")):
            if path in self._own:  # on some file systems a process is not kept out by its own locks
                continue
            with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    value = json.load(stream)
                    found.append(np.frombuffer(bytes.fromhex(value["keys"]), dtype="S16"))
                    owners.append(Owner(value["host"], value["pid"], value["since"]))
                else:
                    path.unlink()
        return np.concatenate(found), owners
