"""A method of augmentation that needs nothing, and can be told to fail: for tests of what surrounds the methods."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from distill.data.augment.base import Example
from distill.data.augment.pairs import Augmenter
from distill.data.augment.plans import ReplacePlan
from distill.data.augment.words import find_words
from distill.errors import ModelError

NUMBERS = ("one", "two", "three")


class Numbers:
    """Every word may become a number."""

    name = "numbers"

    def __init__(self, p: float = 0.5, *, fail_at: str | None = None, log: str | None = None, die_at: str | None = None) -> None:
        self.p, self.fail_at, self.log, self.die_at = p, fail_at, log, die_at

    def prepare(self, texts: Sequence[str]) -> list[ReplacePlan]:
        if self.log:
            with open(self.log, "a", encoding="utf-8") as stream:
                stream.writelines(f"{text}\n" for text in texts)
        for text in texts:
            if self.fail_at is not None and self.fail_at in text:
                raise ModelError("this text is refused", where="numbers", got=text, hint="another text")
            if self.die_at is not None and self.die_at in text:
                os._exit(9)
        plans = []
        for text in texts:
            words = find_words(text)
            plans.append(ReplacePlan(text, len(words), tuple((word, NUMBERS) for word in words), self.p))
        return plans


@dataclass(frozen=True)
class Make:
    """Picklable, by name: worker processes find this module as the tests do."""

    variants: int = 3
    pairs: str = "one"
    p: float = 0.5
    fail_at: str | None = None
    log: str | None = None
    die_at: str | None = None

    def __call__(self) -> Augmenter:
        method = Numbers(self.p, fail_at=self.fail_at, log=self.log, die_at=self.die_at)
        return Augmenter(method, variants=self.variants, pairs=self.pairs)


def examples(count: int, *, pairs: bool = False, labels: bool = True, seed: int = 0) -> list[Example]:
    """Short sentences in English and Korean."""
    chance = random.Random(seed)
    words = ["the", "cat", "sat", "on", "a", "mat", "고양이가", "매트에", "앉았다", "NASA", "won't"]
    make = partial(chance.choices, words)
    return [
        Example(
            " ".join(make(k=chance.randint(1, 7))) + ".",
            " ".join(make(k=3)) if pairs else None,
            ("good", "bad")[row % 2] if labels else None,
            row,
        )
        for row in range(count)
    ]


def ending(count: int) -> list[Example]:
    """Examples of which the fourteenth is "the end"; all different."""
    return [Example("the end" if row == 13 else f"{example.text} {row}", row=row) for row, example in enumerate(examples(count))]
