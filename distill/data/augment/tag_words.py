"""The words of a corpus by part of speech, drawn as often as the corpus has them."""

from __future__ import annotations

import itertools
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypeVar

from ...errors import DataError
from ...progress import track
from .taggers import TaggedWord, Tagger

T = TypeVar("T")

CORPUS = 20_000
"""So many texts of a larger corpus are tagged, taken evenly from all of it."""
WORDS_PER_TAG = 20_000
"""The most frequent words of a tag that are kept."""
_TRIES = 20
_PROPER = ("NP", "NNP")
_VOWEL = frozenset("aeiou")
_SOUNDS_CONSONANT = ("eu", "one", "once", "uni", "use", "usu", "uti", "uk", "ubi")
_SOUNDS_VOWEL = ("hour", "honest", "honor", "honour", "heir")


class TagWords:
    """Counts of words for every tag.

    Args:
        counts: per tag, how often each word occurs.
    """

    def __init__(self, counts: dict[str, Counter[str]]) -> None:
        self._words: dict[str, list[str]] = {}
        self._sums: dict[str, list[int]] = {}
        for tag, found in sorted(counts.items()):
            kept = _most_frequent(found, WORDS_PER_TAG)
            self._words[tag] = [word for word, _ in kept]
            self._sums[tag] = list(itertools.accumulate(count for _, count in kept))

    @classmethod
    def of(cls, texts: Iterable[str], tagger: Tagger, corpus: int = CORPUS) -> TagWords:
        """The words of a corpus; equal texts in equal order give equal words.

        Args:
            texts: the corpus, read once; never more than `corpus` texts of it are in memory.
            tagger: finds the words and their tags.
            corpus: how many texts to tag at most.

        Raises:
            DataError: the tagger finds no word in the corpus.
        """
        sample = reservoir(texts, corpus)
        counts: dict[str, Counter[str]] = {}
        for text in track(sample, total=len(sample), description="finding parts of speech", unit="texts"):
            for word in tagger.tag([text])[0]:
                if word.drawn:
                    _count(counts, word)
        if not counts:
            raise DataError(
                f"the {tagger.name} tagger finds no word in this corpus",
                where="tagger",
                got=sample[0] if sample else "no text",
                expected="text in the tagger's language",
                hint="another tagger, or an augmentation without parts of speech",
            )
        return cls(counts)

    def words(self, tag: str) -> list[str]:
        """The words of a tag, the most frequent first."""
        return self._words.get(tag, [])

    def tags(self) -> list[str]:
        """All tags, sorted."""
        return list(self._words)

    def draw(self, tag: str, rng: random.Random, accept: Callable[[str], bool] | None = None) -> str | None:
        """A word of this tag, each with its share of the tag's occurrences in the corpus.

        Args:
            tag: the tag.
            rng: source of chance.
            accept: which words will do; after 20 words that will not there is none.

        Returns:
            The word, or None.
        """
        sums = self._sums.get(tag, [])
        for _ in range(_TRIES if sums else 0):
            word = self._words[tag][bisect_right(sums, rng.randrange(sums[-1]))]
            if accept is None or accept(word):
                return word
        return None


def draw_like(text: str, word: TaggedWord, words: TagWords, rng: random.Random) -> str | None:
    """A word for the place of `word` in `text`: of its tag, and after "a" or "an" one that may follow there."""
    before = text[max(0, word.start - 4) : word.start].lower().split(" ")
    if len(before) > 1 and before[-1] == "" and before[-2] in ("a", "an"):
        vowel = before[-2] == "an"
        return words.draw(word.tag, rng, lambda new: sounds_like_vowel(new) == vowel)
    return words.draw(word.tag, rng)


def sounds_like_vowel(word: str) -> bool:
    """Whether "an" rather than "a" stands before an English word, by its first letters."""
    low = word.lower()
    return low.startswith(_SOUNDS_VOWEL) or (low[:1] in _VOWEL and not low.startswith(_SOUNDS_CONSONANT))


def reservoir(items: Iterable[T], size: int) -> list[T]:
    """At most `size` items, each with the same chance, in their order; all of them where there are no more."""
    rng = random.Random(0)
    kept: list[tuple[int, T]] = []
    for index, item in enumerate(items):
        if len(kept) < size:
            kept.append((index, item))
        elif (place := rng.randrange(index + 1)) < size:
            kept[place] = (index, item)
    return [item for _, item in sorted(kept, key=lambda pair: pair[0])]


def _count(counts: dict[str, Counter[str]], word: TaggedWord) -> None:
    """One more of this word; memory stays bounded, at the price of the rarest words of a tag."""
    plain = word.text if word.text == "I" or word.tag.startswith(_PROPER) else word.text.lower()
    found = counts.setdefault(word.tag, Counter())
    found[plain] += 1
    if len(found) > 2 * WORDS_PER_TAG:
        counts[word.tag] = Counter(dict(_most_frequent(found, WORDS_PER_TAG)))


def _most_frequent(counts: Counter[str], number: int) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:number]
