"""The same vectors in every kind of FAISS index: exact, approximate, and of a byte or a bit a dimension."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import MissingExtra, UserError, nearest
from .vectors import from_bits, to_bits

KINDS = ("flat_ip", "flat_l2", "hnsw", "ivf", "int8", "binary", "binary_rescored")
"""Exact by inner product, exact by distance, a graph, clusters, a byte a dimension, a bit a dimension, the same rescored."""
EXACT = "flat_ip"
_FEWEST_PER_LIST = 39
"""FAISS asks for so many training vectors a cluster."""


@dataclass(frozen=True)
class IndexSettings:
    """What an index is built and searched with.

    Attributes:
        hnsw_links: links a vector has in the graph (M); 8 bytes each on the lowest level.
        hnsw_build: candidates looked at while a vector is put in (efConstruction).
        hnsw_search: candidates looked at in a search (efSearch); at least as many as results are asked for.
        ivf_lists: clusters; None takes 4 sqrt(n), and no more than n / 39.
        ivf_probes: clusters that a search looks into; None takes an eighth of them.
        oversample: how many candidates a result a rescored binary search looks at.
        threads: of building and searching. One builds the same graph every time; None uses all, and the links of an HNSW
            graph then depend on which thread was first.
        seed: of clusters and levels.
    """

    hnsw_links: int = 32
    hnsw_build: int = 200
    hnsw_search: int = 128
    ivf_lists: int | None = None
    ivf_probes: int | None = None
    oversample: int = 4
    threads: int | None = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("hnsw_links", "hnsw_build", "hnsw_search", "ivf_lists", "ivf_probes", "oversample", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} must be at least 1", where=name, got=value)
        if self.hnsw_links < 2:
            raise UserError("a graph needs at least two links a vector", where="hnsw_links", got=self.hnsw_links)

    def lists(self, count: int) -> int:
        """Clusters of an IVF index of so many vectors."""
        most = max(1, count // _FEWEST_PER_LIST)
        return max(1, min(round(4 * count**0.5), most)) if self.ivf_lists is None else min(self.ivf_lists, count)

    def probes(self, lists: int) -> int:
        """Clusters that a search looks into."""
        return max(1, lists // 8) if self.ivf_probes is None else min(self.ivf_probes, lists)


class VectorIndex:
    """Vectors that can be searched. Made by `build_index`, or around an index that was read from a file.

    Attributes:
        kind: one of `KINDS`.
        dim: width of the vectors.
        index: the FAISS index.
        settings: what it was built with.
        seconds: what building took, see `clock`; 0 where it was read.
    """

    def __init__(self, kind: str, dim: int, index: Any, settings: IndexSettings, seconds: float = 0.0) -> None:
        self.kind = kind
        self.dim = dim
        self.index = index
        self.settings = settings
        self.seconds = seconds

    def __len__(self) -> int:
        return int(self.index.ntotal)

    @property
    def binary(self) -> bool:
        """Whether it holds bits."""
        return self.kind.startswith("binary")

    def size(self) -> int:
        """Bytes of the index, vectors included, as they are on disk and nearly so in memory."""
        faiss = import_faiss()
        whole = faiss.serialize_index_binary(self.index) if self.binary else faiss.serialize_index(self.index)
        return int(whole.nbytes)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest vectors of each query, the nearest first.

        Args:
            queries: [q, dim].
            k: how many; capped by what there is.

        Returns:
            Scores float32 [q, k], higher is nearer: inner products; for `flat_l2` squared distances, negated; for `binary`
            1 - 2 hamming / dim; rescored, the inner product with the signs divided by sqrt(dim), which is the cosine to
            them where queries have length 1. Row numbers int64 [q, k]; -1 with a score of -inf where an IVF index found
            fewer.

        Raises:
            UserError: the queries have another width, or k is below 1.
        """
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise UserError(
                "queries and index have different widths",
                got=f"queries {list(queries.shape)}",
                expected=f"[q, {self.dim}], the width of the index",
                hint="encode the queries with the model, and the number of dimensions, that the index was built with",
            )
        if k < 1:
            raise UserError("k must be at least 1", where="k", got=k)
        k = min(k, len(self))
        if k == 0 or len(queries) == 0:
            return np.zeros((len(queries), k), np.float32), np.zeros((len(queries), k), np.int64)
        rows = np.ascontiguousarray(queries, np.float32)
        with _threads(self.settings.threads):
            return self._bits(rows, k) if self.binary else self._floats(rows, k)

    def _floats(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        faiss = import_faiss()
        options: dict[str, Any] = {}
        if self.kind == "hnsw":
            options["params"] = faiss.SearchParametersHNSW(efSearch=max(self.settings.hnsw_search, k))
        if self.kind == "ivf":
            options["params"] = faiss.SearchParametersIVF(nprobe=self.settings.probes(self.index.nlist))
        scores, found = self.index.search(queries, k, **options)
        scores = -scores if self.kind == "flat_l2" else scores
        return np.where(found < 0, np.float32(-np.inf), scores), found

    def _bits(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        rescored = self.kind == "binary_rescored"
        depth = min(len(self), k * self.settings.oversample) if rescored else k
        hamming, found = self.index.search(to_bits(queries), depth)
        scores = (1 - 2 * hamming / self.dim).astype(np.float32)
        if rescored:
            stored = self._stored()
            for row, query in enumerate(queries):  # one at a time: the signs of all candidates of all queries may be gigabytes
                scores[row] = from_bits(stored[found[row]], self.dim) @ query / np.float32(self.dim**0.5)
        order = np.lexsort((found, -scores))[:, :k]
        return np.take_along_axis(scores, order, 1), np.take_along_axis(found, order, 1)

    def _stored(self) -> np.ndarray:
        """The bits of all vectors, uint8 [n, ceil(dim / 8)], not copied."""
        code = self.index.code_size
        return np.asarray(import_faiss().rev_swig_ptr(self.index.xb.data(), len(self) * code)).reshape(len(self), code)


def build_index(vectors: np.ndarray, kind: str = EXACT, settings: IndexSettings | None = None) -> VectorIndex:
    """Put vectors into an index.

    Args:
        vectors: [n, d], as they are: scale them to length 1 first for a search by cosine.
        kind: `flat_ip` and `flat_l2` compare with every vector; `hnsw` (a graph), `ivf` (clusters) and `int8` (a byte a
            dimension, the ranges taken from these vectors) go by inner product; `binary` (a bit a dimension) goes by
            Hamming distance, `binary_rescored` ranks its candidates again with the query's full vector.
        settings: see `IndexSettings`.

    Returns:
        The index; `seconds` is what it took by `clock`, training included.

    Raises:
        MissingExtra: faiss is not installed.
        UserError: no such kind, no vectors, or one of them holds something that is no number.
    """
    settings = settings or IndexSettings()
    faiss = import_faiss()
    if kind not in KINDS:
        raise UserError("no such kind of index", where="kind", got=kind, expected=", ".join(KINDS), hint=nearest(kind, KINDS))
    if vectors.ndim != 2 or not vectors.size:
        raise UserError("there are no vectors to search in", got=f"shape {list(vectors.shape)}", expected="[n, d]")
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(1))[0])
        raise UserError("this vector holds something that is no number", where=f"row {row}", hint="is the model damaged?")
    rows = np.ascontiguousarray(vectors, np.float32)
    count, dim = rows.shape
    start = clock(settings)
    with _threads(settings.threads):
        index = _empty(faiss, kind, count, dim, settings)
        stored = to_bits(rows) if kind.startswith("binary") else rows
        if not index.is_trained:
            index.train(stored)
        index.add(stored)
    return VectorIndex(kind, dim, index, settings, clock(settings) - start)


def _empty(faiss: Any, kind: str, count: int, dim: int, settings: IndexSettings) -> Any:
    inner = faiss.METRIC_INNER_PRODUCT
    if kind == "flat_ip":
        return faiss.IndexFlatIP(dim)
    if kind == "flat_l2":
        return faiss.IndexFlatL2(dim)
    if kind == "int8":
        return faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_8bit, inner)
    if kind == "hnsw":
        index = faiss.IndexHNSWFlat(dim, settings.hnsw_links, inner)
        index.hnsw.efConstruction = settings.hnsw_build
        index.hnsw.rng = faiss.RandomGenerator(settings.seed + 1)
        return index
    if kind == "ivf":
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, settings.lists(count), inner)
        index.cp.seed = settings.seed + 1
        return index
    return faiss.IndexBinaryFlat(-(-dim // 8) * 8)


def search_documents(
    index: VectorIndex, queries: np.ndarray, k: int, *, owners: np.ndarray | None = None, exclude: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The k nearest documents of each query, where an index holds documents or their parts.

    Args:
        index: of documents, or of parts.
        queries: [q, d].
        k: documents a query.
        owners: int [n], the document of each row of the index; a document ranks by its best part. None: rows are documents.
        exclude: int [q], a document that a query must not find, such as itself; -1 for none.

    Returns:
        Scores float32 [q, k], documents int64 [q, k] and the row of the index that found each, int64 [q, k]; -1 with a score
        of -inf where there are no more.
    """
    count = len(queries)
    depth = k if exclude is None else k + 1
    scores, rows = np.full((count, k), -np.inf, np.float32), np.full((count, k), -1, np.int64)
    documents, open_ = rows.copy(), np.arange(count)
    while len(open_):
        found_scores, found = index.search(queries[open_], depth)
        names = found if owners is None else np.where(found < 0, -1, owners[found])
        kept = _first_of_each(names) if owners is not None else names >= 0
        if exclude is not None:
            kept &= names != exclude[open_, None]
        order = np.argsort(~kept, axis=1, kind="stable")[:, :k]
        there = np.take_along_axis(kept, order, 1)
        width = order.shape[1]
        for target, source, missing in ((scores, found_scores, -np.inf), (documents, names, -1), (rows, found, -1)):
            target[open_, :width] = np.where(there, np.take_along_axis(source, order, 1), missing)
        if owners is None or depth >= len(index):
            break
        open_ = open_[(there.sum(1) < k) & (found >= 0).all(1)]
        depth = min(len(index), 2 * depth)
    return scores, documents, rows


def _first_of_each(names: np.ndarray) -> np.ndarray:
    """Where a document comes up for the first time in its row, bool [q, m]; -1 never does."""
    order = np.argsort(names, axis=1, kind="stable")
    ordered = np.take_along_axis(names, order, 1)
    new = np.ones(names.shape, bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.empty_like(new)
    np.put_along_axis(first, order, new, 1)
    return first & (names >= 0)


def clock(settings: IndexSettings) -> float:
    """Seconds: of the processor on one thread, so that other work on the machine does not count; else of the wall."""
    return time.process_time() if settings.threads == 1 else time.perf_counter()


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """FAISS's number of threads, put back afterwards."""
    faiss = import_faiss()
    before = faiss.omp_get_max_threads()
    if count is not None:
        faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def import_faiss() -> Any:
    """The package.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise MissingExtra("search", "faiss", "searching for neighbours") from error
    return faiss
