"""One labelling under way: shards of texts that are claimed, computed and kept, one after the other or several at once."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from .claims import Claims, Owner, held
from .mirror import Mirror

logger = logging.getLogger(__name__)

BLOCK = 256
"""Texts handed to the teacher at once; the grain of the progress bar."""

Embed = Callable[[Sequence[str]], np.ndarray]


class Store(Protocol):
    """What a labelling needs of the store that it fills."""

    folder: Path

    def look(self, shards: dict[Path, np.ndarray]) -> np.ndarray: ...

    def checked(self, vectors: np.ndarray, rows: Sequence[int], texts: Sequence[str]) -> np.ndarray: ...

    def keep(self, vectors: np.ndarray, keys: np.ndarray, shards: dict[Path, np.ndarray]) -> Path: ...

    def adopt(self, name: str, vectors: bytes, keys: bytes) -> bool: ...


class Shard(NamedTuple):
    """Texts that this process labels now: their rows, by length (little padding, steady speed), and the claims on them."""

    rows: list[int]
    claim: contextlib.AbstractContextManager[Any]
    remote: str

    def blocks(self) -> Iterator[list[int]]:
        """The rows, some at a time."""
        for start in range(0, len(self.rows), BLOCK):
            yield self.rows[start : start + BLOCK]


class Labelling:
    """Texts that are not in a store yet, labelled here or in another process.

    Args:
        store: to fill.
        texts: all of them.
        wanted: their keys, S16 [n].
        pending: rows of different texts that are not in the store, ascending.
        embed: gives float32 [n, dim] for n texts; called from `workers` threads.
        shard_size: texts per file.
        shards: those that are known, path -> keys; new ones are added.
        mirror: the same store at a URL, where other machines label too.
    """

    def __init__(
        self,
        store: Store,
        texts: Sequence[str],
        wanted: np.ndarray,
        pending: np.ndarray,
        embed: Embed,
        shard_size: int,
        shards: dict[Path, np.ndarray],
        mirror: Mirror | None = None,
    ) -> None:
        self._store, self._texts, self._wanted, self._pending = store, texts, wanted, pending
        self._embed, self._shard_size, self._shards = embed, shard_size, shards
        self._claims = Claims(store.folder / "claims")
        self._owners: list[Owner] = []
        self._mirror = mirror
        self._pause = _Pause()

    def steps(self, workers: int) -> Iterator[int]:
        """Work until no text is left.

        Args:
            workers: shards that are computed at the same time. What lies in a shard does not depend on it.

        Yields:
            For every row 1 where it was labelled here, 0 where it was elsewhere.
        """
        return self._alone() if workers == 1 else self._together(workers)

    def _alone(self) -> Iterator[int]:
        while left := len(self._pending):
            shard = self._take(())
            yield from [0] * (left - len(self._pending))
            if shard is None:
                self._wait()
                continue
            with shard.claim:
                vectors = []
                for block in shard.blocks():
                    vectors.append(self._vectors(block))
                    yield from [1] * len(block)
                self._keep(shard, np.concatenate(vectors))

    def _together(self, workers: int) -> Iterator[int]:
        busy: dict[Future[np.ndarray], Shard] = {}
        stop, pool = threading.Event(), ThreadPoolExecutor(workers, thread_name_prefix="label")
        try:
            while left := len(self._pending):
                shard = self._take(busy.values()) if len(busy) < workers else None
                yield from [0] * (left - len(self._pending))
                if shard is not None:
                    busy[pool.submit(self._whole, shard, stop)] = shard
                elif not busy:
                    self._wait()
                else:
                    for future in wait(busy, return_when=FIRST_COMPLETED).done:
                        shard = busy.pop(future)
                        with shard.claim:
                            self._keep(shard, future.result())
                        yield from [1] * len(shard.rows)
        finally:  # an error does not wait for those that still compute: their shards are others' now
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for shard in busy.values():
                with shard.claim:
                    pass

    def _take(self, busy: Any) -> Shard | None:
        """Claim a shard's worth of texts; None where nothing is left, or others have claimed it.

        Args:
            busy: the shards that are computed now.
        """
        mine = [row for shard in busy for row in shard.rows]
        elsewhere, far = self._mirror.leases.taken() if self._mirror is not None else (np.empty(0, dtype="S16"), [])
        self._fetch()  # after the claims: one that was let go of before has its shard there now
        with held(self._store.folder / "lock"):
            fresh = self._store.look(self._shards)
            if len(fresh):
                self._pending = self._pending[~np.isin(self._wanted[self._pending], fresh)]
            taken, near = self._claims.others()
            self._owners = [*near, *far]
            open_rows = np.delete(self._pending, np.searchsorted(self._pending, np.sort(mine))) if mine else self._pending
            rows = open_rows[_free(self._wanted, open_rows, np.concatenate([taken, elsewhere]), self._shard_size)]
            if not len(rows):
                return None
            claim = self._claims.make(self._wanted[rows])
        remote = self._mirror.leases.claim(self._wanted[rows]) if self._mirror is not None else ""
        if remote is None:  # another machine was quicker
            with claim:
                return None
        return Shard(sorted(rows.tolist(), key=lambda row: len(self._texts[row]), reverse=True), claim, remote)

    def _fetch(self) -> None:
        """Take into the local store what other machines have finished of what is open here."""
        if self._mirror is None:
            return
        pending: np.ndarray | None = None
        for name, keys in self._mirror.news():
            if pending is None:
                pending = np.sort(self._wanted[self._pending])
            if not len(pending):
                continue
            places = np.minimum(np.searchsorted(pending, keys), len(pending) - 1)
            if (pending[places] == keys).any():
                files = self._mirror.read(name)
                if files is not None and not self._store.adopt(name, *files):
                    self._mirror.drop(name)

    def _whole(self, shard: Shard, stop: threading.Event) -> np.ndarray:
        """All vectors of a shard, in a thread of its own."""
        vectors = []
        for block in shard.blocks():
            if stop.is_set():
                raise CancelledError
            vectors.append(self._vectors(block))
        return np.concatenate(vectors)

    def _vectors(self, block: list[int]) -> np.ndarray:
        return self._store.checked(self._embed([self._texts[row] for row in block]), block, self._texts)

    def _keep(self, shard: Shard, vectors: np.ndarray) -> None:
        keys = self._wanted[shard.rows]
        with held(self._store.folder / "lock"):
            path = self._store.keep(vectors, keys, self._shards)
        if self._mirror is not None:
            self._mirror.upload(path, shard.remote, keys)
        self._pending = np.delete(self._pending, np.searchsorted(self._pending, np.sort(shard.rows)))

    def _wait(self) -> None:
        if len(self._pending):
            self._pause(f"{self._store.folder}: waiting for {'; '.join(map(str, self._owners)) or 'another machine'}")


class _Pause:
    """Waits for others, longer and longer up to half a second, and says so once."""

    def __init__(self) -> None:
        self._seconds = 0.01

    def __call__(self, text: str) -> None:
        if 0.3 < self._seconds < 0.5:
            logger.warning("%s", text)
        time.sleep(self._seconds)
        self._seconds = min(0.5, self._seconds * 1.5)


def _free(wanted: np.ndarray, pending: np.ndarray, taken: np.ndarray, count: int) -> np.ndarray:
    """Positions in `pending` of the first `count` rows whose keys are not taken."""
    found: list[np.ndarray] = []
    missing, start = count, 0
    while missing > 0 and start < len(pending):
        part = np.flatnonzero(~np.isin(wanted[pending[start : start + count]], taken))[:missing]
        found.append(part + start)
        missing, start = missing - len(part), start + count
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)
