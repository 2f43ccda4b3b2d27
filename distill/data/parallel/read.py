"""Parallel text of any kind as one stream of rows, and what a look at its beginning tells. Imports no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ...errors import DataError, DistillError
from ...files import expand
from ...recipe import ParallelSpec, SourceSpec
from ..languages import check_language
from ..sources import PYTHON_DOCS, missing_file, source_kind
from .moses import moses_rows
from .po import po_rows
from .rows import Items, ParallelRow, judge
from .table import table_rows
from .tmx import tmx_rows

ENDINGS = {".tmx": "tmx", ".po": "po", ".pot": "po", ".txt": "txt"}
CHECKED_ROWS = 1000


def read_parallel(spec: ParallelSpec, *, on_bad_row: str, counts: Counter[str]) -> Iterator[ParallelRow]:
    """Stream the rows of parallel text, at most `spec.limit`, the texts as they stand.

    A row is bad if a side is empty, cannot be read, or is the same text as the other side (white space aside).

    Args:
        spec: the source.
        on_bad_row: `error` to stop at the first bad row, `skip` to pass over it.
        counts: raised by one for each place in the source that is no row: `bad_rows`; `untranslated` (both sides the
            same, or a PO message without translation); `missing_language` (a TMX unit without one of the languages); `fuzzy`
            and `obsolete` (PO messages).

    Yields:
        Rows in the order of the source.

    Raises:
        DataError: a language code is wrong, the source cannot be read as asked or has no rows, the two files of a Moses
            pair differ in their number of lines, or (with `error`) a row is bad.
        MissingExtra: the format needs a package that is not installed.
    """
    for problem in _languages(spec):
        raise problem
    own: Counter[str] = Counter()
    rows = 0
    try:
        for item in _items(spec, own):
            row = judge(item, on_bad_row, own)
            if row is None:
                continue
            yield row
            rows += 1
            if rows == spec.limit:
                return
    finally:
        counts.update(own)
    if not rows:
        raise _no_rows(spec, own)


def check_parallel(spec: ParallelSpec, *, on_bad_row: str = "error") -> list[DistillError]:
    """What is wrong with parallel text, as far as its languages and its beginning tell, and the count of lines of a Moses pair.

    A hub data set is not looked up.

    Args:
        spec: the source.
        on_bad_row: as in `read_parallel`.

    Returns:
        The problems; empty if there are none.
    """
    problems = _languages(spec)
    try:
        if is_hub(spec):
            return problems
        counts: Counter[str] = Counter()
        looked = 0
        for item in islice(_items(spec, counts), CHECKED_ROWS):
            looked += 1
            if judge(item, on_bad_row, counts) is not None:
                return problems
        if looked < CHECKED_ROWS:
            problems.append(_no_rows(spec, counts))
    except DistillError as problem:
        problems.append(problem)
    return problems


def is_hub(spec: ParallelSpec) -> bool:
    """Whether the source is a data set of the hub.

    Raises:
        DataError: it can be nothing at all.
    """
    return _format(spec) == "table" and source_kind(_source(spec)) == "hub"


def _items(spec: ParallelSpec, counts: Counter[str]) -> Items:
    kind = _format(spec)
    if kind == "moses":
        return moses_rows(spec)
    if kind == "tmx":
        return tmx_rows(spec, counts)
    return po_rows(spec, counts) if kind == "po" else table_rows(spec)


def _format(spec: ParallelSpec) -> str:
    """moses, tmx, po or table: by the fields of the recipe, or by the file's ending.

    Raises:
        DataError: it is one text file, or no parallel text.
    """
    if spec.target is not None:
        return "moses"
    ending = Path(spec.source.lower().removesuffix(".gz")).suffix
    kind = spec.format or ENDINGS.get(ending, "table")
    if kind in ("moses", "tmx", "po"):
        return kind
    if kind == "txt":
        path = expand(spec.source)
        if not path.is_file():
            raise missing_file(path, _source(spec))
        raise DataError(
            "a text file has one side alone",
            where=spec.source,
            expected="two files, line by line, or a table with two columns",
            hint="name the second file with `target`, or set format: tsv if its columns stand apart by tabs",
        )
    if source_kind(_source(spec)) == PYTHON_DOCS:
        raise DataError("python-docs has no translations", where=spec.source, expected="a file or a hub data set")
    return "table"


def _source(spec: ParallelSpec) -> SourceSpec:
    return SourceSpec(source=spec.source, format=spec.format if spec.format in ("tsv", "csv", "jsonl", "parquet") else None)


def _languages(spec: ParallelSpec) -> list[DistillError]:
    """What is wrong with the tags of the two languages."""
    return [problem for tag in spec.languages for problem in check_language(tag, f"languages of {spec.source}")]


def _no_rows(spec: ParallelSpec, counts: Counter[str]) -> DataError:
    passed = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sorted(counts.items()) if count)
    return DataError("this source has no translations", where=spec.source, got=passed or "no rows", expected="a row or more")
