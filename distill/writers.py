"""What `distill encode` and `distill predict` write, whole or not at all, in bounded memory: .npy, .jsonl, .parquet."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .errors import MissingExtra, RunError, UserError
from .files import atomic_file

VECTORS = (".npy", ".jsonl", ".parquet")
RECORDS = (".jsonl", ".parquet")
_HEAD = 128


class Writer(Protocol):
    """Takes rows as they come."""

    def add(self, records: Sequence[Mapping[str, Any]], vectors: np.ndarray | None = None) -> None:
        """Write some rows: `vectors` float32 [rows, dim] beside the records, where there are any."""
        ...


def check_out(out: Path, allowed: Sequence[str], example: str) -> None:
    """Refuse an output that cannot be written, before anything long is done.

    Raises:
        UserError: the name ends in none of `allowed`.
        RunError: a folder stands there.
        MissingExtra: .parquet without pyarrow.
    """
    if out.is_dir():
        raise RunError("a folder stands where a file is needed", where=str(out), hint=f"write -o {out / example}")
    if out.suffix.lower() not in allowed:
        raise UserError(
            "the name of the output tells its format",
            where="--out",
            got=str(out),
            expected=f"a name that ends in {', '.join(allowed)}",
            hint=f"-o {out.with_suffix(Path(example).suffix) if out.name else example}",
        )
    if out.suffix.lower() == ".parquet":
        _pyarrow()


@contextlib.contextmanager
def open_writer(out: Path, *, dim: int | None = None, columns: Mapping[str, Any] | None = None) -> Iterator[Writer]:
    """A writer by the suffix of `out`, which appears when the block ends without an error.

    Args:
        out: .npy (vectors alone), .jsonl or .parquet.
        dim: width of the vectors, where there are any.
        columns: column -> its type as `arrow_type` spells it, for .parquet.

    Raises:
        RunError: the disk is full, read-only or forbidden.
        MissingExtra: .parquet without pyarrow.
    """
    with atomic_file(out) as work:
        if out.suffix.lower() == ".parquet":
            with _parquet(work, dim, columns or {}) as writer:
                yield writer
        else:
            with open(work, "wb") as stream:
                if out.suffix.lower() == ".npy":
                    array = _Npy(stream, dim or 0)
                    yield array
                    array.finish()
                else:
                    yield _Jsonl(stream)


class _Npy:
    """A float32 array of an unknown number of rows: the header is written again at the end. No memory map: on a full disk that
    kills the process."""

    def __init__(self, stream: Any, dim: int) -> None:
        self.stream, self.dim, self.rows = stream, dim, 0
        self.stream.write(self._head())

    def add(self, records: Sequence[Mapping[str, Any]], vectors: np.ndarray | None = None) -> None:
        assert vectors is not None, "an array is made of vectors"
        self.rows += len(vectors)
        self.stream.write(np.ascontiguousarray(vectors, np.float32).tobytes())

    def finish(self) -> None:
        """Write how many rows there were."""
        self.stream.seek(0)
        self.stream.write(self._head())

    def _head(self) -> bytes:
        """The header of format version 1.0, of one length whatever the number of rows."""
        text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({self.rows}, {self.dim}), }}"
        size = _HEAD - 10
        return b"\x93NUMPY\x01\x00" + size.to_bytes(2, "little") + text.ljust(size - 1).encode("ascii") + b"\n"


class _Jsonl:
    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def add(self, records: Sequence[Mapping[str, Any]], vectors: np.ndarray | None = None) -> None:
        more: Any = [{}] * len(records) if vectors is None else [{"embedding": row} for row in vectors.tolist()]
        lines = [json.dumps({**record, **extra}, ensure_ascii=False) for record, extra in zip(records, more, strict=True)]
        self.stream.write("".join(line + "\n" for line in lines).encode("utf-8"))


class _Parquet:
    def __init__(self, writer: Any, arrow: Any, schema: Any) -> None:
        self.writer, self.arrow, self.schema = writer, arrow, schema

    def add(self, records: Sequence[Mapping[str, Any]], vectors: np.ndarray | None = None) -> None:
        columns = []
        for field in self.schema:
            if field.name == "embedding" and vectors is not None:
                flat = self.arrow.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
                columns.append(self.arrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1]))
                continue
            values = [record.get(field.name) for record in records]
            if self.arrow.types.is_map(field.type):
                values = [None if value is None else list(value.items()) for value in values]
            columns.append(self.arrow.array(values, type=field.type))
        self.writer.write_table(self.arrow.Table.from_arrays(columns, schema=self.schema))


@contextlib.contextmanager
def _parquet(work: Path, dim: int | None, columns: Mapping[str, Any]) -> Iterator[_Parquet]:
    arrow = _pyarrow()
    import pyarrow.parquet as parquet

    fields = [(name, arrow_type(arrow, kind)) for name, kind in columns.items()]
    if dim is not None:
        fields.append(("embedding", arrow.list_(arrow.float32(), dim)))
    schema = arrow.schema(fields)
    with parquet.ParquetWriter(str(work), schema) as writer:
        yield _Parquet(writer, arrow, schema)


def arrow_type(arrow: Any, kind: Any) -> Any:
    """An Arrow type: the name of one, [kind] for a list, {"str": kind} for a map of texts, or {name: kind} for a struct.

    Args:
        arrow: the module pyarrow.
        kind: how it is spelled here.
    """
    if isinstance(kind, list):
        return arrow.list_(arrow_type(arrow, kind[0]))
    if isinstance(kind, Mapping):
        if set(kind) == {"str"}:
            return arrow.map_(arrow.string(), arrow_type(arrow, kind["str"]))
        return arrow.struct([(name, arrow_type(arrow, inner)) for name, inner in kind.items()])
    return {"text": arrow.string, "number": arrow.float64, "whole": arrow.int64, "yes": arrow.bool_}[kind]()


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise MissingExtra("parquet", "pyarrow", "writing .parquet") from error
    return pyarrow
