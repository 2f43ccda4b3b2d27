"""Words replaced by their neighbours in a table of word vectors: no model, fast, in any language the table has."""

from __future__ import annotations

from collections.abc import Sequence

from .arguments import probability, some_candidates
from .plans import Plan, ReplacePlan
from .vectors import WordVectors
from .words import Word, find_words, is_stop_word, match_case, split_possessive


class NeighbourMethod:
    """Each word is replaced with probability `p` by one of its nearest neighbours; English stop words stay.

    What TinyBERT (arXiv 1909.10351) does with the words its masked LM cannot replace, done for all. A Korean eojeol is looked up
    as it stands, so a noun with a particle is replaced where the table has that form.

    Args:
        vectors: the table.
        p: probability per word, 0 to 1.
        candidates: so many nearest neighbours are drawn from; those that are no plain words (numbers, addresses, phrases
            joined by underscores) do not come into the text.

    Raises:
        UserError: an argument is out of its range.
    """

    name = "word_vectors"

    def __init__(self, vectors: WordVectors, *, p: float = 0.4, candidates: int = 15) -> None:
        self.vectors = vectors
        self.p = probability("p", p)
        self.candidates = some_candidates(candidates)

    def prepare(self, texts: Sequence[str]) -> list[Plan]:
        """A plan for every text."""
        known: dict[str, tuple[str, ...]] = {}
        plans: list[Plan] = []
        for text in texts:
            words = find_words(text)
            for word in words:
                if word.text not in known:
                    known[word.text] = self._candidates(word.text)
            slots = tuple((word, known[word.text]) for word in words if known[word.text])
            plans.append(ReplacePlan(text, len(words), slots, self.p))
        return plans

    def _candidates(self, word: str) -> tuple[str, ...]:
        """What may stand for a word, spelled like it; the 's of a possessive stays."""
        if is_stop_word(word):
            return ()
        stem, tail = split_possessive(word)
        if tail and word not in self.vectors:
            return tuple(new + tail for new in self._candidates(stem))
        near = (new for new in self.vectors.neighbours(word, self.candidates) if find_words(new) == [Word(new, 0, len(new))])
        return tuple(dict.fromkeys(match_case(new, word) for new in near))
