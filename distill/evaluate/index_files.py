"""FAISS index files: written, and read only after a look at what they claim to be."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import DataError, UserError, nearest
from .indexes import KINDS, IndexSettings, VectorIndex, import_faiss

MAGIC = {
    "flat_ip": b"IxFI",
    "flat_l2": b"IxF2",
    "hnsw": b"IHNf",
    "ivf": b"IwFl",
    "int8": b"IxSQ",
    "binary": b"IBxF",
    "binary_rescored": b"IBxF",
}
"""The first four bytes of a file of each kind."""
_FLOATS, _BITS = struct.Struct("<4siq"), struct.Struct("<4siiq")
_SLACK = 1 << 20


def write_index(index: VectorIndex, path: Path) -> None:
    """Write an index to a file; what is around it takes care that it is whole."""
    faiss = import_faiss()
    whole = faiss.serialize_index_binary(index.index) if index.binary else faiss.serialize_index(index.index)
    path.write_bytes(memoryview(whole))


def index_file_limit(kind: str, dim: int, rows: int, settings: Mapping[str, int | None]) -> int:
    """No file of such an index has more bytes than this.

    Args:
        kind, dim, rows: of the index.
        settings: the fields of `IndexSettings`.

    Raises:
        DataError: the kind or a setting is unknown or out of range.
    """
    known = _settings(settings)
    if kind not in KINDS:
        raise DataError("no such kind of index", got=kind, expected=", ".join(KINDS), hint=nearest(kind, KINDS))
    # vectors as floats, an id, and the links of a graph: 2 M on the lowest level, and less than as many again above
    row = 4 * dim + 8 + (16 * known.hnsw_links + 64 if kind == "hnsw" else 0)
    lists = known.lists(rows) * (4 * dim + 64) if kind == "ivf" else 0
    return rows * row + lists + 64 * dim + _SLACK


def read_index(path: Path, kind: str, dim: int, rows: int, settings: IndexSettings) -> VectorIndex:
    """Read an index from a file that has passed its checks.

    Args:
        path: the file.
        kind, dim, rows: what the file must hold.
        settings: what it was built with.

    Raises:
        DataError: the file is of another kind, width or number of vectors, or FAISS cannot read it.
        MissingExtra: faiss is not installed.
    """
    faiss = import_faiss()
    _check_header(path, kind, dim, rows)
    binary = kind.startswith("binary")
    with _limited(path.stat().st_size):
        try:
            index = faiss.read_index_binary(str(path)) if binary else faiss.read_index(str(path))
        except Exception as error:  # FAISS throws whatever its parts throw: each means that the file is no good
            reason = str(error).strip().splitlines()
            raise _damaged(path, reason[-1] if reason else type(error).__name__) from error
    width = -(-dim // 8) * 8 if binary else dim
    if (index.d, index.ntotal) != (width, rows):
        raise _damaged(path, f"{index.ntotal} vectors of width {index.d}")
    return VectorIndex(kind, dim, index, settings)


def _check_header(path: Path, kind: str, dim: int, rows: int) -> None:
    """Kind, width and number of vectors, as the first bytes give them."""
    binary = kind.startswith("binary")
    form = _BITS if binary else _FLOATS
    with open(path, "rb") as stream:
        head = stream.read(form.size)
    if len(head) < form.size or head[:4] != MAGIC[kind]:
        raise DataError(
            "this is not the index file that its manifest describes",
            where=str(path),
            got=f"first bytes {head[:4]!r}",
            expected=f"{MAGIC[kind]!r}, an index of kind {kind}",
            hint="build the index again",
        )
    fields = form.unpack(head)
    width, expected = fields[1], -(-dim // 8) * 8 if binary else dim
    if width != expected:
        raise DataError(
            "index file and manifest have different widths", where=str(path), got=f"{width} dimensions", expected=str(expected)
        )
    if fields[-1] != rows:
        raise DataError(
            "index file and manifest count differently", where=str(path), got=f"{fields[-1]} vectors", expected=str(rows)
        )


@contextlib.contextmanager
def _limited(size: int) -> Iterator[None]:
    """FAISS allocates no more than the file holds for any one list, where this version of it can be told so."""
    faiss = import_faiss()
    if not hasattr(faiss, "set_deserialization_vector_byte_limit"):
        yield
        return
    before = faiss.get_deserialization_vector_byte_limit()
    faiss.set_deserialization_vector_byte_limit(size)
    try:
        yield
    finally:
        faiss.set_deserialization_vector_byte_limit(before)


def _settings(values: Mapping[str, int | None]) -> IndexSettings:
    try:
        return IndexSettings(**values)  # type: ignore[arg-type]
    except (TypeError, UserError) as error:
        raise DataError("unknown settings of an index", got=dict(values), hint="build the index again") from error


def _damaged(path: Path, got: str) -> DataError:
    return DataError("this index file cannot be used", where=str(path), got=got, hint="build the index again")
