"""Inner states of a teacher on disk: the teacher reads each row of tokens once, and training reads what it left.

A store is a folder per teacher, choice of states and kind of numbers, `<root>/states/<key>/`. A shard in it is a folder,
written beside and renamed, so that it is whole or absent: `values.npy` (flat, row after row, each of its real length),
`keys.npy` (uint8 [n, 16], the `row_key` of each row), `lengths.npy` (int32 [n], tokens) and `complete.json` with the sha256 of
all three. A shard whose sha256 is wrong is removed and made again.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from distill.errors import ModelError, RunError
from distill.files import atomic_folder, atomic_write, fingerprint, lock, read_json, write_json

from .state_rows import Estimate, Part, Shard, StoredStates, real, sizes
from .store import Track

logger = logging.getLogger(__name__)

FORMAT = 1
SHARD_BYTES = 256 << 20
SHARD_ROWS = 4096
MARGIN = 64 << 20
"""Bytes that are left free on the disk, for what else a run writes meanwhile."""

Compute = Callable[[Sequence[int]], Mapping[str, np.ndarray]]
"""Rows of like length -> each state of them, padded on the right: float [B, ...]."""


class StateStore:
    """The states that one teacher gave so far.

    Args:
        root: cache folder.
        teacher: everything that decides the states, as JSON values.
        parts: which states are kept of every row.
        dtype: numbers they are kept in: float32, or float16, which halves the disk and rounds to 11 bits.
    """

    def __init__(self, root: Path, teacher: Mapping[str, Any], parts: Sequence[Part], dtype: np.dtype[Any]) -> None:
        self.parts = tuple(parts)
        self.dtype = np.dtype(dtype)
        kept = [[part.name, part.heads, part.width] for part in self.parts]
        self.teacher = {**teacher, "states": kept, "dtype": self.dtype.name, "format": FORMAT}
        self.folder = Path(root) / "states" / fingerprint(self.teacher)

    def label(
        self,
        keys: Sequence[bytes],
        lengths: Sequence[int] | np.ndarray,
        compute: Compute,
        *,
        batch_size: int = 32,
        announce: Callable[[Estimate], None] | None = None,
        progress: Track | None = None,
    ) -> StoredStates:
        """The states of rows; of those that are not in the store yet they are computed and kept.

        Finished shards stay when the process dies, and the next call goes on from there with the same batches. Processes
        that ask for the same teacher take turns.

        Args:
            keys: the `row_key` of each row, repeats allowed.
            lengths: tokens of each row.
            compute: runs the teacher; sees each new row once, rows of similar length together.
            batch_size: rows a run.
            announce: is told what it will take before it begins.
            progress: shows how far the new rows are.

        Returns:
            The states of all rows, in order.

        Raises:
            RunError: the disk has no room for them, or cannot be written.
            ModelError: a state has the wrong shape, or holds what the numbers of the store cannot.
        """
        wanted = np.frombuffer(b"".join(keys), dtype="S16")
        tokens = np.asarray(lengths, dtype=np.int32)
        with lock(self.folder / "lock", "this teacher's inner states", wait=True):
            for left in self.folder.glob(".*.tmp-*"):
                shutil.rmtree(left, ignore_errors=True)
            write_json(self.folder / "teacher.json", self.teacher)
            shards = self._shards(wanted)
            have = np.concatenate([shard.keys for shard in shards]) if shards else np.empty(0, "S16")
            different, first = np.unique(wanted, return_index=True)
            new = np.sort(first[~np.isin(different, have)])
            groups = list(self._groups(new, tokens))
            estimate = Estimate(
                len(new),
                len(different) - len(new),
                sum(self._bytes(tokens[group]) for group in groups),
                sum(self._bytes(shard.lengths) for shard in shards),
                shutil.disk_usage(self.folder).free,
            )
            if announce is not None:
                announce(estimate)
            self._check_room(estimate)
            shards += self._compute(groups, wanted, tokens, compute, batch_size, progress)
        return StoredStates(self.parts, shards, wanted, estimate)

    def _check_room(self, estimate: Estimate) -> None:
        if estimate.bytes_new and estimate.bytes_new + MARGIN > estimate.bytes_free:
            raise RunError(
                "the disk has no room for the teacher's inner states",
                where=str(self.folder),
                got=f"{estimate.bytes_free / 1e6:,.0f} MB free",
                expected=f"{estimate.bytes_new / 1e6:,.0f} MB for {estimate.new:,} rows, and {MARGIN / 1e6:,.0f} MB left over",
                hint="free some space, set DISTILL_CACHE to a folder on a larger disk, take fewer rows or layers, "
                + ("train.store_states fp16, " if self.dtype == np.float32 else "")
                + "or leave train.store_states out: the teacher then runs beside",
            )

    def _groups(self, new: np.ndarray, tokens: np.ndarray) -> Iterator[np.ndarray]:
        """New rows in the order of the data, cut into shards."""
        ends = np.cumsum(sizes(self.parts, tokens[new])) * self.dtype.itemsize
        start = 0
        while start < len(new):
            before = int(ends[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, before + SHARD_BYTES, side="right")))
            stop = min(stop, start + SHARD_ROWS)
            yield new[start:stop]
            start = stop

    def _compute(
        self,
        groups: Sequence[np.ndarray],
        keys: np.ndarray,
        tokens: np.ndarray,
        compute: Compute,
        batch_size: int,
        progress: Track | None,
    ) -> list[Shard]:
        """Write a shard for each group of rows."""
        shards = []
        for group in groups:
            rows = group[np.argsort(-tokens[group], kind="stable")]  # like lengths together
            shards.append((rows, [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]))
        total = sum(len(batches) for _, batches in shards)
        turn: Iterator[int] = iter(range(total))
        if progress is not None:
            turn = progress(range(total), total=total, description="teacher's inner states", unit="batches")
        written = []
        for rows, batches in shards:
            values = (self._rows(compute, batch, tokens) for batch, _ in zip(batches, turn, strict=False))
            written.append(self._write(keys[rows], tokens[rows], values))
        next(turn, None)  # the bar is at its end
        return written

    def _rows(self, compute: Compute, rows: np.ndarray, tokens: np.ndarray) -> bytes:
        """The states of some rows as they lie on disk."""
        found = compute(rows.tolist())
        width = int(tokens[rows].max())
        pieces: list[np.ndarray] = []
        for part in self.parts:
            expected = (len(rows), *part.shape(width))
            if found[part.name].shape != expected:
                raise ModelError(
                    f"the teacher's {part.name} have another shape", got=found[part.name].shape, expected=f"{expected}"
                )
        for line, row in enumerate(rows):
            pieces += [found[part.name][line][real(part, int(tokens[row]))].reshape(-1) for part in self.parts]
        with np.errstate(over="ignore"):
            flat = np.concatenate(pieces).astype(self.dtype)
        if not np.isfinite(flat).all():
            whole = all(np.isfinite(piece).all() for piece in pieces)
            raise ModelError(
                "an inner state of the teacher is too large for float16" if whole else "the teacher gives NaN or infinity",
                where=f"training rows {rows.tolist()[:16]}",
                hint="use train.store_states fp32" if whole else "remove the rows, or check the teacher's weights",
            )
        return flat.tobytes()

    def _write(self, keys: np.ndarray, lengths: np.ndarray, batches: Iterable[bytes]) -> Shard:
        """Write one shard; its rows' values come batch by batch."""
        raw = keys.view(np.uint8).reshape(-1, 16)
        digest = hashlib.sha256()
        place = self.folder / hashlib.sha256(raw.tobytes()).hexdigest()[:32]
        with atomic_folder(place) as work:
            with open(work / "values.npy", "wb") as stream:
                _header(stream, int(sizes(self.parts, lengths).sum()), self.dtype)
                for values in batches:
                    digest.update(values)
                    stream.write(values)
            for name, array in (("keys", raw), ("lengths", lengths)):
                atomic_write(work / f"{name}.npy", _npy(array))
                digest.update(array.tobytes())
            write_json(work / "complete.json", {"sha256": digest.hexdigest()})
        return Shard(place, keys, lengths)

    def _shards(self, wanted: np.ndarray) -> list[Shard]:
        """Every whole shard that holds wanted rows; damaged ones are removed. Call with the lock held."""
        whole: list[Shard] = []
        for place in sorted(item for item in self.folder.iterdir() if item.is_dir()):
            try:
                raw, lengths = (np.load(place / f"{name}.npy", allow_pickle=False) for name in ("keys", "lengths"))
                keys = np.ascontiguousarray(raw).view("S16").ravel()
                if not np.isin(keys, wanted).any():
                    continue
                right = self._digest(place, raw, lengths) == read_json(place / "complete.json")["sha256"]
            except (OSError, ValueError, KeyError, TypeError, EOFError, RunError):
                right = False
            if right:
                whole.append(Shard(place, keys, lengths))
            else:
                logger.warning("a damaged piece of the teacher's inner states is removed and made again: %s", place.name)
                shutil.rmtree(place)
        return whole

    def _digest(self, place: Path, raw: np.ndarray, lengths: np.ndarray) -> str | None:
        """sha256 of a shard as it lies there; None where the files do not belong together."""
        values = np.load(place / "values.npy", mmap_mode="r", allow_pickle=False)
        fits = len(raw) == len(lengths) and values.shape == (int(sizes(self.parts, lengths).sum()),)
        if not fits or values.dtype != self.dtype:
            return None
        digest = hashlib.sha256(memoryview(values.view(np.ndarray)).cast("B") if len(values) else b"")
        digest.update(raw.tobytes())
        digest.update(lengths.tobytes())
        return digest.hexdigest()

    def _bytes(self, lengths: np.ndarray) -> int:
        """Exact size of a shard's files."""
        count = int(sizes(self.parts, lengths).sum())
        stream = io.BytesIO()
        _header(stream, count, self.dtype)
        rows = (np.empty((len(lengths), 16), np.uint8), np.empty(len(lengths), np.int32))
        seal = len(json.dumps({"sha256": "0" * 64}, indent=2)) + 1
        return len(stream.getvalue()) + count * self.dtype.itemsize + sum(len(_npy(array)) for array in rows) + seal


def _header(stream: BinaryIO, count: int, dtype: np.dtype[Any]) -> None:
    """The head of an .npy file of so many numbers."""
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(stream, described)


def _npy(array: np.ndarray) -> bytes:
    """The bytes of an .npy file."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()
