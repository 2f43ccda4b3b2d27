"""A few neighbouring words in place of the whole text (Tang et al., arXiv 1903.12136)."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import UserError
from .arguments import probability
from .plans import Plan
from .words import Word, find_words

_CHUNK = re.compile(r"\S+")


class NGramMethod:
    """With probability `p` a text is cut down to one of its n-grams, n drawn evenly from 1 to `longest`.

    What counts is what white space separates and a letter or digit is in; a Korean eojeol is one. The n-gram is a piece of the
    text, with all that lies between its words. A text of no more than n words stays whole.

    Args:
        p: probability per text.
        longest: the largest n.

    Raises:
        UserError: `p` is not a probability, or `longest` is less than 1.
    """

    name = "ngrams"

    def __init__(self, *, p: float = 0.25, longest: int = 5) -> None:
        self.p = probability("p", p)
        self.longest = at_least_one(longest)

    def prepare(self, texts: Sequence[str]) -> Sequence[Plan]:
        """See `TextMethod.prepare`."""
        return [NGramPlan(text, tuple(find_words(text)), chunks(text), self.p, self.longest) for text in texts]


@dataclass(frozen=True, slots=True)
class NGramPlan:
    """A text with the places where it may be cut.

    Attributes:
        text: the text.
        found: its words.
        chunks: start and end of everything that counts as a word of an n-gram.
        p: probability that it is cut.
        longest: the largest n.
    """

    text: str
    found: Sequence[Word]
    chunks: Sequence[tuple[int, int]]
    p: float
    longest: int

    @property
    def words(self) -> int:
        """Number of words of the text."""
        return len(self.found)

    def draw(self, rng: random.Random) -> tuple[str, int]:
        """One variant; words that are cut away count as changed."""
        window = draw_window(self.chunks, self.p, self.longest, rng)
        if window is None:
            return self.text, 0
        start, end = window
        lost = sum(not start <= word.start < end for word in self.found)
        return self.text[start:end], max(lost, 1)


def draw_window(chunks: Sequence[tuple[int, int]], p: float, longest: int, rng: random.Random) -> tuple[int, int] | None:
    """Where a random n-gram starts and ends; None if the text stays whole."""
    if rng.random() >= p:
        return None
    size = rng.randint(1, longest)
    if size >= len(chunks):
        return None
    first = rng.randrange(len(chunks) - size + 1)
    return chunks[first][0], chunks[first + size - 1][1]


def chunks(text: str) -> tuple[tuple[int, int], ...]:
    """Start and end of everything between white space that has a letter or a digit in it."""
    return tuple(match.span() for match in _CHUNK.finditer(text) if any(map(str.isalnum, match.group())))


def at_least_one(longest: int) -> int:
    """`longest`, if an n-gram can have that many words."""
    if longest < 1:
        raise UserError("an n-gram has at least one word", where="longest", got=longest, expected="1 or more")
    return longest
