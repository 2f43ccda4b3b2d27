"""A tokenizer's vocabulary as a source of words: which piece may stand where another stood."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import regex  # type: ignore[import-untyped]
from numpy.typing import NDArray

from .korean import final_consonant
from .words import Word, is_stop_word, split_possessive

PARTICLES = frozenset(
    (
        *("은", "는", "이", "가", "을", "를", "과", "와", "의", "에", "도", "만", "로", "으로", "에서", "에게", "한테", "께"),
        *("께서", "까지", "부터", "보다", "처럼", "만큼", "마다", "조차", "마저", "밖에", "이나", "나", "이랑", "랑", "하고"),
        *("에는", "에도", "에서는", "에서도", "에게는", "으로는", "로는", "으로도", "로도", "까지도", "만은", "만이", "만을"),
        *("에서의", "에게서", "한테서", "으로부터", "로부터", "으로서", "로서", "으로써", "로써", "과는", "와는", "과의", "와의"),
    )
)
"""What may follow a Korean noun within its eojeol, here told by form alone."""

_LETTERS = regex.compile(r"\p{L}[\p{L}\p{M}]*")
_HANGUL = regex.compile(r"[가-힣]+")
_LATIN = regex.compile(r"[\p{Latin}\p{M}]+")
_JAMO = regex.compile(r"[\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\ud7b0-\ud7ff]")
_RIEUL = 8
_MARKS = ("Ġ", "▁")


class Group(NamedTuple):
    """What pieces that may stand for each other have in common.

    Attributes:
        initial: whether they begin a word; others follow a piece, or a quotation mark, without a space.
        script: hangul, latin or other.
        short: whether a Hangul piece has one syllable; a single Latin letter is in no group.
        final: how a Hangul piece ends, so that the particle after it stays right: 0 vowel, 8 ㄹ, 1 another consonant; -1 where
            nothing follows.
    """

    initial: bool
    script: str
    short: bool = False
    final: int = -1


class Slot(NamedTuple):
    """A word, or the noun of an eojeol, that is one token.

    Attributes:
        word: what is replaced.
        token: its index in the encoding, without special tokens.
        group: of what it may be replaced by; None for every piece of the vocabulary.
    """

    word: Word
    token: int
    group: Group | None


class Pieces:
    """The pieces of a tokenizer that are letters alone, by group.

    Works for WordPiece (##), byte-level BPE (Ġ) and SentencePiece (▁).

    Args:
        tokenizer: fast, of Hugging Face.
        size: number of the model's outputs, at least the tokenizer's vocabulary; those beyond it are no pieces.

    Attributes:
        wordpiece: whether it marks continuations by ##.
    """

    def __init__(self, tokenizer: Any, size: int) -> None:
        self.size = size
        vocabulary = {piece: index for piece, index in tokenizer.get_vocab().items() if index < size}
        special = set(tokenizer.all_special_ids)
        self.wordpiece, self._mark = _scheme(vocabulary)
        self._texts: dict[int, str] = {}
        self._groups: dict[int, Group] = {}
        for piece, index in vocabulary.items():
            if index in special:
                continue
            initial, text = self._split(piece, tokenizer)
            if (self._mark or self.wordpiece) and not initial and not self._is_word(text, vocabulary):
                continue
            text = unicodedata.normalize("NFC", text)  # some vocabularies hold Hangul in parts
            if _JAMO.search(text):  # part of a syllable
                continue
            if _LETTERS.fullmatch(text) and not (len(text) == 1 and _LATIN.fullmatch(text)):
                self._texts[index] = text
                self._groups[index] = Group(initial, *_kind(text))
        self._allowed: dict[Group, NDArray[np.bool_]] = {}

    def text(self, index: int) -> str:
        """A piece without its marks; "" for what is no word."""
        return self._texts.get(index, "")

    def allowed(self, group: Group) -> NDArray[np.bool_]:
        """`[size]`: whether each piece belongs to a group."""
        if group not in self._allowed:
            member = np.zeros(self.size, np.bool_)
            for index, own in self._groups.items():
                alike = own[:3] == group[:3]
                member[index] = alike and group.final in (-1, _final(self._texts[index]))
            self._allowed[group] = member
        return self._allowed[group]

    def slots(
        self, text: str, words: Sequence[Word], ids: Sequence[int], offsets: Sequence[tuple[int, int]]
    ) -> tuple[list[Slot], list[Word]]:
        """The words of a text that are one token, and those that are more; stop words are in neither.

        Args:
            text: the text.
            words: its words.
            ids: its tokens, without special ones.
            offsets: start and end of each in the text; a space may be counted to the token after it.
        """
        starts, spans = _spans(text, offsets)
        slots: list[Slot] = []
        others: list[Word] = []
        for word in words:
            if is_stop_word(word.text):
                continue
            stem, _ = split_possessive(word.text)
            core = Word(stem, word.start, word.start + len(stem))
            index = spans.get((core.start, core.end))
            if index is not None and ids[index] in self._groups:
                slots.append(Slot(core, index, self._groups[ids[index]]))
            elif index is None and (noun := self._noun(word, ids, starts, spans)) is not None:
                slots.append(noun)
            else:
                others.append(word)
        return slots, others

    def _noun(self, word: Word, ids: Sequence[int], starts: dict[int, int], spans: dict[tuple[int, int], int]) -> Slot | None:
        """The noun of an eojeol, if it is the first token and a particle is the rest."""
        end = starts.get(word.start, 0)
        stem, rest = word.text[: end - word.start], word.text[end - word.start :]
        if end <= word.start + 1 or rest not in PARTICLES or not _HANGUL.fullmatch(stem):
            return None
        index = spans.get((word.start, end))
        group = None if index is None else self._groups.get(ids[index])
        if index is None or group is None or not group.initial:
            return None
        return Slot(Word(stem, word.start, end), index, group._replace(final=_final(stem)))

    def _split(self, piece: str, tokenizer: Any) -> tuple[bool, str]:
        """Whether a piece begins a word, and its text."""
        if self.wordpiece:
            return not piece.startswith("##"), piece.removeprefix("##")
        initial = piece.startswith(self._mark)
        if self._mark == "Ġ":
            piece = tokenizer.convert_tokens_to_string([piece]).strip()
        return initial, piece.removeprefix(self._mark) if self._mark else piece

    def _is_word(self, text: str, vocabulary: dict[str, int]) -> bool:
        """Whether a piece that does not begin a word is a word elsewhere: `movie` of "(movie)", but not `ing`."""
        if self.wordpiece:
            return text in vocabulary
        if self._mark == "Ġ":
            return any(_bytes_to_piece(" " + form) in vocabulary for form in (text, text.lower()))
        return any(self._mark + form in vocabulary for form in (text, text.lower()))


def published_slots(text: str, tokenizer: Any, encoding: Any) -> tuple[list[Slot], list[Word]]:
    """The words that TinyBERT's code replaces: BERT's basic tokens of ASCII letters alone, but for stop words.

    Args:
        text: the text.
        tokenizer: of BERT.
        encoding: of the text, of the library tokenizers, without special tokens.

    Returns:
        Those that are one token, and those that are more.
    """
    tokens: dict[int, list[int]] = {}
    for index, number in enumerate(encoding.word_ids):
        if number is not None:
            tokens.setdefault(number, []).append(index)
    slots: list[Slot] = []
    others: list[Word] = []
    normalizer = tokenizer.backend_tokenizer.normalizer
    for places in tokens.values():
        start, end = encoding.offsets[places[0]][0], encoding.offsets[places[-1]][1]
        word = Word(text[start:end], start, end)
        plain = word.text if normalizer is None else normalizer.normalize_str(word.text)
        if plain.isascii() and plain.isalpha() and not is_stop_word(plain):
            if len(places) == 1:
                slots.append(Slot(word, places[0], None))
            else:
                others.append(word)
    return slots, others


def _scheme(vocabulary: dict[str, int]) -> tuple[bool, str]:
    """Whether continuations are marked by ##, and if not, the mark of beginnings."""
    if sum(piece.startswith("##") for piece in vocabulary) > len(vocabulary) / 100:
        return True, ""
    counts = {mark: sum(piece.startswith(mark) for piece in vocabulary) for mark in _MARKS}
    mark = max(_MARKS, key=counts.__getitem__)
    return False, mark if counts[mark] > len(vocabulary) / 100 else ""


def _kind(text: str) -> tuple[str, bool]:
    """Script, and whether it is Hangul of one syllable."""
    if _HANGUL.fullmatch(text):
        return "hangul", len(text) == 1
    return ("latin" if _LATIN.fullmatch(text) else "other"), False


def _final(text: str) -> int:
    """How Hangul ends: 0 vowel, 8 ㄹ, 1 another consonant; -1 for no Hangul."""
    if not _HANGUL.fullmatch(text):
        return -1
    final = final_consonant(text) or 0
    return final if final in (0, _RIEUL) else 1


def _spans(text: str, offsets: Sequence[tuple[int, int]]) -> tuple[dict[int, int], dict[tuple[int, int], int]]:
    """Start -> end of the tokens, and (start, end) -> index, without the spaces that tokenizers count to them.

    Tokens that are parts of one character have one span; they are left out.
    """
    spans: dict[tuple[int, int], int] = {}
    twice: set[tuple[int, int]] = set()
    for index, (start, end) in enumerate(offsets):
        while start < end and text[start].isspace():
            start += 1
        if start < end:
            if (start, end) in spans:
                twice.add((start, end))
            spans[start, end] = index
    spans = {span: index for span, index in spans.items() if span not in twice}
    return dict(spans.keys()), spans


def _bytes_to_piece(text: str) -> str:
    """Text as byte-level BPE spells it."""
    return "".join(_BYTES[byte] for byte in text.encode("utf-8"))


def _byte_letters() -> list[str]:
    """GPT-2's letter for each byte: itself where it can be printed, else one beyond 255, in order."""
    printed = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printed else chr(next(others)) for byte in range(256)]


_BYTES = _byte_letters()
