"""Labelled examples in memory: one class for texts, one for words with tags, one for questions with answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DataError, nearest

UNLABELLED = -100
"""The class of a row, or the tag of a token, that has none: cross-entropy passes over it."""


@dataclass(frozen=True)
class LabelSet:
    """Names of labels; the number of a label is its place among them.

    Attributes:
        names: all different, in the order of the model's outputs.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise DataError("a label is named twice", where="labels", got=", ".join(twice), expected="every name once")

    def __len__(self) -> int:
        return len(self.names)

    def index_of(self, name: str) -> int:
        """The number of the label of this name.

        Raises:
            DataError: there is none.
        """
        if name not in self.names:
            raise DataError(
                "no such label",
                got=name,
                expected=", ".join(self.names[:20]) or "no label at all",
                hint=nearest(name, self.names),
            )
        return self.names.index(name)


@dataclass(frozen=True)
class TextExamples:
    """Texts, or pairs of texts, for classification, multi-label classification and regression.

    Attributes:
        text: n texts.
        text_pair: the second text of each, or None where there is one text alone.
        labels: None where nothing is labelled. Classification: int64 [n], -100 for a row without a label.
            Multi-label: float32 [n, C] of 0 and 1, a row of NaN for one without labels. Regression: float64 [n], NaN for a row
            without a score.
    """

    text: list[str]
    text_pair: list[str] | None = None
    labels: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name, part in (("text_pair", self.text_pair), ("labels", self.labels)):
            if part is not None and len(part) != len(self.text):
                raise DataError(f"text and {name} differ in number", got=f"{len(self.text)} and {len(part)}")

    def __len__(self) -> int:
        return len(self.text)

    def select(self, rows: Sequence[int] | np.ndarray) -> TextExamples:
        """The examples of these row numbers, in their order."""
        chosen = np.asarray(rows, dtype=np.int64)
        return TextExamples(
            text=[self.text[row] for row in chosen],
            text_pair=None if self.text_pair is None else [self.text_pair[row] for row in chosen],
            labels=None if self.labels is None else self.labels[chosen],
        )


@dataclass(frozen=True)
class TokenExamples:
    """Sentences as words, each word with a tag.

    Attributes:
        words: the words of each of n sentences. Where `space` is False they are single characters, spaces among them.
        tags: a tag number for each word, or None where nothing is labelled.
        space: whether a space stands between two words.
    """

    words: list[list[str]]
    tags: list[list[int]] | None = None
    space: bool = True

    def __post_init__(self) -> None:
        if self.tags is not None and [len(row) for row in self.words] != [len(row) for row in self.tags]:
            raise DataError("words and tags differ in number", got=f"{len(self.words)} and {len(self.tags)} sentences")

    def __len__(self) -> int:
        return len(self.words)

    @property
    def text(self) -> list[str]:
        """The sentences as plain text."""
        return [(" " if self.space else "").join(row) for row in self.words]

    def select(self, rows: Sequence[int] | np.ndarray) -> TokenExamples:
        """The sentences of these row numbers, in their order."""
        return TokenExamples(
            words=[self.words[row] for row in rows],
            tags=None if self.tags is None else [self.tags[row] for row in rows],
            space=self.space,
        )


@dataclass(frozen=True)
class SpanExamples:
    """Questions, the text that holds the answer, and the answers.

    Attributes:
        ids: names of n questions, all different.
        questions: n questions.
        contexts: the text that each is asked of.
        answers: for each question (answer, its first character in the context); empty where the context holds none.
    """

    ids: list[str]
    questions: list[str]
    contexts: list[str]
    answers: list[list[tuple[str, int]]]

    def __post_init__(self) -> None:
        counts = [len(part) for part in (self.ids, self.questions, self.contexts, self.answers)]
        if len(set(counts)) != 1:
            raise DataError("ids, questions, contexts and answers differ in number", got=counts)

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, rows: Sequence[int] | np.ndarray) -> SpanExamples:
        """The questions of these row numbers, in their order."""
        return SpanExamples(
            ids=[self.ids[row] for row in rows],
            questions=[self.questions[row] for row in rows],
            contexts=[self.contexts[row] for row in rows],
            answers=[self.answers[row] for row in rows],
        )
