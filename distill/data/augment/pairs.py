"""From variants of a text to variants of an example: which side of a pair is altered, what is kept, what is dropped."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

from ...errors import UserError, nearest
from .base import Example, Rng
from .plans import Plan, ReplacePlan, StillPlan, TextMethod
from .words import find_words

__all__ = ["Augmenter", "PairMode", "Plan", "ReplacePlan", "StillPlan", "Tally", "TextMethod"]

PairMode = Literal["one", "first", "second", "both", "tang", "cycle"]
"""Which side of a pair is altered.

- `first`, `second`: that one.
- `both`: both, in every variant.
- `one`: all variants of the first with the second as it was, then as many of the second with the first as it was (TinyBERT;
  its code leaves the last variant of the first in place while it alters the second, which is mended here).
- `tang`: both with probability 1/3, otherwise one, by the toss of a coin (as in the code of Tang et al.).
- `cycle`: the first, the second, both, in turn (as in their paper, arXiv 1903.12136).
"""
MAX_WORDS = 2000
"""A text of more words, counted at white space, is not altered."""

_FIRST, _SECOND, _BOTH = (0,), (1,), (0, 1)


@dataclass(frozen=True)
class Tally:
    """What became of the draws.

    Attributes:
        examples: how many were given.
        draws: how many variants were drawn.
        kept: how many of them came out.
        duplicates: draws that had been drawn before for the same example.
        unchanged: draws that gave the original.
        empty: draws that left no text.
    """

    examples: int = 0
    draws: int = 0
    kept: int = 0
    duplicates: int = 0
    unchanged: int = 0
    empty: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(**{field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)})


class Augmenter:
    """A method for texts, applied to examples of one text or two. Implements `base.Method`.

    A draw counts whether or not it gives something new, so an example has at most `variants` variants (`one`: so many a side).
    Blank texts and texts of more than `max_words` words are never altered.

    Args:
        method: makes variants of a text.
        variants: draws per example.
        pairs: which side of a pair is altered; without meaning for single texts.
        max_words: of the longest text that is altered.

    Raises:
        UserError: an argument is out of its range.
    """

    def __init__(self, method: TextMethod, *, variants: int, pairs: PairMode = "one", max_words: int = MAX_WORDS) -> None:
        if variants < 0:
            raise UserError("a number of variants cannot be negative", where="variants", got=variants, expected="0 or more")
        if pairs not in get_args(PairMode):
            modes = get_args(PairMode)
            raise UserError("no such way to treat pairs", where="pairs", got=pairs, hint=nearest(str(pairs), modes))
        self.method = method
        self.name = method.name
        self.variants = variants
        self.pairs = pairs
        self.max_words = max_words

    def augment(self, examples: Sequence[Example], rng: Rng) -> list[Example]:
        """Each example followed by its variants, in the order of the examples; see `base.Method`."""
        return self.augment_counted(examples, rng)[0]

    def augment_counted(self, examples: Sequence[Example], rng: Rng) -> tuple[list[Example], Tally]:
        """The same, and what became of the draws."""
        plans = self._plans(examples)
        made: list[Example] = []
        total = Tally()
        for example in examples:
            variants, tally = self._vary(example, plans, rng)
            made += variants
            total += tally
        return made, total

    def draws(self, example: Example) -> int:
        """How many variants are drawn for an example."""
        return self.variants * (2 if self.pairs == "one" and example.text_pair is not None else 1)

    def _plans(self, examples: Sequence[Example]) -> dict[str, Plan]:
        """A plan for every text that may be altered, all made in one call of the method."""
        wanted: dict[str, None] = {}
        for example in examples:
            for side, text in enumerate(example.texts):
                if self._altered(example, side):
                    wanted[text] = None
        texts = list(wanted)
        plans = self.method.prepare(texts) if texts else []
        if len(plans) != len(texts):
            raise ValueError(f"{self.name}: {len(plans)} plans for {len(texts)} texts")
        return dict(zip(texts, plans, strict=True))

    def _altered(self, example: Example, side: int) -> bool:
        """Whether a text of an example may be altered."""
        text = example.texts[side]
        kept = not self.variants or (len(example.texts) == 2 and (self.pairs, side) in (("first", 1), ("second", 0)))
        return not kept and bool(text.strip()) and len(text.split()) <= self.max_words

    def _vary(self, example: Example, plans: dict[str, Plan], rng: Rng) -> tuple[list[Example], Tally]:
        """One example: itself and its variants."""
        originals = example.texts
        sides = [
            plans[text] if self._altered(example, side) else StillPlan(text, len(find_words(text)))
            for side, text in enumerate(originals)
        ]
        original = replace(example, changed=0, words=sum(plan.words for plan in sides))
        made = [original]
        seen: set[tuple[str, ...]] = set()
        duplicates = unchanged = empty = 0
        chance = rng.of(self.name, example.text, example.text_pair or "")
        for altered in self._sides(example, chance):
            texts, changed = list(originals), 0
            for side in altered:
                texts[side], count = sides[side].draw(chance)
                changed += count
            key = tuple(texts)
            if key == originals:
                unchanged += 1
            elif any(text != old and not text.strip() for text, old in zip(texts, originals, strict=True)):
                empty += 1
            elif key in seen:
                duplicates += 1
            else:
                seen.add(key)
                made.append(original.with_texts(texts, variant=len(made), changed=changed))
        return made, Tally(1, self.draws(example), len(made) - 1, duplicates, unchanged, empty)

    def _sides(self, example: Example, chance: random.Random) -> Iterator[tuple[int, ...]]:
        """Which texts of an example each draw alters."""
        fixed = {"first": _FIRST, "second": _SECOND, "both": _BOTH}
        for turn in range(self.draws(example)):
            if example.text_pair is None:
                yield _FIRST
            elif self.pairs == "one":
                yield _FIRST if turn < self.variants else _SECOND
            elif self.pairs == "cycle":
                yield (_FIRST, _SECOND, _BOTH)[turn % 3]
            elif self.pairs == "tang":
                yield _BOTH if chance.random() < 1 / 3 else _FIRST if chance.random() < 0.5 else _SECOND
            else:
                yield fixed[self.pairs]
