"""Parallel text in tables: two columns of a .tsv, .csv, .jsonl or .parquet file or of a hub data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import DataError
from ...recipe import ParallelSpec, SourceSpec
from ..columns import known_columns, position
from ..languages import canonical, language_name
from ..sources import open_table
from ..tables import Table
from .rows import Item, Items, ParallelRow

USUAL = (
    ("source", "target"),
    ("source", "translation"),
    ("original", "translation"),
    ("src", "tgt"),
    ("src", "trg"),
    ("sentence1", "sentence2"),
)
"""Names of the two columns, where they are not named like the languages."""
ENGLISH = ("english", "non_english")
"""Names that tell which side is English, whichever comes first in `languages`."""


def table_rows(spec: ParallelSpec) -> Items:
    """Two cells of every row; blank lines are passed over.

    Raises:
        DataError: the source or a column is not there, or the columns cannot be told.
    """
    options = spec.model_dump(exclude={"target", "languages"})
    table = open_table(SourceSpec(**options))
    if spec.columns is None and spec.header is None and table.names is None and _named(table.first, spec.languages):
        table = open_table(SourceSpec(**{**options, "header": True}))
    return _rows(table, _positions(table, spec), spec)


def _rows(table: Table, positions: list[int], spec: ParallelSpec) -> Items:
    for number, values in table.read(positions):
        yield values if isinstance(values, DataError) else _row(table, number, values, spec)


def _row(table: Table, number: int, values: Sequence[Any], spec: ParallelSpec) -> Item:
    where = f"{table.where}, row {number}"
    if len(values) == 1:
        sides = _sides(values[0], spec.languages)
        if sides is None:
            expected = "a text in each language: {" + ", ".join(f"{tag}: ..." for tag in spec.languages) + "}"
            return DataError("a language is missing in this row", where=where, got=repr(values[0]), expected=expected)
    else:
        sides = (values[0], values[1])
    if number == 1 and table.names is None and spec.header is None and _named(sides, spec.languages):
        hint = "set header: true, or header: false if it is a translation"
        return DataError("the first row looks like the names of the columns", where=where, got=", ".join(sides), hint=hint)
    return ParallelRow(*sides, spec.languages, where)


def _positions(table: Table, spec: ParallelSpec) -> list[int]:
    """Where the two sides are; one position where a column holds both by language."""
    if spec.columns is not None:
        chosen = [position(table, column) for column in spec.columns]
        if chosen[0] == chosen[1]:
            raise DataError("the two sides are one column", where=table.where, got=list(spec.columns))
        return chosen
    found = _named(table.names, spec.languages)
    if found:
        return found
    both = [place for place, value in enumerate(table.first or ()) if _sides(value, spec.languages) is not None]
    if len(both) == 1:
        return both
    if len(table.names if table.names is not None else table.first or (0, 1)) == 2:
        return [0, 1]
    first, second = spec.languages
    raise DataError(
        "cannot tell which columns are the two sides",
        where=table.where,
        got=known_columns(table),
        expected=f"columns named {first} and {second}, or source and target, or two columns alone",
        hint="name them in this order: columns: " + ("[0, 1]" if table.names is None else "[SOURCE, TRANSLATION]"),
    )


def _named(names: Sequence[Any] | None, languages: tuple[str, str]) -> list[int] | None:
    """The positions of the two sides among names of columns; None where they are not named in a usual way."""
    if names is None or not all(isinstance(name, str) for name in names):
        return None
    lowered = [name.strip().lower() for name in names]
    tags = [canonical(name) for name in lowered]
    own = [_only(tags, canonical(tag), lowered, language_name(tag).lower()) for tag in languages]
    if own[0] is not None and own[1] is not None and own[0] != own[1]:
        return [own[0], own[1]]
    pairs = list(USUAL)
    if "en" in (main := [canonical(tag).partition("-")[0] for tag in languages]):
        pairs.insert(0, ENGLISH if main[0] == "en" else (ENGLISH[1], ENGLISH[0]))
    for first, second in pairs:
        if lowered.count(first) == 1 and lowered.count(second) == 1:
            return [lowered.index(first), lowered.index(second)]
    return None


def _only(tags: list[str], tag: str, names: list[str], name: str) -> int | None:
    """Where a language's column is: named by its tag, by the tag without region, or by its English name."""
    for wanted, among in ((tag, tags), (tag.partition("-")[0], tags), (name, names)):
        if among.count(wanted) == 1:
            return among.index(wanted)
    return None


def _sides(value: Any, languages: tuple[str, str]) -> tuple[Any, Any] | None:
    """The two texts of a cell that holds one by language, such as {en: ..., ko: ...}."""
    if not isinstance(value, Mapping):
        return None
    found = _named(list(value), languages)
    cells = list(value.values())
    return (cells[found[0]], cells[found[1]]) if found else None
