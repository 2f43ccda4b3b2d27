"""Which columns of a table to read: those asked for, or the only ones it can be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..errors import DataError, nearest
from ..recipe_data import Column
from .tables import Table

PAIR_NAMES: tuple[tuple[str, ...], ...] = (
    ("sentence1", "sentence_1", "sentence_a", "text1", "premise"),
    ("sentence2", "sentence_2", "sentence_b", "text2", "hypothesis"),
    ("score", "similarity_score", "similarity", "label"),
)


def sentence_columns(table: Table, columns: Sequence[Column] | None) -> list[int]:
    """Positions of the columns to read as sentences.

    Args:
        table: where they are.
        columns: names or 0-based numbers; None for the only column whose first value is text, and in a benchmark's file
            for every column of sentences.

    Raises:
        DataError: a column is not there, or there is more than one text column to choose from.
    """
    columns = getattr(table, "texts", None) if columns is None else columns  # a benchmark's file knows its sentences
    if columns is not None:
        return [position(table, column) for column in columns]
    if table.first is None:
        return []
    found = [number for number, value in enumerate(table.first) if _is_text(value)]
    if len(found) != 1:
        names = [str(_name(table, number)) for number in found]
        raise DataError(
            "this source has no text column" if not found else "this source has more than one text column",
            where=table.where,
            got=", ".join(names) or known_columns(table),
            hint=f"name the columns to read: columns: [{', '.join(names or ['text'])}]",
        )
    return found


def pair_columns(table: Table, columns: Sequence[Column] | None) -> list[int]:
    """Positions of sentence 1, sentence 2 and the score.

    Args:
        table: where they are.
        columns: three names or 0-based numbers; None finds the usual names, or, where columns have no names,
            takes a table of exactly three columns whose third is a number.

    Raises:
        DataError: a column is not there or cannot be told.
    """
    if columns is not None:
        return [position(table, column) for column in columns]
    lowered = [name.lower() for name in table.names or ()]
    found = [next((lowered.index(name) for name in names if name in lowered), None) for names in PAIR_NAMES]
    chosen = [number for number in found if number is not None]
    if len(chosen) == 3:
        return chosen
    if table.names is None and table.first is not None and len(table.first) == 3 and not _is_text(table.first[2]):
        return [0, 1, 2]
    raise DataError(
        "cannot tell which columns are sentence 1, sentence 2 and the score",
        where=table.where,
        got=known_columns(table),
        expected="columns named sentence1, sentence2, score",
        hint="name them in this order: columns: [sentence1, sentence2, score]",
    )


def position(table: Table, column: Column) -> int:
    """Where a column named or numbered by the user stands in the table.

    Raises:
        DataError: it is not there.
    """
    names = table.names
    if isinstance(column, int):
        width = len(names if names is not None else table.first or ())
        if 0 <= column < width:
            return column
        raise DataError(
            f"no column number {column}", where=table.where, expected=known_columns(table), hint="the first column is number 0"
        )
    if names is None:
        raise DataError(
            f"no column '{column}': the columns of this source have no names",
            where=table.where,
            expected=known_columns(table),
            hint="use numbers such as columns: [0], or set header: true if the first row holds names",
        )
    if names.count(column) != 1:
        many = column in names
        raise DataError(
            f"{'more than one' if many else 'no'} column '{column}'",
            where=table.where,
            expected=known_columns(table),
            hint="use the column's number" if many else nearest(column, names),
        )
    return names.index(column)


def number(value: Any) -> float | None:
    """`value` as a finite number, or None if it is none."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and number(value) is None


def _name(table: Table, number: int) -> Column:
    """What to call a column: its name, or its number where it has none; a row may be longer than the header."""
    return table.names[number] if table.names is not None and number < len(table.names) else number


def known_columns(table: Table) -> str:
    """The columns that a table has, in words, for an error."""
    if table.names is not None:
        return "columns " + ", ".join(table.names) if table.names else "no columns"
    count = len(table.first or ())
    return f"column numbers 0 to {count - 1}" if count else "no columns"
