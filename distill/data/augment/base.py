"""What every method of augmentation shares: the example, the source of chance, the protocol."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol


@dataclass(frozen=True)
class Example:
    """A text, or a pair of texts, before or after augmentation.

    Attributes:
        text: the text, or the first of a pair.
        text_pair: the second text of a pair.
        label: whatever the data says of it; a variant carries the label of its original.
        row: number of the original in its source.
        variant: 0 for an original, 1, 2, ... for what was made of it.
        changed: how many words a variant has that its original has not at that place, over both texts.
        words: how many words the original has, over both texts.
    """

    text: str
    text_pair: str | None = None
    label: Any = None
    row: int = 0
    variant: int = 0
    changed: int = field(default=0, compare=False)
    words: int = field(default=0, compare=False)

    @property
    def texts(self) -> tuple[str, ...]:
        """One text or two."""
        return (self.text,) if self.text_pair is None else (self.text, self.text_pair)

    def with_texts(self, texts: Sequence[str], **more: Any) -> Example:
        """The same example with other texts, as many as it has."""
        if len(texts) != len(self.texts):
            raise ValueError(f"an example of {len(self.texts)} texts cannot take {len(texts)}")
        return replace(self, text=texts[0], text_pair=texts[1] if len(texts) == 2 else None, **more)


class Rng:
    """Chance that depends on a seed and on what it is drawn for, not on what was drawn before.

    So a sentence has the same variants alone, in a batch of a thousand, in any worker, and after a resume.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def of(self, *key: str | int) -> random.Random:
        """A generator of its own for this key: equal seeds and keys give equal draws on every machine."""
        digest = hashlib.blake2b(repr((self.seed, *key)).encode("utf-8", "surrogatepass"), digest_size=16)
        return random.Random(int.from_bytes(digest.digest(), "big"))


class Method(Protocol):
    """A way to make examples out of examples.

    Attributes:
        name: as recipes spell it.
    """

    name: str

    def augment(self, examples: Sequence[Example], rng: Rng) -> list[Example]:
        """Each example followed by its variants, in the order of the examples.

        The original comes first, unchanged, `variant` 0; variants count from 1, carry `label` and `row` of their original,
        differ from it and from each other in their texts, and none is empty. What is made of an example depends on the example
        and the seed alone, never on its neighbours.
        """
        ...
