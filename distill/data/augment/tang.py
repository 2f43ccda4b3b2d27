"""Tang et al.'s augmentation (arXiv 1903.12136): masking, words of the same part of speech, n-grams, in one pass.

For every word a number u is drawn evenly from 0 to 1: below p_mask the word is masked, below p_mask + p_pos it is exchanged for
a word of the same part of speech, otherwise it stays. Then, with probability p_ng, an n-gram of the result replaces it. The
teacher labels what comes out. The released code looks words up by the second letter of their tag; this is the paper's method.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import UserError
from .arguments import probability
from .edits import Edit, rewrite
from .masking import mask_token
from .ngrams import at_least_one, chunks, draw_window
from .part_of_speech import Tagging, exchange, fitted
from .plans import Plan
from .tag_words import TagWords
from .taggers import TaggedWord, Tagger
from .words import Word, find_words


class TangMethod(Tagging):
    """The three together.

    In Korean the word of the draw is the eojeol: it is masked whole, or one of its nouns or adverbs is exchanged.

    Args:
        tagger: says which words have which part of speech; see `taggers.load_tagger`.
        mask: the mask token of teacher and student.
        p_mask: probability that a word is masked.
        p_pos: probability that a word is exchanged.
        p_ng: probability that an n-gram is all that is kept.
        longest: the largest n.

    Raises:
        UserError: a probability is not from 0 to 1, p_mask + p_pos is more than 1, `mask` is no token, `longest` less than 1.
    """

    name = "tang"

    def __init__(
        self, tagger: Tagger, mask: str, *, p_mask: float = 0.1, p_pos: float = 0.1, p_ng: float = 0.25, longest: int = 5
    ) -> None:
        super().__init__(tagger)
        self.mask = mask_token(mask)
        self.p_mask = probability("p_mask", p_mask)
        self.p_pos = probability("p_pos", p_pos)
        self.p_ng = probability("p_ng", p_ng)
        self.longest = at_least_one(longest)
        if p_mask + p_pos > 1:
            raise UserError(
                "a word cannot be masked and exchanged", where="p_mask + p_pos", got=p_mask + p_pos, expected="at most 1"
            )

    def prepare(self, texts: Sequence[str]) -> Sequence[Plan]:
        """See `TextMethod.prepare`.

        Raises:
            UserError: `fit` has not been called.
        """
        vocabulary = fitted(self.vocabulary, self.name)
        plans = []
        for text, tagged in zip(texts, self.tagger.tag(texts), strict=True):
            plans.append(TangPlan(text, slots(find_words(text), tagged), chunks(text), vocabulary, self))
        return plans


@dataclass(frozen=True, slots=True)
class TangPlan:
    """A text with its words, and what of each may be exchanged.

    Attributes:
        text: the text.
        slots: its words, each with the tagged words in it: one in English, any number in Korean.
        chunks: where n-grams may start and end.
        vocabulary: what may be put in.
        method: whose probabilities these are.
    """

    text: str
    slots: Sequence[tuple[Word, Sequence[TaggedWord]]]
    chunks: Sequence[tuple[int, int]]
    vocabulary: TagWords
    method: TangMethod

    @property
    def words(self) -> int:
        """Number of words of the text."""
        return len(self.slots)

    def draw(self, rng: random.Random) -> tuple[str, int]:
        """One variant; words that are cut away count as changed. If no word but masks is left, the text itself comes back."""
        edits: dict[int, Edit] = {}
        masked: set[int] = set()
        for index, (word, tagged) in enumerate(self.slots):
            edit, hidden = self._change(word, tagged, rng)
            if edit is not None:
                edits[index] = edit
                masked.update([index] if hidden else [])
        window = draw_window(self.chunks, self.method.p_ng, self.method.longest, rng)
        start, end = window or (0, len(self.text))
        kept = {index for index, (word, _) in enumerate(self.slots) if start <= word.start < end}
        if kept and kept <= masked:
            return self.text, 0
        changed = len(self.slots) - len(kept - edits.keys())
        made = rewrite(self.text, edits.values(), start, end)
        return made, max(changed, made != self.text)

    def _change(self, word: Word, tagged: Sequence[TaggedWord], rng: random.Random) -> tuple[Edit | None, bool]:
        """What becomes of one word, and whether it is masked."""
        u = rng.random()
        if u < self.method.p_mask:
            return Edit(word.start, word.end, self.method.mask), True
        if u < self.method.p_mask + self.method.p_pos and tagged:
            chosen = tagged[rng.randrange(len(tagged))] if len(tagged) > 1 else tagged[0]
            return exchange(self.text, chosen, self.vocabulary, rng), False
        return None, False


def slots(words: Sequence[Word], tagged: Sequence[TaggedWord]) -> tuple[tuple[Word, tuple[TaggedWord, ...]], ...]:
    """Each word with the tagged words that lie inside it; both in order."""
    starts = [piece.start for piece in tagged]
    return tuple((word, tuple(tagged[bisect_left(starts, word.start) : bisect_left(starts, word.end)])) for word in words)
