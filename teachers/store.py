"""Teacher outputs on disk: each text goes through a teacher once, whatever run asks.

A store is a folder per teacher, `<root>/signals/<key>/`, whose key is the teacher's fingerprint. It holds shards, each a
pair of files named by the sha256 of their content: `<sha>.npy` (float32 [n, dim]) and `<sha>.keys.npy` (uint8 [n, 16],
the blake2b-128 of each text). A shard is checked whenever it is opened; one that is torn is removed and made again.
`format.json` names the form of the files; a store in another form is refused, and nothing in it is touched.

Several processes may label for one teacher at a time, and share the work: each claims a shard's worth of texts (claims.py),
computes without any lock, and writes the shard whole. The store's own lock is held for moments: to look, to claim, to write.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from distill.errors import ModelError, RunError, shorten
from distill.files import atomic_write, fingerprint, read_json, write_json

from .claims import held
from .keys import concatenate, find, first_of_each, keys_of, mapped_keys
from .mirror import Mirror, npy
from .shards import Embed, Labelling

logger = logging.getLogger(__name__)

FORMAT = 1
"""Form of a store's files. A store without `format.json` is of form 1."""

OPEN_MAPS = 256
"""Memory maps kept open at once, well below the usual limit of 1024 open files."""


class Track(Protocol):
    """A progress bar: yields the items as they are asked for."""

    def __call__(self, items: Iterable[int], *, total: int | None, description: str, unit: str = "") -> Iterator[int]: ...


class StoredRows:
    """The vectors of a list of texts, read from memory maps when they are asked for.

    Attributes:
        new_sentences: different texts that went through the teacher now, in this process.
        reused: different texts that were in the store before, or that another process labelled meanwhile.
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
        url: of the folder where machines that share nothing else keep the same store (teachers.mirror); None for none.
    """

    def __init__(self, root: Path, teacher: Mapping[str, Any], dim: int, url: str | None = None) -> None:
        self.teacher = dict(teacher)
        self.key = fingerprint(self.teacher)
        self.folder = Path(root) / "signals" / self.key
        self.dim = dim
        self.url = url

    def label(
        self,
        texts: Sequence[str],
        embed: Embed,
        *,
        shard_size: int = 2048,
        progress: Track | None = None,
        workers: int = 1,
    ) -> StoredRows:
        """The vectors of `texts`; those that are not in the store yet are computed and kept.

        Finished shards stay when the process dies, and the next call goes on from there. Processes that label for the same
        teacher at the same time share the work, shard by shard: no text is done twice, and those of one that dies are done
        by the others.

        Args:
            texts: sentences, repeats allowed.
            embed: gives float32 [n, dim] for n texts; sees each new text once, texts of similar length together.
            shard_size: texts per file.
            progress: shows how far the new texts are, such as `distill.progress.track`.
            workers: shards that are computed at the same time, each by a thread that calls `embed`: more than one where
                that asks somebody else, such as other machines. The files are the same.

        Returns:
            One row per text, in order.

        Raises:
            ModelError: a vector has the wrong shape, or is not finite.
            RunError: the disk is full, read-only or forbidden, or another version wrote the store, here or at the URL.
        """
        wanted = keys_of(texts)
        shards: dict[Path, np.ndarray] = {}
        with held(self.folder / "lock"):
            self._check_format()  # first: what another version wrote would look damaged, and be removed
            self._clean()
            write_json(self.folder / "teacher.json", self.teacher)
            self.look(shards)
        _, known = find(concatenate(shards.values()), wanted)
        first = first_of_each(wanted)
        pending = np.flatnonzero(first & ~known).astype(np.int32 if len(texts) < 2**31 else np.int64)
        with Mirror(self.url, self.key) if self.url is not None else contextlib.nullcontext() as mirror:
            if mirror is not None:
                mirror.open(self.teacher, FORMAT, shards)
            steps = Labelling(self, texts, wanted, pending, embed, shard_size, shards, mirror).steps(workers)
            if progress is not None:
                steps = progress(steps, total=len(pending), description="teacher signals", unit="sentences")
            new = sum(steps)
        rows, _ = find(concatenate(shards.values()), wanted)
        starts = np.cumsum([0, *map(len, shards.values())], dtype=np.int64)[:-1]
        return StoredRows(list(shards), starts, rows, self.dim, new, int(first.sum()) - new)

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

    def checked(self, vectors: np.ndarray, rows: Sequence[int], texts: Sequence[str]) -> np.ndarray:
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

    def keep(self, vectors: np.ndarray, keys: np.ndarray, shards: dict[Path, np.ndarray]) -> Path:
        """Write one shard, keys first, so that vectors never stand alone. Call with the lock held.

        Args:
            vectors, keys: float32 [n, dim] and S16 [n].
            shards: it is added to them.

        Returns:
            The file of the vectors.
        """
        hashes = keys.view(np.uint8).reshape(len(keys), 16)
        path = self.folder / f"{_digest(vectors, hashes)}.npy"
        place = path.with_name(f"{path.stem}.keys.npy")
        atomic_write(place, _npy(hashes))
        atomic_write(path, _npy(vectors))
        shards[path] = mapped_keys(place)
        return path

    def adopt(self, name: str, vectors: bytes, keys: bytes) -> bool:
        """Write a shard that another machine made, the bytes of its two files; False where they are not what its name says."""
        values, hashes = npy(vectors), npy(keys)
        if values is None or hashes is None or not self._sound(values, hashes, name):
            return False
        with held(self.folder / "lock"):
            atomic_write(self.folder / f"{name}.keys.npy", keys)
            atomic_write(self.folder / f"{name}.npy", vectors)
        return True

    def look(self, shards: dict[Path, np.ndarray]) -> np.ndarray:
        """Add every whole shard that is not known yet, sorted by name; damaged ones are removed. Call with the lock held.

        Args:
            shards: path -> keys, S16 [n].

        Returns:
            The keys that came in, S16 [n].
        """
        fresh = []
        for path in sorted(self.folder.glob("*.keys.npy")):
            vectors = path.with_name(path.name.replace(".keys.npy", ".npy"))
            if vectors in shards:
                continue
            keys = self._read(vectors, path)
            if keys is None:
                logger.warning("a damaged piece of the teacher's store is removed and made again: %s", vectors.name)
                for file in (vectors, path):
                    file.unlink(missing_ok=True)
            else:
                shards[vectors] = keys
                fresh.append(keys)
        return concatenate(fresh)

    def _read(self, vectors: Path, keys: Path) -> np.ndarray | None:
        """A shard's keys as an S16 array, or None if the two files are not what was written."""
        try:
            values = np.load(vectors, mmap_mode="r", allow_pickle=False)
            hashes = np.load(keys, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        return np.ascontiguousarray(hashes).view("S16").ravel() if self._sound(values, hashes, vectors.stem) else None

    def _sound(self, values: np.ndarray, hashes: np.ndarray, name: str) -> bool:
        """Whether vectors and keys are those of the shard of this name."""
        if values.ndim != 2 or hashes.ndim != 2 or values.dtype != np.float32 or hashes.dtype != np.uint8:
            return False
        right = values.shape == (len(hashes), self.dim) and hashes.shape[1] == 16
        return right and _digest(values, hashes) == name

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
