"""Parts of speech of English by HanTa (LGPL-3.0-or-later, its model comes with it), or by any spaCy model that is installed."""

from __future__ import annotations

import contextlib
import functools
import io
import re
from collections.abc import Sequence
from typing import Any

from ...errors import MissingExtra, ModelError
from .taggers import TaggedWord
from .words import find_words

_TOKEN = re.compile(r"[^\W\d_]+(?=n['’]t\b)|n['’]t\b|['’](?:s|re|ve|ll|d|m)\b|\w+(?:[-.]\w+)*|[^\w\s]", re.IGNORECASE)
"""Contractions come apart as in HanTa's corpus; hyphenated words are one."""
_NOT = ("n't", "n’t")
_STOPS = frozenset(".!?")
LEFT_ALONE = frozenset({"UNC", "UNKNOWN", "!!!", "PUN", "PUL", "PUR", "PUQ", "ZZ0", "POS", "NN", "IN"})
"""Tags of no class of words: foreign, unknown, punctuation, single letters."""
ARTICLES = frozenset({"a", "an"})
"""Left alone: the next word decides which of the two it is."""
PRONOUNS = {
    **dict.fromkeys(("i", "he", "she", "we", "they"), "PNP/subject"),
    **dict.fromkeys(("me", "him", "us", "them"), "PNP/object"),
    **dict.fromkeys(("myself", "himself", "herself", "itself", "ourselves", "yourself", "yourselves", "themselves"), "PNP/self"),
}
"""Personal pronouns by case, which the tagger does not tell apart; `you` and `it` are both."""
_KNOWN_WORDS = 50_000
_LONGEST = 40


class EnglishTagger:
    """Words of English text, with the tags of the British National Corpus (C5): NN1, NN2, AJ0, VVD, ..."""

    name = "english"

    def __init__(self) -> None:
        try:
            import HanTa  # noqa: F401
        except ModuleNotFoundError as error:
            raise MissingExtra("augment", "HanTa", "the English tagger") from error

    def tag(self, texts: Sequence[str]) -> list[list[TaggedWord]]:
        """See `Tagger.tag`. Words with letters outside Latin are left out, `a`, `an`, and contractions with `not`."""
        return [self._tag(text) for text in texts]

    def _tag(self, text: str) -> list[TaggedWord]:
        ends = {word.start: word.end for word in find_words(text)}
        found = []
        for sentence in _sentences(text):
            tags = _hanta().tag_sent([_readable(match.group()) for match in sentence], taglevel=0)
            for match, following, tag in zip(sentence, [*sentence[1:], None], tags, strict=True):
                word, end = match.group(), ends.get(match.start())
                whole = end == match.end() or (end is not None and text[match.end() : end].lower() in ("'s", "’s"))
                fixed = tag in LEFT_ALONE or word.lower() in ARTICLES or not _is_latin(word)
                if whole and not fixed and (following is None or following.group().lower() not in _NOT):
                    found.append(TaggedWord(word, match.start(), match.end(), PRONOUNS.get(word.lower(), tag)))
        return found


class SpacyTagger:
    """Words of any language that an installed spaCy model tags; the tag is spaCy's fine one.

    Args:
        model: name or folder of the model.

    Raises:
        MissingExtra: spaCy is not installed.
        ModelError: there is no such model.
    """

    def __init__(self, model: str) -> None:
        self.name = f"spacy:{model}"
        self.model = model
        _spacy(model)

    def tag(self, texts: Sequence[str]) -> list[list[TaggedWord]]:
        """See `Tagger.tag`."""
        found = []
        for text, doc in zip(texts, _spacy(self.model).pipe(texts), strict=True):
            ends = {word.start: word.end for word in find_words(text)}
            found.append(
                [
                    TaggedWord(token.text, token.idx, token.idx + len(token.text), token.tag_)
                    for token in doc
                    if token.tag_ and ends.get(token.idx) == token.idx + len(token.text) and token.lower_ not in ARTICLES
                ]
            )
        return found


def _sentences(text: str) -> list[list[re.Match[str]]]:
    """The tokens of each sentence: a capital at the start of one says nothing."""
    sentences: list[list[re.Match[str]]] = [[]]
    for match in _TOKEN.finditer(text):
        sentences[-1].append(match)
        if match.group() in _STOPS:
            sentences.append([])
    return [sentence for sentence in sentences if sentence]


def _is_latin(word: str) -> bool:
    return len(word) <= _LONGEST and all((char.isascii() or "À" <= char <= "ɏ") and char.isalpha() for char in word)


def _readable(token: str) -> str:
    """What the tagger gets to see: foreign words are nouns to it, and its time grows with the square of a word's length."""
    if len(token) > _LONGEST or (token[0].isalpha() and ord(token[0]) > ord("ɏ")):
        return "thing"
    return token.replace("’", "'")


@functools.cache
def _hanta() -> Any:
    """One tagger a process, which remembers the words it has analysed."""
    from HanTa.HanoverTagger import HanoverTagger

    class Remembering(HanoverTagger):
        analyze_forward = functools.lru_cache(_KNOWN_WORDS)(HanoverTagger.analyze_forward)

    with contextlib.redirect_stdout(io.StringIO()):
        return Remembering("morphmodel_en.pgz")


@functools.cache
def _spacy(model: str) -> Any:
    try:
        import spacy
    except ModuleNotFoundError as error:
        raise MissingExtra("augment", "spacy", f"the tagger spacy:{model}") from error
    try:
        return spacy.load(model, exclude=["parser", "ner", "lemmatizer"])
    except OSError as error:
        raise ModelError(
            "spaCy has no such model", where=f"spacy:{model}", got=str(error), hint=f"python -m spacy download {model}"
        ) from error
