"""Words exchanged for others of the same part of speech (Tang et al., arXiv 1903.12136).

The new word is drawn from the words of the corpus with this tag, as often as they occur there: "What do pigs eat?" may become
"How do pigs eat?". A Korean noun is exchanged inside its eojeol, and its particle made to agree.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...errors import UserError
from .arguments import probability
from .edits import Edit, rewrite
from .plans import Plan
from .tag_words import TagWords, draw_like
from .taggers import TaggedWord, Tagger
from .words import find_words


class Tagging:
    """What methods share that draw words of the corpus by their tags.

    Args:
        tagger: says which words have which part of speech; see `taggers.load_tagger`.
    """

    def __init__(self, tagger: Tagger) -> None:
        self.tagger = tagger
        self.vocabulary: TagWords | None = None

    def fit(self, texts: Iterable[str]) -> None:
        """Read the corpus whose words will be put in; see `TagWords.of`."""
        self.vocabulary = TagWords.of(texts, self.tagger)


class PartOfSpeechMethod(Tagging):
    """Every tagged word is exchanged with probability `p`.

    Args:
        tagger: says which words have which part of speech; see `taggers.load_tagger`.
        p: probability per word.

    Raises:
        UserError: `p` is not a probability.
    """

    name = "part_of_speech"

    def __init__(self, tagger: Tagger, *, p: float = 0.1) -> None:
        super().__init__(tagger)
        self.p = probability("p", p)

    def prepare(self, texts: Sequence[str]) -> Sequence[Plan]:
        """See `TextMethod.prepare`.

        Raises:
            UserError: `fit` has not been called.
        """
        vocabulary = fitted(self.vocabulary, self.name)
        tagged = zip(texts, self.tagger.tag(texts), strict=True)
        return [PartOfSpeechPlan(text, len(find_words(text)), tuple(words), vocabulary, self.p) for text, words in tagged]


@dataclass(frozen=True, slots=True)
class PartOfSpeechPlan:
    """A text with its tagged words.

    Attributes:
        text: the text.
        words: number of its words, tagged or not.
        tagged: the words that may be exchanged.
        vocabulary: what they may be exchanged for.
        p: probability per word.
    """

    text: str
    words: int
    tagged: Sequence[TaggedWord]
    vocabulary: TagWords
    p: float

    def draw(self, rng: random.Random) -> tuple[str, int]:
        """One variant."""
        chosen = [word for word in self.tagged if rng.random() < self.p]
        edits = [edit for word in chosen if (edit := exchange(self.text, word, self.vocabulary, rng)) is not None]
        return rewrite(self.text, edits), len(edits)


def exchange(text: str, word: TaggedWord, vocabulary: TagWords, rng: random.Random) -> Edit | None:
    """The change that puts another word of the same tag into the place of `word`; None if the draw gives the word itself."""
    new = draw_like(text, word, vocabulary, rng)
    if new is None:
        return None
    edit = word.replaced(new)
    return None if edit.new == text[edit.start : edit.end] or new.lower() == word.text.lower() else edit


def fitted(vocabulary: TagWords | None, name: str) -> TagWords:
    """The vocabulary, once `fit` has been called."""
    if vocabulary is None:
        raise UserError("no corpus to draw words from", where=name, hint="call fit(texts) before anything is made")
    return vocabulary
