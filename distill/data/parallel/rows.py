"""A text and its translation, and what makes a pair of texts none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from ...errors import DataError
from ..sources import UNREADABLE
from ..tables import MAX_FIELD_CHARS
from ..text import normalise

SKIP_HINT = "mend the row, or set data.on_bad_row: skip"


@dataclass(frozen=True, slots=True)
class ParallelRow:
    """A text and its translation, as they stand in the source.

    Attributes:
        source: the text in the first language.
        translation: the same in the second.
        languages: tags of the two.
        where: file and row, for errors.
    """

    source: str
    translation: str
    languages: tuple[str, str]
    where: str


Item = ParallelRow | DataError | None
"""What a format makes of a place in its file: a pair of texts, what is wrong with it, or nothing to read (counted already)."""
Items = Iterator[Item]


def judge(item: Item, on_bad_row: str, counts: Counter[str]) -> ParallelRow | None:
    """The row, if it can be learnt from; None if it is passed over and counted.

    Args:
        item: what a format gave.
        on_bad_row: `error` or `skip`.
        counts: `bad_rows` or, where the two sides are alike, `untranslated` is raised by one.

    Raises:
        DataError: with `error`, what is wrong with the row.
    """
    if item is None:
        return None
    problem, reason = (item, "bad_rows") if isinstance(item, DataError) else _problem(item)
    if problem is None:
        return item if isinstance(item, ParallelRow) else None
    if on_bad_row != "skip":
        raise problem
    counts[reason] += 1
    return None


def _problem(row: ParallelRow) -> tuple[DataError | None, str]:
    """What is wrong with a row, and what it is counted as."""
    for text, language in zip((row.source, row.translation), row.languages, strict=True):
        if not isinstance(text, str) or UNREADABLE.search(text):
            expected = "text without null bytes or lone surrogates" if isinstance(text, str) else "text"
            return _bad(row, f"the side in {language} is no text that can be read", repr(text), expected), "bad_rows"
        if len(text) > MAX_FIELD_CHARS:
            return too_long(row.where), "bad_rows"
        if not text.strip():
            return _bad(row, f"the side in {language} is empty", repr(text), "a text on both sides"), "bad_rows"
    if row.source == row.translation or normalise(row.source) == normalise(row.translation):
        expected = f"the text in {row.languages[0]}, and its translation in {row.languages[1]}"
        return _bad(row, "the two sides are the same text", row.source, expected), "untranslated"
    return None, ""


def too_long(where: str) -> DataError:
    """The error for a text that is too long to be one."""
    return DataError(f"this text is over {MAX_FIELD_CHARS >> 20} MiB", where=where, expected="sentences", hint=SKIP_HINT)


def _bad(row: ParallelRow, message: str, got: str, expected: str) -> DataError:
    return DataError(message, where=row.where, got=got, expected=expected, hint=SKIP_HINT)
