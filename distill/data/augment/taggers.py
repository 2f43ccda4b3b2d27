"""Parts of speech, one tagger a language: which words may be replaced, and by what they may be replaced.

A tag here is a class of words that can stand for each other, not always a tag of the tagger's own set: Korean nouns that 하다
turns into verbs are a class of their own, since no other noun fits there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ...errors import DataError, UserError, nearest
from .edits import Edit
from .korean import agree
from .words import Word, is_stop_word, match_case

NAMES = ("auto", "english", "korean")
MIXED = 0.02
"""From this share of a sample's words on, a script has a tagger of its own."""
ENGLISH_STOP_WORDS = 0.12
"""English prose has far more of them; other languages in Latin letters have a few words that look like one."""
_FEW_WORDS = 100
"""Too few to tell English from other languages in Latin letters."""
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class TaggedWord:
    """A word, or the noun in an eojeol, that may be replaced by another one of its tag.

    Attributes:
        text: as it stands in the sentence, `sentence[start:end]`.
        start: where it starts.
        end: where it ends.
        tag: the class of words that it belongs to.
        tail: what follows at once and has to agree with it: the particles or the copula of a Korean noun, else nothing.
        tail_tag: the tag of the tail's first morpheme.
        drawn: whether it is a word to put elsewhere.
    """

    text: str
    start: int
    end: int
    tag: str
    tail: str = ""
    tail_tag: str = ""
    drawn: bool = True

    def replaced(self, new: str) -> Edit:
        """The change that puts `new` here, in the case of what stood here, and makes the tail agree with it."""
        if self.text != "I" or self.start == 0:  # which is a capital anywhere
            new = match_case(new, self.text)
        return Edit(self.start, self.end + len(self.tail), new + agree(new, self.tail, self.tail_tag))

    def slot(self, candidates: Sequence[str]) -> tuple[Word, list[str]]:
        """What `plans.ReplacePlan` takes: this word and its tail as one, and each candidate with the tail it asks for."""
        word = Word(self.text + self.tail, self.start, self.end + len(self.tail))
        return word, [self.replaced(new).new for new in candidates]


class Tagger(Protocol):
    """Finds the words of texts that may be replaced.

    Attributes:
        name: as recipes spell it.
    """

    name: str

    def tag(self, texts: Sequence[str]) -> list[list[TaggedWord]]:
        """The words of each text that may be replaced, in order, never overlapping; words of another language are left out."""
        ...


class ByScript:
    """Gives each text to the tagger of its script: for data in English and Korean.

    Args:
        english: tags texts with more Latin than Hangul letters.
        korean: tags the others.
    """

    name = "auto"

    def __init__(self, english: Tagger, korean: Tagger) -> None:
        self.english = english
        self.korean = korean

    def tag(self, texts: Sequence[str]) -> list[list[TaggedWord]]:
        """See `Tagger.tag`."""
        found: list[list[TaggedWord]] = [[] for _ in texts]
        counts = [letters(text) for text in texts]
        hangul = [index for index, count in enumerate(counts) if count["HANGUL"] >= count["LATIN"] and count["HANGUL"]]
        latin = [index for index, count in enumerate(counts) if count["LATIN"] > count["HANGUL"]]
        for tagger, chosen in ((self.english, latin), (self.korean, hangul)):
            if chosen:
                for index, words in zip(chosen, tagger.tag([texts[index] for index in chosen]), strict=True):
                    found[index] = words
        return found


def load_tagger(name: str, texts_sample: Sequence[str]) -> Tagger:
    """A tagger for a recipe's name; its model is loaded when it is first used.

    Args:
        name: `english` (HanTa), `korean` (kiwipiepy), `spacy:MODEL` for a spaCy model that is installed, or `auto`: by the
            scripts of the sample, and for both of them text by text.
        texts_sample: some of the texts that will be tagged.

    Raises:
        UserError: no tagger has this name.
        DataError: the sample is in a language that the tagger cannot do.
        MissingExtra: the tagger's package is not installed.
    """
    from .english import EnglishTagger, SpacyTagger
    from .kiwi import KoreanTagger

    if name.startswith("spacy:"):
        return SpacyTagger(name.removeprefix("spacy:"))
    if name not in NAMES:
        expected = "auto, english, korean or spacy:MODEL"
        raise UserError("no such tagger", where="tagger", got=name, expected=expected, hint=nearest(name, NAMES))
    share = shares(texts_sample)
    if name == "auto":
        return _auto(share, texts_sample)
    if share and not share.get("HANGUL" if name == "korean" else "LATIN"):
        raise DataError(
            f"the {name} tagger finds no word it could tag",
            where="tagger",
            got=texts_sample[0],
            expected=f"{name.capitalize()} text",
            hint="auto chooses the tagger by the text",
        )
    return KoreanTagger() if name == "korean" else EnglishTagger()


def letters(text: str) -> dict[str, int]:
    """How many letters of a text are Hangul, Latin, or of another script."""
    count = {"HANGUL": 0, "LATIN": 0, "OTHER": 0}
    for char in text:
        if char.isalpha():
            count[_script(char)] += 1
    return count


def shares(texts: Sequence[str]) -> dict[str, float]:
    """The share of words in each script, by a word's first letter; empty where there are no words."""
    count: dict[str, int] = {}
    for text in texts:
        for word in _WORD.findall(text):
            script = _script(word[0])
            count[script] = count.get(script, 0) + 1
    total = sum(count.values())
    return {script: number / total for script, number in count.items()}


def _script(char: str) -> str:
    if char.isascii():
        return "LATIN"
    name = unicodedata.name(char, "").split(" ")[0]
    return name if name in ("HANGUL", "LATIN") else "OTHER"


def _auto(share: dict[str, float], texts: Sequence[str]) -> Tagger:
    """The tagger, or both, for the scripts of a sample."""
    from .english import EnglishTagger
    from .kiwi import KoreanTagger

    if share.get("OTHER", 0.0) > 0.5:
        raise DataError(
            "no tagger knows this language",
            where="tagger",
            got=next(text for text in texts if letters(text)["OTHER"]),
            expected="English or Korean text",
            hint="spacy:MODEL with a spaCy model of this language, or an augmentation without parts of speech",
        )
    hangul = share.get("HANGUL", 0.0) >= MIXED
    latin = share.get("LATIN", 0.0) >= MIXED
    if latin and not hangul:
        _need_english(texts)
        return EnglishTagger()
    if hangul and not latin:
        return KoreanTagger()
    return ByScript(EnglishTagger(), KoreanTagger())


def _need_english(texts: Sequence[str]) -> None:
    """Latin letters are not English yet: ask for English function words."""
    words = [word for text in texts for word in _WORD.findall(text)]
    if len(words) >= _FEW_WORDS and sum(map(is_stop_word, words)) < ENGLISH_STOP_WORDS * len(words):
        raise DataError(
            "this does not look like English",
            where="tagger",
            got=next(text for text in texts if _WORD.search(text)),
            expected="English or Korean text",
            hint="spacy:MODEL with a spaCy model of this language; or english, if it is English after all",
        )
