"""Sentences to vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .checks import OnLong, checked_text, no_text
from .model import Model, Rows, Work, check_on_long
from .opened import Kind, Opened, Precision

Embeddings = NDArray[np.float32]


class Encoder(Model):
    """Sentences to vectors, on onnxruntime. Made by `distill.load`. May be used from several threads at once.

    Attributes:
        precision: which file runs.
        dim: width of the vectors.
        max_length: longest input in tokens; longer sentences are cut.
        prompts: the prompts that the model defines, by name.
        default_prompt: the text put before a sentence where no prompt is asked for; "" is none.
        truncated: how many sentences were cut so far.
        allow_nan: give vectors that are no numbers instead of an error.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("encoder",)
    noun = "sentence"

    def __init__(self, opened: Opened) -> None:
        super().__init__(opened)
        self.dim = self._width
        self.prompts = dict(self._text.prompts)
        self.default_prompt = self._text.default_prompt

    def encode(
        self,
        sentences: Sequence[str],
        batch_size: int | None = None,
        *,
        prompt: str | None = None,
        batch_tokens: int | None = None,
        on_long: OnLong = "cut",
    ) -> Embeddings:
        """Embed sentences. Batches are made of sentences of like length; the order of the rows is that of the input.

        A sentence's vector does not depend on the others of its batch: what batches change is rounding, in every file that this
        version writes.

        Args:
            sentences: any number of texts, empty ones too.
            batch_size: sentences per run of the model, exactly so many.
            prompt: a prompt's name in `prompts`, or literal text, put before every sentence; None takes the model's
                default prompt, "" none at all.
            batch_tokens: tokens per run at most, padding counted, in place of `batch_size`; 512 where neither is given.
            on_long: what becomes of a sentence of more than `max_length` tokens: it is cut and counted, or an error.

        Returns:
            float32 [len(sentences), dim].

        Raises:
            UserError: `sentences` is one string, or holds something that is no string; a size is below 1.
            DataError: a sentence is not valid Unicode, or too long where that is an error.
            ModelError: the model gives NaN, or cannot run.
        """
        texts = list(no_text(sentences, "sentences", "encode([text])"))
        result = np.empty((len(texts), self.dim), np.float32)
        start = 0
        for part in self.encode_stream(texts, batch_size, prompt=prompt, batch_tokens=batch_tokens, on_long=on_long):
            result[start : start + len(part)] = part
            start += len(part)
        return result

    def encode_stream(
        self,
        sentences: Iterable[str],
        batch_size: int | None = None,
        *,
        prompt: str | None = None,
        batch_tokens: int | None = None,
        on_long: OnLong = "cut",
    ) -> Iterator[Embeddings]:
        """Embed sentences as they come, in bounded memory: two windows of them at most.

        Args:
            sentences: any iterable of texts.
            batch_size, prompt, batch_tokens, on_long: as in `encode`.

        Yields:
            float32 [n, dim] in the order of the input, with n at most 2048, or `batch_size` * 64 where that is given.

        Raises:
            UserError, DataError, ModelError: as in `encode`, after the vectors of the windows before that sentence; so
                does whatever `sentences` raises.
        """
        size = self._sizes(batch_size, batch_tokens)
        check_on_long(on_long)
        prefix = self._text.resolve_prompt(prompt)
        items = no_text(sentences, "sentences", "encode([text])")

        def prepare(window: list[str], first: int) -> Work[Embeddings]:
            texts = [prefix + checked_text(text, f"sentence {first + row}") for row, text in enumerate(window)]
            encodings = self._text.tokenize(texts)
            self._count_cut(encodings, first, on_long)
            return Work(encodings, self._vectors, first=first)

        return self._stream(items, prepare, size, _length)

    def _vectors(self, rows: Rows) -> Embeddings:
        return np.stack([vector for (vector,) in rows])


def load(
    path: str | Path, precision: Precision = "auto", threads: int | None = None, providers: Sequence[str] | None = None
) -> Encoder:
    """A sentence encoder, as `distill.load` gives it.

    Raises:
        ModelError, UserError: as `distill.load`; a model of another kind.
    """
    return Encoder.load(path, precision, threads, providers)


def _length(text: object) -> int:
    return len(text) if isinstance(text, str) else 1
