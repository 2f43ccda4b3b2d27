"""Changes of a text, by place: everything between them stays as it is, byte for byte."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Edit(NamedTuple):
    """`text[start:end]` becomes `new`."""

    start: int
    end: int
    new: str


def rewrite(text: str, edits: Iterable[Edit], start: int = 0, end: int | None = None) -> str:
    """`text[start:end]` with the edits that lie in it.

    Args:
        text: the whole text; places of edits count from its start.
        edits: in order, not overlapping, none across `start` or `end`.
        start: where the part to keep starts.
        end: where it ends.
    """
    end = len(text) if end is None else end
    parts = []
    place = start
    for edit in edits:
        if start <= edit.start and edit.end <= end:
            parts += [text[place : edit.start], edit.new]
            place = edit.end
    return "".join([*parts, text[place:end]])
