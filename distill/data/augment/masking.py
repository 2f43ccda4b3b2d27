"""Words hidden behind the mask token (Tang et al., arXiv 1903.12136): what does the teacher say if a word is missing?"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import UserError
from .arguments import probability
from .edits import Edit, rewrite
from .plans import Plan
from .words import Word, find_words


class MaskingMethod:
    """Every word is masked with probability `p`; a Korean eojeol is masked as a whole.

    Args:
        mask: the mask token of teacher and student, such as "[MASK]".
        p: probability per word.

    Raises:
        UserError: `p` is not a probability, or `mask` is no token.
    """

    name = "masking"

    def __init__(self, mask: str, *, p: float = 0.1) -> None:
        self.mask = mask_token(mask)
        self.p = probability("p", p)

    def prepare(self, texts: Sequence[str]) -> Sequence[Plan]:
        """See `TextMethod.prepare`."""
        return [MaskingPlan(text, tuple(find_words(text)), self.mask, self.p) for text in texts]


@dataclass(frozen=True, slots=True)
class MaskingPlan:
    """A text with the words that may be masked.

    Attributes:
        text: the text.
        found: its words.
        mask: the mask token.
        p: probability per word.
    """

    text: str
    found: Sequence[Word]
    mask: str
    p: float

    @property
    def words(self) -> int:
        """Number of words of the text."""
        return len(self.found)

    def draw(self, rng: random.Random) -> tuple[str, int]:
        """One variant; a text of which no word is left comes back as it was."""
        edits = [Edit(word.start, word.end, self.mask) for word in self.found if rng.random() < self.p]
        return (self.text, 0) if len(edits) == len(self.found) else (rewrite(self.text, edits), len(edits))


def mask_token(mask: str) -> str:
    """`mask`, if it can stand for a word."""
    if not mask or any(char.isspace() for char in mask):
        raise UserError(
            "this is no mask token", where="mask", got=repr(mask), expected="the mask_token of the tokenizer, such as [MASK]"
        )
    return mask
