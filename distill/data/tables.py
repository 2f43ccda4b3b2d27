"""One face for every file format: column names, a sample row, and the rows of the chosen columns as a stream."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from ..errors import DataError, MissingExtra
from ..recipe import SourceSpec
from ..recipe_data import NAMED_FORMATS
from .lines import BadLine, Lines, unreadable

Row = tuple[int, "tuple[Any, ...] | DataError"]
"""A 1-based row number (a header is row 1), and the row's values or what is wrong with it."""

SUFFIXES = {".txt": "txt", ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
USUAL_NAMES = frozenset(
    {
        *("text", "sentence", "sentence1", "sentence2", "document", "question", "answer", "premise", "hypothesis"),
        *("label", "score", "id", "sentiment", "polarity"),
    }
)
MAX_FIELD_CHARS = 1 << 20
SAMPLE_ROWS = 100


class Table(Protocol):
    """Rows of values.

    Attributes:
        where: what to call the table in an error.
        names: column names; None where the columns have numbers alone.
        first: one value per column, of the first row that can be read; None if there is no such row.
    """

    where: str
    names: tuple[str, ...] | None
    first: tuple[Any, ...] | None

    def read(self, positions: Sequence[int]) -> Iterator[Row]:
        """Every row's values at `positions`, in order."""


class TextTable:
    """One column: the lines that are not blank."""

    names: tuple[str, ...] | None = None
    first: tuple[Any, ...] | None

    def __init__(self, path: Path, spec: SourceSpec) -> None:
        self.where, self._path, self._encoding = str(path), path, spec.encoding
        self.first = next((values for _, values in self.read([0]) if not isinstance(values, DataError)), None)

    def read(self, positions: Sequence[int]) -> Iterator[Row]:
        for number, line in file_lines(self._path, self._encoding):
            if isinstance(line, DataError):
                yield number, line
            elif line.strip():
                yield number, tuple(line.strip("\r\n") for _ in positions)


class DelimitedTable:
    """A .csv or .tsv file.

    The first row holds column names if `header` says so; where it is not set: if a column is asked for by name or,
    where no column is asked for, if one of its cells is a usual name such as `text` or `sentence1`.
    """

    def __init__(self, path: Path, spec: SourceSpec, kind: str) -> None:
        self.where, self._path, self._encoding = str(path), path, spec.encoding
        self._delimiter = "\t" if kind == "tsv" else ","
        quoting = kind == "csv" if spec.quoting is None else spec.quoting
        self._quoting: Any = csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE
        csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD_CHARS))
        start = self._cells()
        head = next((cells for _, cells in start), None)
        self._header = _has_header(spec, head)
        if self._header and isinstance(head, DataError):
            raise head
        self.names: tuple[str, ...] | None = (
            tuple(cell.strip() for cell in head) if self._header and isinstance(head, tuple) else None
        )
        rows = start if self._header else self._cells()
        self.first: tuple[Any, ...] | None = next((cells for _, cells in rows if isinstance(cells, tuple)), None)
        self._width = len(self.names or self.first or ())

    def read(self, positions: Sequence[int]) -> Iterator[Row]:
        """See `Table`; a row of another width than the first is wrong."""
        rows = self._cells()
        if self._header:
            next(rows, None)
        for number, cells in rows:
            if isinstance(cells, DataError):
                yield number, cells
            elif len(cells) != self._width:
                yield (
                    number,
                    DataError(
                        "this row has another number of columns",
                        where=f"{self.where}, row {number}",
                        got=f"{len(cells)}: {self._delimiter.join(cells)}",
                        expected=f"{self._width} columns, as in the first row",
                        hint="mend the row, check `quoting` and `format`, or set data.on_bad_row: skip",
                    ),
                )
            else:
                yield number, tuple(cells[position] for position in positions)

    def _cells(self) -> Iterator[Row]:
        with Lines(self._path, self._encoding) as lines:
            reader = csv.reader(lines, delimiter=self._delimiter, quoting=self._quoting, strict=True)
            number = 0
            while True:
                number += 1
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except BadLine as bad:
                    yield number, bad.problem
                except csv.Error as error:
                    place = f"row {number}" if number == lines.number else f"row {number}, read up to line {lines.number}"
                    yield (
                        number,
                        DataError(
                            f"this row cannot be read: {error}",
                            where=f"{self.where}, {place}",
                            expected="cells quoted as in the rest of the file",
                            hint="set quoting: false if double quotes mean nothing in this file",
                        ),
                    )
                else:
                    if any(cell.strip() for cell in cells):
                        yield number, tuple(cells)


class JsonTable:
    """A .jsonl file, one object a line. Its columns are the keys of the first hundred rows."""

    def __init__(self, path: Path, spec: SourceSpec) -> None:
        self.where, self._path, self._encoding = str(path), path, spec.encoding
        sample: dict[str, Any] = {}
        for count, (_, row) in enumerate(self._objects()):
            if count >= SAMPLE_ROWS:
                break
            if isinstance(row, dict):
                for key, value in row.items():
                    if sample.get(key) is None:
                        sample[key] = value
        self.names: tuple[str, ...] | None = tuple(sample)
        self.first = tuple(sample.values()) or None

    def read(self, positions: Sequence[int]) -> Iterator[Row]:
        """See `Table`."""
        keys = [(self.names or ())[position] for position in positions]
        for number, row in self._objects():
            if isinstance(row, DataError):
                yield number, row
                continue
            missing = [key for key in keys if key not in row]
            if missing:
                where = f"{self.where}, row {number}"
                yield number, DataError(f"no column '{missing[0]}' in this row", where=where, got=", ".join(row) or "{}")
            else:
                yield number, tuple(row[key] for key in keys)

    def _objects(self) -> Iterator[tuple[int, dict[str, Any] | DataError]]:
        for number, line in file_lines(self._path, self._encoding):
            if isinstance(line, DataError):
                yield number, line
            elif line.strip():
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError) as error:
                    value = error
                if isinstance(value, dict):
                    yield number, value
                else:
                    where = f"{self.where}, row {number}"
                    reason = f": {value}" if isinstance(value, Exception) else ""
                    yield (
                        number,
                        DataError(
                            f"this row is not a JSON object{reason}", where=where, got=line, expected='{"name": value, ...}'
                        ),
                    )


class ParquetTable:
    """A .parquet file, read in batches; only the chosen columns are loaded."""

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow.parquet
        except ImportError as error:
            raise MissingExtra("train", "pyarrow", "reading .parquet files") from error
        self.where = str(path)
        try:
            self._file = pyarrow.parquet.ParquetFile(path)
        except (OSError, ValueError) as error:
            raise unreadable(path, error) from error
        self.names: tuple[str, ...] | None = tuple(self._file.schema_arrow.names)
        rows = self.read(range(len(self.names)), batch_size=1)
        self.first = next((values for _, values in rows if not isinstance(values, DataError)), None)

    def read(self, positions: Sequence[int], batch_size: int = 1000) -> Iterator[Row]:
        """See `Table`; so many rows are read at once."""
        known = self.names or ()
        names = [known[position] for position in positions]
        places = [known[:position].count(known[position]) for position in positions]  # columns may share a name
        number = 0
        try:
            for batch in self._file.iter_batches(batch_size=batch_size, columns=sorted(set(names))):
                found = zip(names, places, strict=True)
                columns = [batch.column(batch.schema.get_all_field_indices(name)[n]).to_pylist() for name, n in found]
                for values in zip(*columns, strict=True):
                    number += 1
                    yield number, values
        except (OSError, ValueError) as error:
            raise unreadable(Path(self.where), error) from error


def open_file(path: Path, spec: SourceSpec) -> Table:
    """The table in a file.

    Raises:
        DataError: the format is unknown, or the file cannot be read.
        MissingExtra: the format needs a package that is not installed.
    """
    kind = file_format(path, spec)
    if kind in NAMED_FORMATS:
        from .benchmarks import BenchmarkTable

        return BenchmarkTable(path, spec)
    if kind == "parquet":
        return ParquetTable(path)
    if kind == "jsonl":
        return JsonTable(path, spec)
    return TextTable(path, spec) if kind == "txt" else DelimitedTable(path, spec, kind)


def file_format(path: Path, spec: SourceSpec) -> str:
    """`spec.format`, or what the file's ending says.

    Raises:
        DataError: neither tells.
    """
    name = path.name.lower()
    zipped = name.endswith(".gz")
    kind = spec.format or SUFFIXES.get(Path(name.removesuffix(".gz")).suffix)
    if kind is None or (zipped and kind == "parquet"):
        raise DataError(
            "a .parquet file is not read gzipped" if zipped and kind else "the ending of this file does not tell its format",
            where=str(path),
            expected=", ".join(sorted(SUFFIXES)) + "; .gz after any of them but .parquet",
            hint="unpack it" if kind else "set `format` to txt, csv, tsv, jsonl or parquet",
        )
    return kind


def _has_header(spec: SourceSpec, head: tuple[Any, ...] | DataError | None) -> bool:
    if spec.header is not None:
        return spec.header
    if spec.columns is not None:
        return any(isinstance(column, str) for column in spec.columns)
    return isinstance(head, tuple) and any(cell.strip().lower() in USUAL_NAMES for cell in head)


def file_lines(path: Path, encoding: str) -> Iterator[tuple[int, str | DataError]]:
    """Numbered lines of a text file; what cannot be read is an error in its place."""
    with Lines(path, encoding) as lines:
        while True:
            try:
                line = next(lines)
            except StopIteration:
                return
            except BadLine as bad:
                yield lines.number, bad.problem
            else:
                yield lines.number, line
