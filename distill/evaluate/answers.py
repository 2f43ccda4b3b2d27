"""Two answers to a question compared: exact match and F1, as SQuAD and KorQuAD count them."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Literal

Unit = Literal["word", "character"]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_QUOTES = str.maketrans(dict.fromkeys("'\"《》<>〈〉()‘’", " "))


def normalise(text: str, unit: Unit = "word") -> str:
    """`text` as it is compared.

    `word`, as SQuAD: lower case, without ASCII punctuation and the English articles. `character`, as KorQuAD: quotes and
    brackets are spaces, then lower case, without ASCII punctuation. White space becomes single spaces in both.
    """
    if unit == "character":
        return " ".join(text.translate(_QUOTES).lower().translate(_PUNCTUATION).split())
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, gold: Sequence[str], unit: Unit = "word") -> float:
    """1 if the answer is one of the right ones, else 0. No answer at all is right where `gold` is empty."""
    return float(any(normalise(answer, unit) == normalise(right, unit) for right in gold or ("",)))


def answer_f1(answer: str, gold: Sequence[str], unit: Unit = "word") -> float:
    """The best F1 of the words (or characters, spaces not counted) shared with a right answer.

    Args:
        answer: "" for none.
        gold: right answers; empty where there is none.
        unit: what is counted.

    Reference:
        Rajpurkar et al., "SQuAD: 100,000+ questions for machine comprehension of text", 2016; Lim et al., "KorQuAD1.0", 2019.
    """
    return max(_overlap(_parts(answer, unit), _parts(right, unit)) for right in gold or ("",))


def _parts(text: str, unit: Unit) -> list[str]:
    words = normalise(text, unit).split()
    return list("".join(words)) if unit == "character" else words


def _overlap(ours: list[str], theirs: list[str]) -> float:
    if not ours or not theirs:
        return float(ours == theirs)
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2.0 * shared / (len(ours) + len(theirs))
