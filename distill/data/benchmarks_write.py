"""Write rows as a file of a well-known benchmark: the other way round of `distill.data.benchmarks`."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..files import atomic_write
from .benchmarks import FORMATS, MOST_POINTS, NSMC_LABELS, Layout

Values = tuple[Any, ...]


def write_benchmark(path: Path, kind: str, rows: Iterable[Values], layout: int = 0) -> None:
    """Write rows in a named format; a name that ends in .gz is compressed.

    Columns that a format has and a row does not (genre, year, ids) are filled with the row's number.

    Args:
        path: the file.
        kind: one of `distill.data.benchmarks.FORMATS`.
        rows: values in the order of the format's `names`: texts, and last the score (0..1) or the label's name.
        layout: which of the format's layouts.

    Raises:
        DataError: a text that this format cannot hold, such as one with a tab in a tab-separated file.
    """
    wanted = FORMATS[kind].layouts[layout]
    found = [(*row[:-1], _stored(kind, row[-1])) for row in rows]
    text = _records(wanted, found) if wanted.delimiter is None else _lines(wanted, found, str(path))
    data = text.encode("utf-8")
    atomic_write(path, gzip.compress(data, mtime=0) if path.name.endswith(".gz") else data)


def _stored(kind: str, value: Any) -> Any:
    """A canonical score or label as the format writes it."""
    if FORMATS[kind].names[-1] == "score":
        return float(value) * MOST_POINTS
    return NSMC_LABELS.index(value) if kind == "nsmc" else value


def _records(layout: Layout, rows: Sequence[Values]) -> str:
    made = []
    for number, row in enumerate(rows):
        record = {"guid": f"row-{number:05d}", **dict(zip(layout.takes, row, strict=True))}
        if "labels" in record:
            score = record["labels"]
            record["labels"] = {"label": round(score, 1), "real-label": score, "binary-label": int(score >= 3)}
        made.append(record)
    return json.dumps(made, ensure_ascii=False, indent=1) + "\n"


def _lines(layout: Layout, rows: Sequence[Values], where: str) -> str:
    table = [list(layout.columns)] if layout.header else []
    for number, row in enumerate(rows):
        values = dict(zip(layout.takes, map(str, row), strict=True))
        cells = [values.get(name, str(number)) for name in layout.columns]
        bad = next((cell for cell in cells if _breaks(layout)(cell)), None)
        if bad is not None:
            raise DataError(
                "this text cannot be written in this format",
                where=f"{where}, row {len(table) + 1}",
                got=repr(bad),
                expected="text on one line" + ("" if layout.quoting else ", without tabs"),
            )
        table.append(cells)
    if not layout.quoting:
        return "".join("\t".join(cells) + "\n" for cells in table)
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(table)
    return stream.getvalue()


def _breaks(layout: Layout) -> Callable[[str], bool]:
    """Whether a cell would tear its row apart."""
    forbidden = "\r\n\x00" + ("" if layout.quoting else "\t") + ("" if layout.header else "\ufeff")  # a byte order mark
    return lambda cell: any(letter in forbidden for letter in cell)
