"""Words with their tags, and entities with their place in the text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from tokenizers import Encoding

from ..errors import UserError
from .checks import OnLong, checked_choice, checked_count, checked_text, no_text
from .classifier import label_names, softmax
from .model import Model, Rows, Work, check_on_long
from .opened import Kind, Opened
from .tags import character_tags, character_tokens, entities, insides, outside, word_tags, word_tokens

Text = str | Sequence[str]
OnLongTokens = OnLong | Literal["windows"]
Unit = Literal["word", "character"]


@dataclass(frozen=True, slots=True)
class Word:
    """A word and its tag.

    Attributes:
        text: the word.
        start, end: its characters in the text, the end not counted.
        label: its tag.
        score: the probability of that tag; 0 for a word that the model has not read.
    """

    text: str
    start: int
    end: int
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Entity:
    """Words that belong together.

    Attributes:
        label: the type, without B- or I-.
        text: its characters in the text.
        start, end: where they are, the end not counted.
        first, last: its first and last word, both counted.
        score: the mean of its words' scores.
    """

    label: str
    text: str
    start: int
    end: int
    first: int
    last: int
    score: float


@dataclass(frozen=True, slots=True)
class Tagged:
    """What a tagger says of one text.

    Attributes:
        text: the text; words that were given, with spaces between them.
        words: every word of it.
        entities: by their place.
        cut: whether the model has not read all of it: words beyond the limit have the tag O.
    """

    text: str
    words: tuple[Word, ...]
    entities: tuple[Entity, ...]
    cut: bool


class TokenClassifier(Model):
    """Texts to tags of their words, and to entities. Made by `distill.load`. May be used from several threads at once.

    Attributes:
        labels: the tags, by the model's order of outputs.
        precision, max_length, truncated, allow_nan: as of every model.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("tokens",)
    by_token: ClassVar[bool] = True

    def __init__(self, opened: Opened) -> None:
        super().__init__(opened)
        self.labels = label_names(opened)
        self._outside, self._inside = outside(self.labels), insides(self.labels)

    def predict(
        self,
        texts: Sequence[Text],
        batch_size: int | None = None,
        *,
        unit: Unit = "word",
        on_long: OnLongTokens = "cut",
        stride: int = 32,
        batch_tokens: int | None = None,
    ) -> list[Tagged]:
        """Tag texts.

        The first piece of a word decides, as in training; a word without a piece is O. Entities are read as conlleval does:
        B-x begins one, I-x goes on with one of its type and begins one otherwise.

        Args:
            texts: plain texts, which the tokenizer splits into words; or lists of words.
            batch_size, batch_tokens: as in `Encoder.encode`.
            unit: `character` for models that were trained on single characters, such as Korean ones: an entity may then end
                inside a word. Every character, spaces too, is a word of the result.
            on_long: what becomes of a text of more than `max_length` tokens: the rest is `cut` and counted, it is an `error`,
                or it is read in `windows`, of which each word takes the one in which it stands farthest from an edge.
            stride: tokens that neighbouring windows share.

        Returns:
            One result a text.

        Raises:
            UserError, DataError, ModelError: as in `Encoder.encode`; `stride` leaves no room to go on.
        """
        items = list(no_text(texts, "texts", "predict([text])"))
        options: dict[str, Any] = {"unit": unit, "on_long": on_long, "stride": stride, "batch_tokens": batch_tokens}
        return [tagged for part in self.predict_stream(items, batch_size, **options) for tagged in part]

    def predict_stream(
        self,
        texts: Iterable[Text],
        batch_size: int | None = None,
        *,
        unit: Unit = "word",
        on_long: OnLongTokens = "cut",
        stride: int = 32,
        batch_tokens: int | None = None,
    ) -> Iterator[list[Tagged]]:
        """Tag texts as they come, in bounded memory.

        Yields:
            Lists of results, in the order of the input: at most 2048, or `batch_size` * 64.
        """
        size = self._sizes(batch_size, batch_tokens)
        check_on_long(on_long, "windows")
        checked_choice(unit, ("word", "character"), "unit")
        checked_count(stride, "stride", 0)
        room = self.max_length - self._text.special_tokens[0]
        if on_long == "windows" and stride >= room:
            raise UserError("neighbouring windows share too many tokens", where="stride", got=stride, expected=f"below {room}")

        def prepare(window: list[Any], first: int) -> Work[list[Tagged]]:
            rows = [self._checked(item, f"text {first + row}", unit) for row, item in enumerate(window)]
            found = self._tokenize(rows, stride if on_long == "windows" else None)
            cut = [False] * len(rows) if on_long == "windows" else self._count_cut(found, first, on_long)
            parts = [[encoding, *encoding.overflowing] if on_long == "windows" else [encoding] for encoding in found]
            owners = [row for row, some in enumerate(parts) for _ in some]

            def finish(outputs: Rows) -> list[Tagged]:
                made, start = [], 0
                for item, some, short in zip(rows, parts, cut, strict=True):
                    logits = [part for (part,) in outputs[start : start + len(some)]]
                    start += len(some)
                    made.append(self._tagged(item, some, logits, unit, short))
                return made

            return Work([encoding for some in parts for encoding in some], finish, owners, first)

        items = no_text(texts, "texts", "predict([text])")
        return self._stream(items, prepare, size, lambda item: sum(map(len, item)) if isinstance(item, (str, list, tuple)) else 1)

    def _checked(self, item: object, where: str, unit: Unit) -> str | list[str]:
        if isinstance(item, (list, tuple)):
            if unit == "character":
                raise UserError("words are given where a text is needed", where=where, got=list(item), hint="unit='word'")
            return [checked_text(word, f"{where}, word {place}") for place, word in enumerate(item)]
        return checked_text(item, where)

    def _tokenize(self, rows: Sequence[str | list[str]], stride: int | None) -> list[Encoding]:
        """Each text as a text and each list of words as words, in their order."""
        made: list[Encoding | None] = [None] * len(rows)
        texts = [row for row, item in enumerate(rows) if isinstance(item, str)]
        words = [row for row, item in enumerate(rows) if not isinstance(item, str)]
        plain: list[Any] = [rows[row] for row in texts]
        text = self._text
        found = text.tokenize(plain, offsets=True) if stride is None else text.windows(plain, stride)
        split = text.tokenize_words([rows[row] for row in words], stride)
        for row, encoding in zip([*texts, *words], [*found, *split], strict=True):
            made[row] = encoding
        return [encoding for encoding in made if encoding is not None]

    def _tagged(self, item: str | list[str], parts: list[Encoding], logits: list[np.ndarray], unit: Unit, cut: bool) -> Tagged:
        """One text's result out of the logits [tokens, tags] of its windows."""
        text = item if isinstance(item, str) else " ".join(item)
        if unit == "character":
            places = [(place, place + 1) for place in range(len(text))]
            rows = [character_tokens(encoding, text) for encoding in parts]
        elif isinstance(item, str):
            places, rows = _words(text, parts)
        else:
            places = _spaced(item)
            rows = [word_tokens(encoding, len(item)) for encoding in parts]
            _drop_later_pieces(rows, parts)
        tokens = _farthest(rows, parts)
        scores = np.concatenate(logits)
        best = scores.argmax(-1) if len(scores) else np.zeros(0, int)
        found = (
            character_tags(tokens, best, self._outside, self._inside)
            if unit == "character"
            else word_tags(tokens, best, self._outside)
        )
        sure = softmax(scores).max(-1) if len(scores) else np.zeros(0)
        chances = [0.0 if token < 0 else float(sure[token]) for token in tokens]
        names = [self.labels[tag] for tag in found]
        words = tuple(
            Word(text[start:end], start, end, name, chance)
            for (start, end), name, chance in zip(places, names, chances, strict=True)
        )
        return Tagged(text, words, _entities(text, names, words), cut)


def _words(text: str, parts: Sequence[Encoding]) -> tuple[list[tuple[int, int]], list[np.ndarray]]:
    """The words that the tokenizer finds in a text: their characters, and for each window the first piece of each word."""
    whole: dict[int, tuple[int, int]] = {}
    piece: dict[int, tuple[int, int]] = {}
    for encoding in parts:
        for word, offsets in zip(encoding.word_ids, encoding.offsets, strict=True):
            if word is not None:
                first, last = whole.get(word, offsets)
                whole[word] = min(first, offsets[0]), max(last, offsets[1])
                piece[word] = min(piece.get(word, offsets), offsets)
    kept: dict[int, int] = {}
    places: list[tuple[int, int]] = []
    for word, (start, end) in sorted(whole.items()):
        part = text[start:end]
        start, end = start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())
        if start < end:
            kept[word] = len(places)
            places.append((start, end))
    rows = []
    for encoding in parts:
        found = np.full(len(places), -1, dtype=np.int32)
        for token, (word, offsets) in enumerate(zip(encoding.word_ids, encoding.offsets, strict=True)):
            place = -1 if word is None or offsets != piece[word] else kept.get(word, -1)
            if place >= 0 and found[place] < 0:
                found[place] = token
        rows.append(found)
    return places, rows


def _drop_later_pieces(rows: Sequence[np.ndarray], parts: Sequence[Encoding]) -> None:
    """Where a window begins inside a word, what is first there is not the word's first piece."""
    for found, encoding in zip(rows[1:], parts[1:], strict=True):
        for word in np.flatnonzero(found >= 0):
            if encoding.offsets[found[word]][0] > 0:
                found[word] = -1


def _spaced(words: Sequence[str]) -> list[tuple[int, int]]:
    """The characters of each word where spaces stand between them."""
    places, start = [], 0
    for word in words:
        places.append((start, start + len(word)))
        start += len(word) + 1
    return places


def _farthest(rows: Sequence[np.ndarray], parts: Sequence[Encoding]) -> list[int]:
    """For each word its token, counted over all windows one behind the other: that of the window where it stands farthest
    from an edge; -1 for a word without any."""
    best, far, start = np.full(len(rows[0]), -1), np.full(len(rows[0]), -1), 0
    for tokens, encoding in zip(rows, parts, strict=True):
        margin = np.where(tokens >= 0, np.minimum(tokens, len(encoding) - 1 - tokens), -1)
        best = np.where(margin > far, start + tokens, best)
        far = np.maximum(far, margin)
        start += len(encoding)
    return best.tolist()


def _entities(text: str, names: Sequence[str], words: Sequence[Word]) -> tuple[Entity, ...]:
    made = []
    for label, first, last in sorted(entities(names), key=lambda entity: entity[1]):
        start, end = words[first].start, words[last].end
        score = sum(word.score for word in words[first : last + 1]) / (last + 1 - first)
        made.append(Entity(label, text[start:end], start, end, first, last, score))
    return tuple(made)
