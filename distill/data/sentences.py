"""Texts of any kind into sentences, English and Korean, for a search that looks at each sentence by itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np

from ..errors import MissingExtra, UserError
from .prose import ABBREVIATION

Korean = Literal["rules", "kiwi"]

_CLOSING = "\"'”’)\\]）」』》»"
_END = re.compile(
    rf"(?P<wide>[。！？｡]+)[{_CLOSING}]*\s*"  # full-width marks need no space behind them
    rf"|(?P<mark>[.!?…]+)[{_CLOSING}]*(?P<space>\s+)"
    r"|(?<=[다요죠까])(?P<touching>[.!?]+)(?=[가-힣])"  # a Korean ending whose next sentence follows without a space
)
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n\s*")
_NUMBER = re.compile(r"[\"'(\[]*(?:\d{1,3}|[A-Za-z가-하])")
_HANGUL = re.compile(r"[가-힣]")


def split_sentences(text: str, *, korean: Korean = "rules") -> list[str]:
    """The sentences of a text, in order, their white space made single spaces.

    A sentence ends at `.`, `!`, `?` or `…`, with the quotes and brackets that close there, before white space, and at a blank
    line; not after an abbreviation ("e.g.", "Dr."), a capital letter ("J. Smith"), the number of a list item ("1. "), or before
    a small Latin letter where no Hangul precedes. In Korean also where the next sentence follows without a space
    (`갔다.그는`). A line break alone ends nothing.

    Args:
        text: any text.
        korean: `rules` are those above; `kiwi` hands paragraphs with Hangul to kiwipiepy, which also finds ends without a mark
            (`밥 먹었어요 이제 잘래요`), a hundred times slower.

    Returns:
        Sentences without white space at their ends, none empty; none of a text that is blank.

    Raises:
        MissingExtra: `kiwi` is asked for and kiwipiepy is not installed.
        UserError: `korean` is neither.
    """
    if korean not in ("rules", "kiwi"):
        raise UserError("no such way to split Korean", where="korean", got=korean, expected="rules or kiwi")
    found: list[str] = []
    for paragraph in _BLANK_LINE.split(text):
        plain = " ".join(paragraph.split())
        if korean == "kiwi" and _HANGUL.search(plain):
            found += [" ".join(part.split()) for part in _kiwi(plain)]
        else:
            found += _by_rules(plain)
    return [sentence for sentence in found if sentence]


def split_documents(texts: Sequence[str], *, korean: Korean = "rules") -> tuple[list[str], np.ndarray]:
    """All sentences of several documents.

    Args:
        texts: the documents.
        korean: see `split_sentences`.

    Returns:
        The sentences, and int64 of the same length: the document of each. A blank document is one part, itself, so that every
        document has a part.
    """
    parts: list[str] = []
    owners: list[int] = []
    for number, text in enumerate(texts):
        sentences = split_sentences(text, korean=korean) or [text]
        parts += sentences
        owners += [number] * len(sentences)
    return parts, np.array(owners, np.int64)


def _by_rules(text: str) -> list[str]:
    """The sentences of a paragraph with single spaces."""
    found, start = [], 0
    for end in _END.finditer(text):
        if end["mark"] and not _ends(text, start, end):
            continue
        found.append(text[start : end.end()].strip())
        start = end.end()
    return [*found, text[start:].strip()]


def _ends(text: str, start: int, end: re.Match[str]) -> bool:
    """Whether a mark before a space ends the sentence that began at `start`."""
    following = text[end.end() : end.end() + 1]
    if following.isascii() and following.islower() and _HANGUL.match(text, end.start() - 1) is None:
        return False
    if end["mark"] != ".":
        return True
    before = text[start : end.end("mark")]
    return ABBREVIATION.search(before) is None and _NUMBER.fullmatch(before[:-1]) is None


def _kiwi(text: str) -> list[str]:
    try:
        from .augment.kiwi import analyser

        kiwi = analyser()
    except ModuleNotFoundError as error:
        raise MissingExtra("augment", "kiwipiepy", "splitting Korean text by kiwi") from error
    return [sentence.text for sentence in kiwi.split_into_sents(text)]
