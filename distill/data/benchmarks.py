"""Files of well-known benchmarks as tables: nothing to name but the format; scores scaled to 0..1, labels by name."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teachers.finetune.rows import NLI_LABELS

from ..errors import DataError
from ..recipe import SourceSpec
from .columns import number
from .lines import unreadable
from .tables import Row, file_lines

PAIR = ("sentence1", "sentence2")
NSMC_LABELS = ("negative", "positive")
"""Names of NSMC's 0 and 1."""
MOST_POINTS = 5.0
"""Similarity scores of these benchmarks are 0 to 5 points."""

_STS = ("genre", "filename", "year", "id", "score", "sentence1", "sentence2")
_GLUE = ("index", "genre", "filename", "year", "old_index", "source1", "source2", "sentence1", "sentence2", "score")


@dataclass(frozen=True)
class Layout:
    """One way a format is laid out in a file.

    Attributes:
        columns: of the file, in order; a row may have more columns where `open_ended`.
        takes: the columns that become the table's, in the table's order.
        delimiter: between cells; None for a JSON list of objects.
        header: whether the first row holds the names.
        quoting: whether double quotes mean anything.
        open_ended: whether rows may have further columns (the original STSb files tell the source of some rows there).
    """

    columns: tuple[str, ...]
    takes: tuple[str, ...]
    delimiter: str | None = "\t"
    header: bool = True
    quoting: bool = False
    open_ended: bool = False


@dataclass(frozen=True)
class Format:
    """What a named format holds.

    Attributes:
        names: of the table's columns: the texts, and last the score or label.
        layouts: the ways it is laid out, told apart by the first row.
        read: the file's value of the last column -> the table's; a string says what was expected instead.
    """

    names: tuple[str, ...]
    layouts: tuple[Layout, ...]
    read: Callable[[Any], float | Label | str]


@dataclass(frozen=True)
class Label:
    """A label's name, told from the words of an error."""

    name: str


def _score(value: Any) -> float | Label | str:
    """0 to 5 points as 0..1."""
    found = number(value)
    if found is None or not 0 <= found <= MOST_POINTS:
        return "a score from 0 to 5"
    return found / MOST_POINTS


def _nli(value: Any) -> float | Label | str:
    name = value.strip().lower() if isinstance(value, str) else ""
    return Label(name) if name in NLI_LABELS else "one of the labels " + ", ".join(NLI_LABELS)


def _sentiment(value: Any) -> float | Label | str:
    name = str(value).strip()
    return Label(NSMC_LABELS[int(name)]) if name in ("0", "1") else "the label 0 (negative) or 1 (positive)"


FORMATS: Mapping[str, Format] = {
    "klue-sts": Format((*PAIR, "score"), (Layout((*PAIR, "labels"), (*PAIR, "labels"), None),), _score),
    "klue-nli": Format(
        (*PAIR, "label"),
        (
            Layout(("premise", "hypothesis", "gold_label"), ("premise", "hypothesis", "gold_label"), None),
            Layout(("guid", "source", "premise", "hypothesis", "gold_label"), ("premise", "hypothesis", "gold_label")),
        ),
        _nli,
    ),
    "kornli": Format((*PAIR, "label"), (Layout((*PAIR, "gold_label"), (*PAIR, "gold_label")),), _nli),
    "korsts": Format((*PAIR, "score"), (Layout(_STS, (*PAIR, "score")),), _score),
    "nsmc": Format(("text", "label"), (Layout(("id", "document", "label"), ("document", "label")),), _sentiment),
    "stsb": Format(
        (*PAIR, "score"),
        (
            Layout((*PAIR, "score"), (*PAIR, "score"), ",", header=True, quoting=True),
            Layout((*PAIR, "score"), (*PAIR, "score"), ",", header=False, quoting=True),
            Layout(_GLUE, (*PAIR, "score")),
            Layout(_STS, (*PAIR, "score"), header=False, open_ended=True),
        ),
        _score,
    ),
}
"""Named format -> what it holds. KLUE-STS has three scores a row; `real-label`, the mean of the raters, is the one that
its own baseline learns and is judged by."""


class BenchmarkTable:
    """A benchmark's file, read as `distill.data.tables.Table` says.

    Attributes:
        where, names, first: as in `Table`; every row has the canonical columns alone.
        texts: names of the columns that hold sentences.

    Args:
        path: the file; .gz too.
        spec: names the format and the encoding.

    Raises:
        DataError: the file is not laid out as the format says, or `header` or `quoting` is set, which the format settles.
    """

    def __init__(self, path: Path, spec: SourceSpec) -> None:
        kind = str(spec.format)
        self.where, self._path, self._encoding, self._format = str(path), path, spec.encoding, FORMATS[kind]
        self.names: tuple[str, ...] | None = self._format.names
        self.texts = self._format.names[:-1]
        settled = [name for name in ("header", "quoting") if getattr(spec, name) is not None]
        if settled:
            raise DataError(
                f"the format {kind} settles {settled[0]}",
                where=self.where,
                hint=f"leave out {settled[0]}, or the format, and name the columns",
            )
        self._layout = self._find_layout(kind)
        good = (values for _, values in self.read(range(len(self._format.names))) if not isinstance(values, DataError))
        self.first: tuple[Any, ...] | None = next(good, None)

    def read(self, positions: Sequence[int]) -> Iterator[Row]:
        """Every row's values at `positions`, in order; a score or label that cannot be read is the row's error."""
        places = [self._layout.columns.index(name) for name in self._layout.takes]
        wanted = set(positions)
        last = len(places) - 1
        for row, cells in self._rows():
            if isinstance(cells, DataError):
                yield row, cells
                continue
            values = [cells[place] for place in places]
            if last in wanted:
                found = self._format.read(values[last])
                if isinstance(found, str):
                    yield row, self._bad(row, values[last], found)
                    continue
                values[last] = found.name if isinstance(found, Label) else found
            yield row, tuple(values[position] for position in positions)

    def _bad(self, row: int, got: Any, expected: str) -> DataError:
        return DataError(
            f"bad value in column '{self._layout.takes[-1]}'",
            where=f"{self.where}, row {row}",
            got=repr(got),
            expected=expected,
            hint="mend the row, or set data.on_bad_row: skip",
        )

    def _find_layout(self, kind: str) -> Layout:
        """The layout that fits the first row."""
        layouts = self._format.layouts
        start = _first_character(self._path)
        as_json = [layout for layout in layouts if layout.delimiter is None]
        head = next((line for _, line in file_lines(self._path, self._encoding) if isinstance(line, str)), "")
        if start == "[" and as_json:
            found = as_json
        else:
            found = [layout for layout in layouts if layout.delimiter is not None and _fits(layout, head)]
        if start and not found:
            raise DataError(
                f"this is no file of the format {kind}",
                where=f"{self.where}, row 1",
                got=head.rstrip("\r\n"),
                expected=", or ".join(map(_described, layouts)),
                hint="check `format`, or leave it out and name the columns",
            )
        return found[0] if found else layouts[0]

    def _rows(self) -> Iterator[tuple[int, Sequence[Any] | DataError]]:
        """The file's rows, each with all its cells, or what is wrong with it."""
        layout = self._layout
        if layout.delimiter is None:
            yield from self._records()
            return
        width = len(layout.columns)
        for row, cells in self._cells(layout.delimiter):
            if layout.header and row == 1:
                continue
            if isinstance(cells, DataError):
                yield row, cells
            elif len(cells) < width or (len(cells) > width and not layout.open_ended):
                yield (
                    row,
                    DataError(
                        "this row has another number of columns",
                        where=f"{self.where}, row {row}",
                        got=f"{len(cells)}: {layout.delimiter.join(cells)}",
                        expected=f"{width} columns: {', '.join(layout.columns)}",
                        hint="mend the row, or set data.on_bad_row: skip",
                    ),
                )
            else:
                yield row, cells

    def _cells(self, delimiter: str) -> Iterator[tuple[int, list[str] | DataError]]:
        """Cells of every line that is not blank."""
        for row, line in file_lines(self._path, self._encoding):
            if isinstance(line, DataError):
                yield row, line
            elif line.strip():
                text = line.rstrip("\r\n")
                if not self._layout.quoting:
                    yield row, text.split(delimiter)
                    continue
                try:
                    yield row, next(csv.reader([text], delimiter=delimiter, strict=True))
                except csv.Error as error:
                    where = f"{self.where}, row {row}"
                    yield row, DataError(f"this row cannot be read: {error}", where=where, expected="cells in double quotes")

    def _records(self) -> Iterator[tuple[int, Sequence[Any] | DataError]]:
        """Objects of a JSON list, numbered from 1, as cells in the order of the layout's columns."""
        for row, record in enumerate(_json_list(self._path, self._encoding), start=1):
            where = f"{self.where}, row {row}"
            if not isinstance(record, dict):
                yield row, DataError("this row is not a JSON object", where=where, got=record, expected='{"name": value, ...}')
                continue
            missing = [name for name in self._layout.columns if name not in record]
            if missing:
                got = ", ".join(map(str, record)) or "{}"
                yield row, DataError(f"no '{missing[0]}' in this row", where=where, got=got)
                continue
            yield row, [_points(record[name]) if name == "labels" else record[name] for name in self._layout.columns]


def _points(labels: Any) -> Any:
    """KLUE-STS's score out of its `labels`: the mean of the raters, or, where that is left out, the rounded one."""
    return labels.get("real-label", labels.get("label")) if isinstance(labels, dict) else labels


def _fits(layout: Layout, head: str) -> bool:
    """Whether a file's first row can be the first row of a layout."""
    assert layout.delimiter is not None, "a JSON list has no rows of cells"
    text = head.rstrip("\r\n")
    if (layout.delimiter == ",") == ("\t" in text and text.count("\t") >= text.count(",")):
        return False
    if not layout.header:
        return True
    return tuple(cell.strip().strip('"') for cell in text.split(layout.delimiter)) == layout.columns


def _described(layout: Layout) -> str:
    """A layout in words."""
    if layout.delimiter is None:
        return "a JSON list of objects with " + ", ".join(layout.columns)
    kind = "tab-separated" if layout.delimiter == "\t" else "comma-separated"
    return f"{kind} columns {', '.join(layout.columns)}" + ("" if layout.header else " without a row of names")


def _open(path: Path) -> Any:
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else open(path, "rb")


def _first_character(path: Path) -> str:
    """The first byte of a file that is no white space, as a character; "" for an empty file."""
    try:
        with _open(path) as stream:
            return str(stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1].decode("latin-1"))
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error) from error


def _json_list(path: Path, encoding: str) -> list[Any]:
    """The list that a JSON file is."""
    try:
        with _open(path) as stream:
            found = json.loads(stream.read().decode("utf-8-sig" if encoding == "utf-8" else encoding))
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error) from error
    except (ValueError, LookupError, RecursionError) as error:
        raise DataError("this file is no JSON", where=str(path), got=error, expected="a JSON list of objects") from error
    if not isinstance(found, list):
        raise DataError("this file is no JSON list", where=str(path), got=type(found).__name__, expected="a list of objects")
    return found
