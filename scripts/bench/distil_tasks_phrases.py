"""GLUE's SST-2 phrases as text for the teacher of `distil_tasks.py` to label: without labels, none known from held-out sentences.

The phrases are parts of the training sentences, those of the held-out tenth among them, and are written another way:
`jaw-dropping`, a full stop at the end and `( b )` are `jaw dropping`, nothing and `lrb b rrb` in the sentences.
"""

from __future__ import annotations

import gzip
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

IN_A_ROW = 5
"""So many words in a row that a phrase shares with a held-out sentence, and it is a part of it."""

_BRACKETS = str.maketrans({"(": " lrb ", ")": " rrb "})


def read(path: Path) -> list[str]:
    """The phrases of a gzipped table, in their order, which is random."""
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        _, *lines = (line.split("\t")[0].strip() for line in stream)
    return lines


def as_written(phrases: Iterable[str], held_out: Iterable[str]) -> list[str]:
    """Different phrases as they are, without those that stand in a held-out sentence letter by letter.

    About 56,000. Where punctuation differs a part of a held-out sentence stays: half of the held-out sentences share six words
    in a row with the first 20,000. What test sentences share with them are everyday phrases of seven words at most.
    """
    sentences = " | ".join(f" {' '.join(text.split())} " for text in held_out)
    return [phrase for phrase in dict.fromkeys(phrases) if f" {phrase} " not in sentences]


def as_sentences(phrases: Iterable[str], train: Iterable[str], held_out: Iterable[str]) -> list[str]:
    """Different phrases, written as the sentences are, without whole training sentences and all that held-out sentences contain.

    About 42,000. What is left has no five words in a row of a held-out sentence, and is no held-out sentence's part.
    """
    whole = {" ".join(words(plain(text))) for text in train}
    held = [words(plain(text)) for text in held_out]
    sentences = " | ".join(f" {' '.join(text)} " for text in held)
    known = {part for text in held for part in _in_a_row(text)}
    kept = []
    for phrase in dict.fromkeys(plain(phrase) for phrase in phrases):
        read_as = words(phrase)
        text = " ".join(read_as)
        if read_as and text not in whole and f" {text} " not in sentences and known.isdisjoint(_in_a_row(read_as)):
            kept.append(phrase)
    return kept


def plain(text: str) -> str:
    """A phrase as SST-2's sentences are written here: lower case, no accents, no punctuation but , ' ` ? and !."""
    letters = (letter for letter in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(letter) != "Mn")
    marked = "".join(letters).translate(_BRACKETS).replace("``", "`")
    return " ".join(re.sub(r"[^a-z0-9,'`?! ]", " ", marked).split()).strip(", ")


def words(text: str) -> list[str]:
    """The words of a `plain` text without any punctuation."""
    return re.sub(r"[^a-z0-9]+", " ", text).split()


def _in_a_row(text: list[str]) -> Iterator[tuple[str, ...]]:
    return (tuple(text[start : start + IN_A_ROW]) for start in range(len(text) - IN_A_ROW + 1))
