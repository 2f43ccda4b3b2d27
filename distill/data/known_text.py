"""Held-out rows that are known in part: eight words in a row of them stand in the text that is trained on.

Rows that are the same but for case, spaces and punctuation are dropped before; a sentence whose half stands in unlabelled text is
not the same, and a student that has read that half is judged too well.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .examples import SpanExamples

IN_A_ROW = 8
"""So many words in a row hardly stand in two texts by chance."""

_WORD = re.compile(r"\w+")


def known_in_part(held_out: Mapping[str, Iterable[str]], training: Iterable[str]) -> dict[str, int]:
    """How many rows of each held-out part share `IN_A_ROW` words in a row with the training text.

    Words are compared without case and punctuation. Rows of fewer words are never known in part.

    Args:
        held_out: name -> texts.
        training: read once, a text at a time.

    Returns:
        Name -> rows.
    """
    rows: dict[int, tuple[int, ...]] = {}
    names: list[str] = []
    for name, texts in held_out.items():
        for text in texts:
            for part in set(_parts(text)):
                rows[part] = (*rows.get(part, ()), len(names))
            names.append(name)
    known: set[int] = set()
    if rows:
        for text in training:
            for part in _parts(text):
                known.update(rows.get(part, ()))
    found = Counter(names[row] for row in known)
    return {name: found[name] for name in held_out}


def texts_by_row(examples: Any) -> Sequence[str]:
    """One text a row, where rows are single texts or sentences of tagged words.

    Pairs and questions on a context share a text with other rows by their making, and give none.
    """
    if isinstance(examples, SpanExamples) or getattr(examples, "text_pair", None) is not None:
        return ()
    return examples.text


def _parts(text: str) -> Iterator[int]:
    """Every `IN_A_ROW` words in a row, as a number of 64 bits in place of the words."""
    words = _WORD.findall(text.casefold())
    return (hash(tuple(words[start : start + IN_A_ROW])) for start in range(len(words) - IN_A_ROW + 1))
