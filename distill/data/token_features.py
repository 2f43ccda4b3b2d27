"""Tagged words as token ids: which token carries a word's tag, and back from tokens to words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ModelError
from ..runtime.tags import character_tags, character_tokens, insides, outside, word_tags, word_tokens
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
        self._outside = outside(labels.names)
        self._inside = insides(labels.names)
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
                found = word_tokens(encoding, len(words)) if examples.space else character_tokens(encoding, words)
                ids.append(np.asarray(encoding.ids, dtype=np.int32))
                rows.append(found)
                self._count(words, found, bool(encoding.overflowing))
        self._ids, self.word_rows = Ragged(ids), Ragged(rows)
        self.lengths = self._ids.lengths
        self._tags = (
            None if examples.tags is None else Ragged(self._token_tags(row, tags) for row, tags in enumerate(examples.tags))
        )

    @property
    def unread(self) -> dict[str, int]:
        """How much of the examples is not read, by what it is."""
        return {"words are not read": self.truncated}

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
        if self._space:
            return word_tags(tokens, tags, self._outside)
        return character_tags(tokens, tags, self._outside, self._inside)

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
