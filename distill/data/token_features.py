"""Tagged words as token ids: which token carries a word's tag, and back from tokens to words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ModelError
from .examples import UNLABELLED, LabelSet, TokenExamples
from .features import chunks
from .ragged import Ragged


class TokenFeatures:
    """Map-style data set of tokenized sentences, with a tag on the first token of each word.

    Other tokens of a word and special tokens have -100. Where words are single characters without spaces between them,
    the text is tokenized as it stands, and a token has the tag of its first character that is no space.

    Args:
        examples: n sentences.
        tokenizer: a fast tokenizer of `transformers`.
        max_length: tokens at most, special tokens counted.
        labels: the tags.

    Raises:
        ModelError: the tokenizer is not a fast one: it cannot tell which token belongs to which word.

    Attributes:
        lengths: int32 [n], tokens of each sentence.
        truncated: how many words lie beyond the limit.
        empty: how many words give no token at all; spaces are not counted.
        hidden: how many tags cannot be told from tokens, since a character's tag does not go on from the one before it in
            the same token (single characters alone).
        word_rows: for each sentence int32 [words], the token that carries the word's tag; -1 where there is none.
    """

    def __init__(self, examples: TokenExamples, tokenizer: Any, max_length: int, labels: LabelSet) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise ModelError(
                "this tokenizer cannot tell which token belongs to which word",
                where=str(getattr(tokenizer, "name_or_path", "tokenizer")),
                expected="a fast tokenizer (tokenizer.json)",
            )
        self._labels, self._space = labels, examples.space
        self._outside = labels.names.index("O") if "O" in labels.names else 0
        self._inside = _insides(labels)
        self.truncated = self.empty = self.hidden = 0
        ids: list[np.ndarray] = []
        rows: list[np.ndarray] = []
        for part in chunks(len(examples), "Tokenizing"):
            encoded = tokenizer(
                examples.words[part] if examples.space else examples.text[part],
                is_split_into_words=examples.space,
                truncation=True,
                max_length=max_length,
                padding=False,
                return_attention_mask=False,
                return_token_type_ids=False,
            )
            for words, encoding in zip(examples.words[part], encoded.encodings, strict=True):
                found = _word_tokens(encoding, len(words)) if examples.space else _character_tokens(encoding, words)
                ids.append(np.asarray(encoding.ids, dtype=np.int32))
                rows.append(found)
                self._count(words, found, bool(encoding.overflowing))
        self._ids, self.word_rows = Ragged(ids), Ragged(rows)
        self.lengths = self._ids.lengths
        self._tags = (
            None if examples.tags is None else Ragged(self._token_tags(row, tags) for row, tags in enumerate(examples.tags))
        )

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Sentence `index` as {"input_ids": int32 [tokens], "row": index} and, if tagged, "labels": int32 [tokens].

        Raises:
            IndexError: there is no such sentence.
        """
        item: dict[str, Any] = {"input_ids": self._ids[index], "row": int(index)}
        if self._tags is not None:
            item["labels"] = self._tags[index]
        return item

    def to_words(self, index: int, tags: Sequence[int] | np.ndarray) -> list[int]:
        """Tags of a sentence's tokens as tags of its words.

        A word without a token is outside (O). Characters after the first of a token go on with its entity, and a space
        goes on with an entity that goes on behind it.

        Args:
            index: the sentence.
            tags: a tag number for each token, special tokens counted; more, such as those of padding, are passed over.
        """
        tokens = self.word_rows[index]
        found = [self._outside if token < 0 else int(tags[token]) for token in tokens]
        if self._space:
            return found
        for place in range(1, len(found)):
            if tokens[place] >= 0 and tokens[place] == tokens[place - 1]:
                found[place] = self._inside[found[place - 1]]
        for place in range(len(found) - 2, 0, -1):
            # From the right, so that of several spaces each sees what the next one has become.
            if tokens[place] < 0 and found[place + 1] == self._inside[found[place + 1]] != self._outside:
                before = next((found[back] for back in range(place - 1, -1, -1) if tokens[back] >= 0), self._outside)
                if self._inside[before] == found[place + 1]:
                    found[place] = found[place + 1]
        return found

    def _token_tags(self, index: int, tags: Sequence[int]) -> np.ndarray:
        """int32 [tokens]: the tags where they belong, -100 elsewhere."""
        tokens = self.word_rows[index]
        made = np.full(self.lengths[index], UNLABELLED, dtype=np.int32)
        first = np.flatnonzero((tokens >= 0) & np.r_[True, tokens[1:] != tokens[:-1]]) if len(tokens) else np.zeros(0, dtype=int)
        made[tokens[first]] = np.asarray(tags, dtype=np.int32)[first]
        if not self._space:
            again = np.flatnonzero((tokens[1:] >= 0) & (tokens[1:] == tokens[:-1])) + 1
            self.hidden += sum(tags[place] != self._inside[tags[place - 1]] for place in again.tolist())
        return made

    def _count(self, words: Sequence[str], tokens: np.ndarray, cut: bool) -> None:
        last = int(np.flatnonzero(tokens >= 0).max(initial=-1))
        missing = [place for place in np.flatnonzero(tokens < 0).tolist() if not words[place].isspace()]
        beyond = sum(place > last for place in missing) if cut else 0
        self.truncated += beyond
        self.empty += len(missing) - beyond


def _insides(labels: LabelSet) -> list[int]:
    """For each tag the one that goes on with its entity: B-x and I-x -> I-x, O -> O."""
    place = {name: index for index, name in enumerate(labels.names)}
    return [place.get("I-" + name[2:], index) if name[:2] in ("B-", "I-") else index for index, name in enumerate(labels.names)]


def _word_tokens(encoding: Any, count: int) -> np.ndarray:
    """int32 [words]: the first token of each word, -1 where it has none."""
    found = np.full(count, -1, dtype=np.int32)
    for token, word in enumerate(encoding.word_ids):
        if word is not None and found[word] < 0:
            found[word] = token
    return found


def _character_tokens(encoding: Any, characters: Sequence[str]) -> np.ndarray:
    """int32 [characters]: the token that each character, if it is no space, is in; -1 where there is none.

    The first token counts where a character is in several.
    """
    found = np.full(len(characters), -1, dtype=np.int32)
    for token, ((start, end), special) in enumerate(zip(encoding.offsets, encoding.special_tokens_mask, strict=True)):
        for place in range(start, end) if not special else ():
            if found[place] < 0 and not characters[place].isspace():
                found[place] = token
    return found
