"""What a method knows of one text once it has looked at it: the words that may be replaced, and by what."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .words import Word, replace_words


class Plan(Protocol):
    """Variants of one text, to be drawn one at a time. Small, picklable, no model inside."""

    @property
    def words(self) -> int:
        """Number of words of the text."""
        ...

    def draw(self, rng: random.Random) -> tuple[str, int]:
        """One variant of the text and how many of its words were changed; 0 words: the text itself came back."""
        ...


class TextMethod(Protocol):
    """A way to make variants of one text at a time; `pairs.Augmenter` does the rest.

    Attributes:
        name: as recipes spell it.
    """

    name: str

    def prepare(self, texts: Sequence[str]) -> Sequence[Plan]:
        """A plan for every text, in their order: here is the work that is done in batches (a model, a tagger).

        A plan depends on its text alone, not on the others of the batch. No text is blank, and none is given twice.
        """
        ...


@dataclass(frozen=True, slots=True)
class StillPlan:
    """A text that has no variants.

    Attributes:
        text: the text, which every draw gives back.
        words: number of its words.
    """

    text: str
    words: int

    def draw(self, rng: random.Random) -> tuple[str, int]:
        """The text."""
        return self.text, 0


@dataclass(frozen=True, slots=True)
class ReplacePlan:
    """Every word with candidates is replaced with probability `p` by one of them, all alike.

    TinyBERT's draw (arXiv 1909.10351, algorithm 1). A candidate may be the word itself: then nothing is changed.

    Attributes:
        text: the text.
        words: number of its words, those without candidates too.
        slots: words of the text that do not overlap, from left to right, each with its candidates spelled as they will stand.
        p: probability per word.
    """

    text: str
    words: int
    slots: Sequence[tuple[Word, Sequence[str]]]
    p: float

    def draw(self, rng: random.Random) -> tuple[str, int]:
        """One variant."""
        changes = []
        for word, candidates in self.slots:
            if candidates and rng.random() < self.p:
                new = candidates[rng.randrange(len(candidates))]
                if new != word.text:
                    changes.append((word, new))
        return (replace_words(self.text, changes), len(changes)) if changes else (self.text, 0)
