"""Sentences and scored pairs out of files, hub data sets and the installed documentation, as streams."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..errors import DataError, DistillError, nearest
from ..files import expand
from ..locating import is_hub_id
from ..recipe import EvaluationSpec, SourceSpec
from .columns import number, pair_columns, sentence_columns
from .tables import SUFFIXES, Row, Table, file_format, open_file

PYTHON_DOCS = "python-docs"
UNREADABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True)
class ScoredPairs:
    """Sentence pairs with a similarity score each.

    Attributes:
        sentences1, sentences2: the pairs' sides, n each.
        scores: float64 [n], in the unit of the source.
        languages: tags of the two sides; None where nobody said.
    """

    sentences1: list[str]
    sentences2: list[str]
    scores: np.ndarray
    languages: tuple[str, str] | None = None

    def __len__(self) -> int:
        return len(self.sentences1)


def source_kind(spec: SourceSpec) -> Literal["file", "python-docs", "hub"]:
    """What `spec.source` names: a path, the installed documentation or a data set of the hub.

    Raises:
        DataError: it can be none of them.
    """
    source = spec.source
    path = expand(source) if "\0" not in source else Path("\\")
    ending = Path(source.lower().removesuffix(".gz")).suffix
    if _exists(path) or spec.format is not None or source.startswith((".", "/", "~")) or "\\" in source or ending in SUFFIXES:
        return "file"
    if source == PYTHON_DOCS:
        return "python-docs"
    near = re.sub(r"[\W_]", "", source.lower()) == "pythondocs"
    if near or not is_hub_id(source) or any(part.startswith("_") for part in source.split("/")):
        raise DataError(
            "unknown source",
            where=source,
            expected="a file (.txt .csv .tsv .jsonl .parquet), a hub data set such as owner/name, or python-docs",
            hint=nearest(source, [PYTHON_DOCS]),
        )
    return "hub"


def read_sentences(spec: SourceSpec, *, on_bad_row: str, counts: Counter[str]) -> Iterator[str]:
    """Stream the sentences of a source: row by row and, within a row, column by column.

    Args:
        spec: the source.
        on_bad_row: `error` to stop at a row that cannot be read, `skip` to pass over it.
        counts: `bad_rows` is raised by one for each row passed over.

    Yields:
        Sentences as they stand in the source, at most `spec.limit`.

    Raises:
        DataError: the source, a column or (with `error`) a row cannot be read.
    """
    remaining = spec.limit
    for sentence in _sentences(spec, on_bad_row, counts):
        if remaining is not None:
            if remaining == 0:
                return
            remaining -= 1
        yield sentence


def read_pairs(spec: EvaluationSpec, *, on_bad_row: str, counts: Counter[str]) -> ScoredPairs:
    """All scored pairs of a labelled source, at most `spec.limit`.

    Args:
        spec: the source; its columns are sentence 1, sentence 2 and score.
        on_bad_row, counts: as in `read_sentences`.

    Raises:
        DataError: as in `read_sentences`; also fewer than two pairs, or scores that are all alike.
    """
    table = open_table(spec)
    positions = pair_columns(table, spec.columns)
    rows: list[tuple[str, str, float]] = []
    for values in good_rows(table, positions, pair_row, on_bad_row, counts):
        if spec.limit is not None and len(rows) >= spec.limit:
            break
        rows.append(values)
    return make_pairs(rows, table.where, spec.languages)


def make_pairs(rows: list[tuple[str, str, float]], where: str, languages: tuple[str, str] | None = None) -> ScoredPairs:
    """Rows of (sentence 1, sentence 2, score) as `ScoredPairs`.

    Args:
        rows: the rows.
        where: what to call them in an error.
        languages: tags of the two sides.

    Raises:
        DataError: fewer than two pairs, or scores that are all alike: no correlation is defined.
    """
    scores = np.array([row[2] for row in rows], dtype=np.float64)
    if len(rows) < 2 or np.all(scores == scores[0]):
        got = "no pairs" if not rows else "1 pair" if len(rows) == 1 else f"{len(rows)} pairs, every score is {scores[0]:g}"
        raise DataError("too little to correlate with", where=where, got=got, expected="two pairs or more, of different scores")
    return ScoredPairs([row[0] for row in rows], [row[1] for row in rows], scores, languages)


def check_source(spec: SourceSpec) -> list[DistillError]:
    """What is wrong with a source, as far as its first row tells. A hub data set is not looked up.

    Args:
        spec: the source.

    Returns:
        The problems; empty if there are none.
    """
    try:
        if isinstance(spec, EvaluationSpec):
            if source_kind(spec) != "hub":
                table = open_table(spec)
                check_first(table, pair_columns(table, spec.columns), pair_row)
        elif source_kind(spec) == "file":
            table = open_table(spec)
            check_first(table, sentence_columns(table, spec.columns), row_texts)
        elif source_kind(spec) == PYTHON_DOCS:
            _check_python_docs(spec)
    except DistillError as problem:
        return [problem]
    return []


def _sentences(spec: SourceSpec, on_bad_row: str, counts: Counter[str]) -> Iterator[str]:
    if source_kind(spec) == PYTHON_DOCS:
        from .python_docs import python_docs

        _check_python_docs(spec)
        yield from python_docs(spec.limit)
        return
    table = open_table(spec)
    positions = sentence_columns(table, spec.columns)
    for texts in good_rows(table, positions, row_texts, on_bad_row, counts):
        yield from texts


def open_table(spec: SourceSpec) -> Table:
    """The table that a source is: a file, or a data set of the hub.

    Raises:
        DataError: there is none.
    """
    kind = source_kind(spec)
    if kind == PYTHON_DOCS:
        raise DataError(
            "python-docs has sentences, but no pairs and no scores", where=spec.source, expected="a labelled file or hub data set"
        )
    if kind == "hub":
        from .hub import HubTable

        return HubTable(spec)
    path = expand(spec.source)
    if not path.is_file():
        raise missing_file(path, spec)
    if spec.columns and file_format(path, spec) == "txt" and tuple(spec.columns) != (0,):
        raise DataError(
            "a .txt file has no columns", where=str(path), got=list(spec.columns), hint="leave out `columns`, or set `format`"
        )
    return open_file(path, spec)


def missing_file(path: Path, spec: SourceSpec) -> DataError:
    """The error for a source that is no regular file, with what is there instead."""
    if path.is_dir():
        files = sorted(item.name for item in path.iterdir() if item.suffix.lower() in (*SUFFIXES, ".gz"))[:10]
        return DataError(
            "this is a folder", where=spec.source, expected="a file", hint=f"in it: {', '.join(files)}" if files else None
        )
    if _exists(path):
        return DataError("this is not a regular file", where=spec.source, expected="a file")
    folder = path.parent
    if not folder.is_dir():
        return DataError("no such file: its folder does not exist", where=spec.source, got=f"no folder {folder}")
    names = [item.name for item in folder.iterdir() if item.is_file()]
    return DataError("no such file", where=spec.source, hint=nearest(path.name, names))


def _check_python_docs(spec: SourceSpec) -> None:
    if spec.columns is not None:
        raise DataError("python-docs has no columns", where=PYTHON_DOCS, got=list(spec.columns), hint="leave out `columns`")


def good_rows(
    table: Table, positions: list[int], convert: Callable[[Table, list[int], Row], Any], on_bad_row: str, counts: Counter[str]
) -> Iterator[Any]:
    """Converted rows; a bad one stops or is counted."""
    for row in table.read(positions):
        if not positions and not isinstance(row[1], DataError):
            continue  # a table without columns has no values; its bad rows are told all the same
        value = convert(table, positions, row)
        if not isinstance(value, DataError):
            yield value
        elif on_bad_row == "skip":
            counts["bad_rows"] += 1
        else:
            raise value


def check_first(table: Table, positions: list[int], convert: Callable[[Table, list[int], Row], Any]) -> None:
    """Read the first row; an empty table is an error too."""
    row = next(iter(table.read(positions)), None) if positions else None
    value = DataError("this source is empty", where=table.where) if row is None else convert(table, positions, row)
    if isinstance(value, DataError):
        raise value


def row_texts(table: Table, positions: list[int], row: Row) -> tuple[str, ...] | DataError:
    """The row's sentences, or what is wrong with it."""
    line, values = row
    if isinstance(values, DataError):
        return values
    for place, value in zip(positions, values, strict=True):
        if not isinstance(value, str) or UNREADABLE.search(value):
            return bad_cell(
                table, line, place, value, "text" if not isinstance(value, str) else "text without null bytes or lone surrogates"
            )
    return values


def pair_row(table: Table, positions: list[int], row: Row) -> tuple[str, str, float] | DataError:
    """The row's two sentences and score, or what is wrong with it."""
    line, values = row
    if isinstance(values, DataError):
        return values
    texts = row_texts(table, positions[:2], (line, values[:2]))
    if isinstance(texts, DataError):
        return texts
    for place, text in zip(positions, texts, strict=False):
        if not text.strip():
            return bad_cell(table, line, place, text, "a sentence")
    score = number(values[2])
    if score is None:
        problem = bad_cell(table, line, positions[2], values[2], "a finite number")
        if line == 1:
            problem = DataError(
                problem.message,
                where=problem.where,
                got=problem.got,
                expected=problem.expected,
                hint="set header: true if the first row holds the names of the columns",
            )
        return problem
    return texts[0], texts[1], score


def bad_cell(table: Table, line: int, place: int, value: Any, expected: str) -> DataError:
    """The error for a value that is not what its column should hold."""
    name = f"'{table.names[place]}'" if table.names else str(place)
    return DataError(
        f"bad value in column {name}",
        where=f"{table.where}, row {line}",
        got=repr(value),
        expected=expected,
        hint="mend the row, or set data.on_bad_row: skip",
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
