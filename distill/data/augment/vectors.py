"""Word vectors and the nearest neighbours of their words, found once for the whole table and kept."""

from __future__ import annotations

import contextlib
import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import MissingExtra
from ...files import atomic_write, cache_dir, expand, fingerprint, lock
from ...progress import note, track
from .vector_files import read_table

LIMIT = 100_000
"""Words read from a table unless another limit is given: the files are sorted by frequency."""
LEAST = 15
"""At least so many neighbours are kept, TinyBERT's number, so that a smaller number needs no new search."""
_BLOCK = 1024
_SPARE = 16
"""So many neighbours more are searched for than wanted, to order those that FAISS finds equally near."""
_NEAR = 1e-5
"""Cosines closer than this may change places in FAISS's float32."""
_FORMAT = 1


class WordVectors:
    """Words, their vectors of length 1, and their nearest neighbours by cosine.

    Args:
        words: one for each row. Blank words and rows of zeros are left out; of a word that comes twice the first counts.
        vectors: `[words, width]`.
        name: of the table, for messages.

    Attributes:
        words: those that can be looked up, in the order of the table.
        duplicates: how many rows were left out because their word had come before.
    """

    def __init__(self, words: list[str], vectors: NDArray[np.floating[Any]], *, name: str = "word vectors") -> None:
        if len(words) != len(vectors):
            raise ValueError(f"{len(words)} words and {len(vectors)} vectors")
        first: dict[str, int] = {}
        lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
        blank = 0
        for row, word in enumerate(words):
            if not word.strip():
                blank += 1
            elif word not in first:
                first[word] = row
        self.duplicates = len(words) - len(first) - blank
        rows = np.array([row for row in first.values() if lengths[row] > 0], dtype=np.int64)
        self.name = name
        self.words = [words[row] for row in rows]
        self._vectors = vectors[rows].astype(np.float32)
        np.divide(self._vectors, lengths[rows, None], out=self._vectors, casting="same_kind")
        self._index = {word: index for index, word in enumerate(self.words)}
        self._table: NDArray[np.int32] | None = None

    @classmethod
    def load(cls, source: str | Path, vocabulary: str | Path | None = None, limit: int | None = LIMIT) -> WordVectors:
        """Read a table; see `vector_files.read_table` for the formats and the errors.

        Args:
            source: a text file (GloVe, word2vec, fastText; .gz too) or a .npy table.
            vocabulary: the words of a .npy table, one a line.
            limit: rows to read from the beginning; None reads all.

        Returns:
            The words, with no neighbours searched for yet.
        """
        place = expand(source)
        words, vectors = read_table(place, expand(vocabulary) if vocabulary is not None else None, limit)
        found = cls(words, vectors, name=place.name)
        if found.duplicates:
            note(f"{place.name}: {found.duplicates:,} words occur again further down; the first row counts")
        return found

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return self._row(word) is not None

    def neighbours(self, word: str, k: int = LEAST) -> list[str]:
        """The `k` words nearest to a word, the nearest first, never itself.

        Args:
            word: looked up as it is, then in lower case.
            k: how many; fewer come where the table has fewer.

        Returns:
            Words as the table spells them; none for an unknown word.
        """
        row = self._row(word)
        if row is None or k < 1:
            return []
        return [self.words[index] for index in self.table(k)[row, :k]]

    def table(self, k: int = LEAST) -> NDArray[np.int32]:
        """The rows of at least `k` neighbours of every word, from memory, from the cache, or searched for now.

        Args:
            k: how many neighbours are needed.

        Returns:
            `[words, neighbours]`, indexes into `words`, the nearest first; words equally near are in the order of the table.

        Raises:
            MissingExtra: faiss is not installed and the neighbours are not in the cache.
        """
        wanted = min(max(k, LEAST), len(self) - 1)
        if self._table is None or self._table.shape[1] < wanted:
            self._table = self._cached(wanted)
        return self._table

    def fingerprint(self) -> str:
        """A key of the words and vectors: equal tables have equal keys, whatever file they came from."""
        digest = hashlib.sha256("\n".join(self.words).encode("utf-8", "surrogatepass"))
        digest.update(np.ascontiguousarray(self._vectors).tobytes())
        return fingerprint({"format": _FORMAT, "shape": list(self._vectors.shape), "sha256": digest.hexdigest()})

    def _row(self, word: str) -> int | None:
        row = self._index.get(word)
        return self._index.get(word.lower()) if row is None else row

    def _cached(self, k: int) -> NDArray[np.int32]:
        """The table out of the cache; made and put there if it is not, or is damaged."""
        if k < 1:
            return np.zeros((len(self), 0), np.int32)
        path = cache_dir() / "neighbours" / f"{self.fingerprint()}-{k}.npz"
        if (found := _read(path, len(self), k)) is not None:
            return found
        with lock(path.with_suffix(".lock"), "this table of neighbours", wait=True):
            if (found := _read(path, len(self), k)) is not None:  # another process made it meanwhile
                return found
            table = nearest_rows(self._vectors, k, self.name)
            stream = io.BytesIO()
            np.savez(stream, neighbours=table)
            atomic_write(path, stream.getvalue())
        return table


def nearest_rows(vectors: NDArray[np.float32], k: int, name: str = "words") -> NDArray[np.int32]:
    """For each row the `k` others with the largest inner product, exactly; of equal ones the lower row comes first.

    FAISS searches in float32, block by block; what it finds is put in order by products in float64, so that the result does not
    depend on threads or blocks. Where more rows are equally near than were searched for, all rows are compared.

    Args:
        vectors: `[rows, width]`, of length 1.
        k: at least 1, less than the number of rows.
        name: of the table, for the progress bar.

    Raises:
        MissingExtra: faiss is not installed.
    """
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise MissingExtra("augment", "faiss", "the search for neighbours of words") from error
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    fetched = min(len(vectors), k + 1 + _SPARE)
    result = np.empty((len(vectors), k), np.int32)
    starts = range(0, len(vectors), _BLOCK)
    for start in track(starts, total=len(starts), description=f"neighbours in {name}", unit="blocks"):
        queries = vectors[start : start + _BLOCK]
        _, found = index.search(queries, fetched)
        own = np.arange(start, start + len(queries))
        found = np.sort(found, axis=1)
        products = np.einsum("qd,qfd->qf", queries.astype(np.float64), vectors[found].astype(np.float64))
        edge = products.min(axis=1)
        products[found == own[:, None]] = -np.inf
        order = np.argsort(-products, axis=1, kind="stable")[:, :k]
        result[start : start + len(queries)] = np.take_along_axis(found, order, axis=1)
        if fetched < len(vectors):
            last = np.take_along_axis(products, order[:, -1:], axis=1)[:, 0]
            for row in np.flatnonzero(last - edge < _NEAR):
                result[start + row] = _all_compared(vectors, start + int(row), k)
    return result


def _all_compared(vectors: NDArray[np.float32], row: int, k: int) -> NDArray[np.int64]:
    """Neighbours of one row without FAISS."""
    products = np.einsum("d,nd->n", vectors[row].astype(np.float64), vectors.astype(np.float64))
    products[row] = -np.inf
    return np.argsort(-products, kind="stable")[:k]


def _read(path: Path, rows: int, k: int) -> NDArray[np.int32] | None:
    """A table of the cache, or None: there is none, or it is damaged, which is told."""
    if not path.exists():
        return None
    with (
        contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile),
        np.load(path, allow_pickle=False) as file,
    ):
        table = file["neighbours"]
        if table.shape == (rows, k) and table.dtype == np.int32 and table.min(initial=0) >= 0 and table.max(initial=0) < rows:
            return np.asarray(table)
    note(f"{path}: this table of neighbours is damaged; it is made again")
    return None
