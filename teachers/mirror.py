"""A teacher's store at a URL, which machines that share nothing else fill and read: finished shards, as whole objects.

Training reads the local store. Shards are put there as they are finished, and fetched from there where they hold what is wanted;
their names are the sha256 of what is in them, so that one that is damaged or half-written is known, and never used.

Object stores have no locks (leases.py). So texts may be labelled twice (by an owner that had lost the network, or where two can
create one object), never wrongly; that is counted, and said.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import queue
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from distill.errors import RunError

from .leases import Leases
from .line import Gone, Line
from .remote import VARIABLE, Remote

logger = logging.getLogger(__name__)

KEYS = ".keys.npy"


class Mirror:
    """The store of one teacher at a URL, for the time of one labelling.

    Args:
        url: of the folder that holds the stores of all teachers.
        key: of the teacher.

    Attributes:
        leases: what this and other machines are labelling.
        twice: texts that were labelled here and, as it turned out, on another machine.

    Raises:
        UserError: see `Remote`.
    """

    def __init__(self, url: str, key: str) -> None:
        self._line = Line(Remote(f"{url}/signals/{key}"))
        self.leases = Leases(self._line)
        self.twice = 0
        self._made = [np.empty(0, dtype="S16")]
        self._told: set[str] = set()
        self._uploads: queue.SimpleQueue[tuple[Path, str, int] | None] = queue.SimpleQueue()
        self._left: list[Path] = []
        self._thread = threading.Thread(target=self._upload, daemon=True)

    def open(self, teacher: Mapping[str, Any], form: int, here: Iterable[Path]) -> None:
        """Look whether this version can use what is there, and begin to put there what is in the local store alone.

        Args:
            teacher: its fingerprint, which is written where nothing is there yet.
            form: of the files.
            here: of every local shard the file of its vectors.

        Raises:
            RunError: another version wrote it.
        """
        try:
            self._check(teacher, form)
            there = self._shards()
        except Gone:
            there = set()
        for path in here:
            self._told.add(path.stem)
            if path.stem not in there:
                self._uploads.put((path, "", 0))
        self._thread.start()

    def __enter__(self) -> Mirror:
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        """The end of a labelling: all shards are put there, unless it failed, and claims are let go of."""
        if kind is None and self._thread.is_alive():
            self._uploads.put(None)
            self._thread.join()
            if self._left:
                self._line.retry()
                self._again()
            if self._left:
                logger.warning(
                    "%s: %d shards of the teacher's store could not be put there; the same command, or any that labels for this "
                    "teacher, tries again",
                    self._line.url,
                    len(self._left),
                )
            for _ in self.news():
                pass
            if self.twice:
                logger.warning("%s: %s sentences were labelled on two machines", self._line.url, f"{self.twice:,}")
        self.leases.close(finished=kind is None)

    def news(self) -> Iterator[tuple[str, np.ndarray]]:
        """Shards that came there since this was asked last: name, and keys as S16 [n]; none while it cannot be reached."""
        try:
            for name in sorted(self._shards() - self._told):
                data = self._line.read(f"{name}{KEYS}")
                self._told.add(name)
                keys = None if data is None else _keys(data)
                if keys is not None:
                    self.twice += int(np.isin(keys, np.concatenate(self._made)).sum())
                    yield name, keys
                elif data is not None:
                    self.drop(name)
        except Gone:
            return

    def read(self, name: str) -> tuple[bytes, bytes] | None:
        """The files of a shard, vectors and keys, as they are there; None where they cannot be had now."""
        try:
            vectors, keys = (self._line.read(f"{name}{end}") for end in (".npy", KEYS))
        except Gone:
            self._told.discard(name)
            return None
        return (vectors or b"", keys or b"")

    def drop(self, name: str) -> None:
        """Remove a shard that is not what its name says."""
        logger.warning("a damaged piece of %s is removed and made again: %s.npy", self._line.url, name)
        try:
            for end in (KEYS, ".npy"):
                self._line.remove(f"{name}{end}")
        except Gone:
            return

    def upload(self, path: Path, claim: str, keys: np.ndarray) -> None:
        """Put a shard there that was made now, in the background, and let go of the claim on it.

        Args:
            path: of its vectors.
            claim: from `Leases.claim`.
            keys: S16 [n].
        """
        self._told.add(path.stem)
        self._made.append(keys)
        self._uploads.put((path, claim, len(keys)))

    def _check(self, teacher: Mapping[str, Any], form: int) -> None:
        found = self._line.read("format.json")
        if found is None:
            for name, value in (("teacher.json", dict(teacher)), ("format.json", {"format": form})):
                self._line.write(name, json.dumps(value, indent=2, ensure_ascii=False).encode())
            return
        there = None
        with contextlib.suppress(ValueError, KeyError, TypeError):
            there = json.loads(found)["format"]
        if type(there) is not int or there != form:
            raise RunError(
                "another version of distill wrote this teacher's store",
                where=self._line.url,
                got=f"format {there}",
                expected=f"format {form}",
                hint=f"use that version, set {VARIABLE} to another place, or remove this one to label again",
            )

    def _shards(self) -> set[str]:
        """Names of the shards that are there."""
        return {name.removesuffix(KEYS) for name in self._line.names() if name.endswith(KEYS)}

    def _upload(self) -> None:
        """Runs in a thread: put shards there until the end."""
        while (item := self._uploads.get()) is not None:
            path, claim, made = item
            if not self._put(path, made):
                self._left.append(path)
            elif self._left:
                self._again()
            if claim:
                self.leases.release(claim)

    def _again(self) -> None:
        """Try what could not be put there."""
        self._left = [path for path in self._left if not self._put(path)]

    def _put(self, path: Path, made: int = 0) -> bool:
        """Put a shard there, keys last: where they are the vectors are. Whether that is done.

        Args:
            path: of its vectors.
            made: texts in it, if it was made just now: where it is there already, another machine has made the same bytes.
        """
        try:
            if made and path.stem in self._shards():
                self.twice += made
                return True
            for file in (path, path.with_name(f"{path.stem}{KEYS}")):
                self._line.write(file.name, file.read_bytes())
        except FileNotFoundError:  # removed here meanwhile, since it was damaged
            return True
        except Gone:
            return False
        return True


def npy(data: bytes) -> np.ndarray | None:
    """The array in the bytes of an .npy file; None where they are no whole one."""
    try:
        array: np.ndarray = np.load(io.BytesIO(data), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array if isinstance(array, np.ndarray) else None


def _keys(data: bytes) -> np.ndarray | None:
    """Keys out of their file, S16 [n]; None where it is no such file."""
    array = npy(data)
    if array is None or array.dtype != np.uint8 or array.ndim != 2 or array.shape[1] != 16:
        return None
    return np.ascontiguousarray(array).view("S16").ravel()
