"""Teacher outputs on disk: each text goes through a teacher once, whatever run asks.

A store is a folder per teacher, `<root>/signals/<key>/`, whose key is the teacher's fingerprint. It holds shards, each a
pair of files named by the sha256 of their content: `<sha>.npy` (float32 [n, dim]) and `<sha>.keys.npy` (uint8 [n, 16],
the blake2b-128 of each text). A shard is checked whenever it is opened; one that is torn is removed and made again.
`format.json` names the form of the files; a store in another form is refused, and nothing in it is touched.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from distill.errors import ModelError, RunError, shorten
from distill.files import atomic_write, fingerprint, lock, read_json, write_json

logger = logging.getLogger(__name__)

FORMAT = 1
"""Form of a store's files. A store without `format.json` is of form 1."""

BLOCK = 256
"""Texts handed to the teacher at once; the grain of the progress bar."""

OPEN_MAPS = 256
"""Memory maps kept open at once, well below the usual limit of 1024 open files."""


Shard = tuple[Path, np.ndarray]
"""The file with a shard's vectors, and its keys as S16 [n]."""


class Track(Protocol):
    """A progress bar: yields the items as they are asked for."""

    def __call__(self, items: Iterable[int], *, total: int | None, description: str, unit: str = "") -> Iterator[int]: ...


class StoredRows:
    """The vectors of a list of texts, read from memory maps when they are asked for.

    Attributes:
        new_sentences: different texts that went through the teacher now.
        reused: different texts that were in the store before.
    """

    def __init__(self, shards: Sequence[Path], starts: np.ndarray, rows: np.ndarray, dim: int, new: int, reused: int) -> None:
        self._shards = list(shards)
        self._starts = starts
        self._rows = rows
        self._dim = dim
        self._maps: OrderedDict[int, np.ndarray] = OrderedDict()
        self.new_sentences = new
        self.reused = reused

    def __len__(self) -> int:
        return len(self._rows)

    def gather(self, indices: np.ndarray) -> np.ndarray:
        """The vectors of some of the texts.

        Args:
            indices: positions in the list of texts, any integer array [k].

        Returns:
            float32 [k, dim], a copy.
        """
        rows = self._rows[np.asarray(indices, dtype=np.int64)]
        owners = np.searchsorted(self._starts, rows, side="right") - 1
        out = np.empty((len(rows), self._dim), dtype=np.float32)
        for shard in np.unique(owners):
            here = owners == shard
            out[here] = self._map(int(shard))[rows[here] - self._starts[shard]]
        return out

    def sha256(self) -> str:
        """Hex sha256 over all vectors in the order of the texts."""
        digest = hashlib.sha256()
        for start in range(0, len(self), 4096):
            digest.update(self.gather(np.arange(start, min(start + 4096, len(self)))).tobytes())
        return digest.hexdigest()

    def _map(self, shard: int) -> np.ndarray:
        if shard not in self._maps:
            self._maps[shard] = np.load(self._shards[shard], mmap_mode="r", allow_pickle=False)
        self._maps.move_to_end(shard)
        if len(self._maps) > OPEN_MAPS:
            self._maps.popitem(last=False)
        return self._maps[shard]


class EmbeddingStore:
    """The vectors one teacher gave so far.

    Args:
        root: cache folder.
        teacher: everything that decides the vectors, as JSON values (`Teacher.fingerprint()`).
        dim: width of the vectors.
    """

    def __init__(self, root: Path, teacher: Mapping[str, Any], dim: int) -> None:
        self.teacher = dict(teacher)
        self.key = fingerprint(self.teacher)
        self.folder = Path(root) / "signals" / self.key
        self.dim = dim

    def label(
        self,
        texts: Sequence[str],
        embed: Callable[[Sequence[str]], np.ndarray],
        *,
        shard_size: int = 2048,
        progress: Track | None = None,
    ) -> StoredRows:
        """The vectors of `texts`; those that are not in the store yet are computed and kept.

        Finished shards stay when the process dies, and the next call goes on from there. Two processes that label
        for the same teacher take turns, and the second finds what the first has done.

        Args:
            texts: sentences, repeats allowed.
            embed: gives float32 [n, dim] for n texts; sees each new text once, texts of similar length together.
            shard_size: texts per file.
            progress: shows how far the new texts are, such as `distill.progress.track`.

        Returns:
            One row per text, in order.

        Raises:
            ModelError: a vector has the wrong shape, or is not finite.
            RunError: the disk is full, read-only or forbidden, or another version wrote the store.
        """
        with lock(self.folder / "lock", "this teacher's store", wait=True):
            self._check_format()  # first: what another version wrote would look damaged, and be removed
            self._clean()
            write_json(self.folder / "teacher.json", self.teacher)
            wanted = _keys(texts)
            shards = self._shards()
            _, known = _find(_concatenate([keys for _, keys in shards]), wanted)
            different, first = np.unique(wanted, return_index=True)
            new = np.sort(first[~known[first]])
            shards += self._compute([int(row) for row in new], texts, embed, shard_size, progress)
        rows, _ = _find(_concatenate([keys for _, keys in shards]), wanted)
        starts = np.cumsum([0, *(len(keys) for _, keys in shards)], dtype=np.int64)[:-1]
        return StoredRows([path for path, _ in shards], starts, rows, self.dim, len(new), len(different) - len(new))

    def _check_format(self) -> None:
        """Refuse a store whose files have another form than this version writes; name the form of a new one."""
        path = self.folder / "format.json"
        if path.exists():
            found = read_json(path)
            form = found.get("format") if isinstance(found, dict) else None
            if type(form) is not int or form != FORMAT:
                raise RunError(
                    "another version of distill wrote this teacher's store",
                    where=str(self.folder),
                    got=f"format {form}",
                    expected=f"format {FORMAT}",
                    hint="use that version, set DISTILL_CACHE to another folder, or remove this one to label again",
                )
        else:
            write_json(path, {"format": FORMAT})

    def _compute(
        self,
        new: list[int],
        texts: Sequence[str],
        embed: Callable[[Sequence[str]], np.ndarray],
        shard_size: int,
        progress: Track | None,
    ) -> list[Shard]:
        """Label `texts[row]` for every row in `new`, and write a shard after each `shard_size` of them."""
        ordered: list[int] = []
        for start in range(0, len(new), shard_size):  # by length within a shard: little padding, steady speed
            ordered += sorted(new[start : start + shard_size], key=lambda row: len(texts[row]), reverse=True)
        steps: Iterable[int] = ordered
        if progress is not None:
            steps = progress(ordered, total=len(ordered), description="teacher signals", unit="sentences")
        block: list[int] = []
        vectors: list[np.ndarray] = []
        written: list[Shard] = []
        for count, row in enumerate(steps, start=1):
            block.append(row)
            full = count % shard_size == 0 or count == len(ordered)
            if full or len(block) == BLOCK:
                vectors.append(self._checked(embed([texts[index] for index in block]), block, texts))
                block = []
            if full:
                rows = ordered[count - sum(map(len, vectors)) : count]
                written.append(self._write(np.concatenate(vectors), _keys([texts[index] for index in rows])))
                vectors = []
        return written

    def _checked(self, vectors: np.ndarray, rows: Sequence[int], texts: Sequence[str]) -> np.ndarray:
        """The vectors as contiguous float32, if they are what they should be."""
        array = np.ascontiguousarray(vectors, dtype=np.float32)
        if array.shape != (len(rows), self.dim):
            raise ModelError("the teacher's vectors have another shape", got=array.shape, expected=f"{(len(rows), self.dim)}")
        broken = np.flatnonzero(~np.isfinite(array).all(axis=1))
        if len(broken):
            row = rows[int(broken[0])]
            raise ModelError(
                "the teacher gives NaN or infinity for a sentence",
                where=f"sentence {row + 1}",
                got=shorten(texts[row], 80),
                hint="remove the sentence, or check the teacher's weights",
            )
        return array

    def _write(self, vectors: np.ndarray, keys: np.ndarray) -> Shard:
        """Keep one shard: keys first, so that vectors never stand alone."""
        hashes = keys.view(np.uint8).reshape(len(keys), 16)
        name = _digest(vectors, hashes)
        atomic_write(self.folder / f"{name}.keys.npy", _npy(hashes))
        path = self.folder / f"{name}.npy"
        atomic_write(path, _npy(vectors))
        return path, keys

    def _shards(self) -> list[Shard]:
        """Every whole shard with its keys, sorted by name; the others are removed. Call with the lock held."""
        whole: list[Shard] = []
        for path in sorted(self.folder.glob("*.keys.npy")):
            vectors = path.with_name(path.name.replace(".keys.npy", ".npy"))
            keys = self._read(vectors, path)
            if keys is None:
                logger.warning("a damaged piece of the teacher's store is removed and made again: %s", vectors.name)
                for file in (vectors, path):
                    file.unlink(missing_ok=True)
            else:
                whole.append((vectors, keys))
        return whole

    def _read(self, vectors: Path, keys: Path) -> np.ndarray | None:
        """A shard's keys as an S16 array, or None if the two files are not what was written."""
        try:
            values = np.load(vectors, mmap_mode="r", allow_pickle=False)
            hashes = np.load(keys, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        right = values.dtype == np.float32 and values.shape == (len(hashes), self.dim) and hashes.shape[1:] == (16,)
        if not right or hashes.dtype != np.uint8 or _digest(values, hashes) != vectors.stem:
            return None
        return np.ascontiguousarray(hashes).view("S16").ravel()

    def _clean(self) -> None:
        """Remove what a killed process left half-written, and vectors whose keys are gone."""
        left = [*self.folder.glob(".*.tmp-*")]
        left += [
            file
            for file in self.folder.glob("*.npy")
            if not file.name.endswith(".keys.npy") and not file.with_name(f"{file.stem}.keys.npy").exists()
        ]
        for file in left:
            with contextlib.suppress(FileNotFoundError):
                file.unlink()


def _keys(texts: Sequence[str]) -> np.ndarray:
    """blake2b-128 of each text, as S16 [n]."""
    raw = b"".join(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts)
    return np.frombuffer(raw, dtype="S16") if raw else np.empty(0, dtype="S16")


def _find(stored: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each wanted key is among the stored ones, int64 [n], and whether it is there, bool [n]."""
    if not len(stored):
        return np.zeros(len(wanted), dtype=np.int64), np.zeros(len(wanted), dtype=bool)
    order = np.argsort(stored, kind="stable")
    rows = order[np.minimum(np.searchsorted(stored, wanted, sorter=order), len(stored) - 1)]
    return rows, stored[rows] == wanted


def _concatenate(keys: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(keys) if keys else np.empty(0, dtype="S16")


def _digest(vectors: np.ndarray, hashes: np.ndarray) -> str:
    """The name of a shard: sha256 of its vectors and keys."""
    digest = hashlib.sha256(vectors.tobytes())
    digest.update(hashes.tobytes())
    return digest.hexdigest()


def _npy(array: np.ndarray) -> bytes:
    """The bytes of an .npy file."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()
