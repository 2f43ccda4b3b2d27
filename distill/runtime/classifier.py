"""Texts or pairs of texts to labels, or to values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError, UserError
from .checks import OnLong, checked_pair, checked_text, no_text
from .model import Model, Rows, Work, check_on_long
from .opened import Kind, Opened
from .text import Input

Numbers = NDArray[np.float32]
Text = str | tuple[str, str]
PROBLEMS = ("single_label_classification", "multi_label_classification", "regression")


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a classifier says of one text.

    Attributes:
        label: the most probable label; None for a regression, and for several labels none of which is chosen.
        labels: every label that is chosen, in the model's order: that one, or with several labels all those of at least
            the threshold.
        score: the probability of `label` (of the most probable one where none is chosen); the value of a regression.
        probabilities: label -> its probability; empty for a regression.
    """

    label: str | None
    labels: tuple[str, ...]
    score: float
    probabilities: Mapping[str, float]


class Classifier(Model):
    """Texts, or pairs of texts, to labels. Made by `distill.load`. May be used from several threads at once.

    Attributes:
        labels: their names, by the model's order of outputs; LABEL_0, LABEL_1, ... where config.json names none.
        problem: single_label_classification, multi_label_classification or regression, as in config.json.
        precision, max_length, truncated, allow_nan: as of every model.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("classifier", "pairs")

    def __init__(self, opened: Opened) -> None:
        super().__init__(opened)
        self.labels = label_names(opened)
        self.problem = _problem(opened)

    def predict(
        self,
        texts: Sequence[Text],
        batch_size: int | None = None,
        *,
        threshold: float = 0.5,
        batch_tokens: int | None = None,
        on_long: OnLong = "cut",
    ) -> list[Prediction]:
        """Classify texts or pairs of texts.

        Args:
            texts: any number of texts, or of pairs (text, text); of a pair that is too long the longer text is cut first.
            batch_size, batch_tokens, on_long: as in `Encoder.encode`.
            threshold: the probability from which one of several labels is chosen.

        Returns:
            One prediction a text.

        Raises:
            UserError, DataError, ModelError: as in `Encoder.encode`; the threshold is not between 0 and 1.
        """
        _check_threshold(threshold)
        logits = self.logits(texts, batch_size, batch_tokens=batch_tokens, on_long=on_long)
        return self._predictions(logits, threshold)

    def predict_stream(
        self,
        texts: Iterable[Text],
        batch_size: int | None = None,
        *,
        threshold: float = 0.5,
        batch_tokens: int | None = None,
        on_long: OnLong = "cut",
    ) -> Iterator[list[Prediction]]:
        """Classify texts or pairs as they come, in bounded memory.

        Yields:
            Lists of predictions, in the order of the input: at most 2048, or `batch_size` * 64.
        """
        _check_threshold(threshold)
        parts = self.logits_stream(texts, batch_size, batch_tokens=batch_tokens, on_long=on_long)
        return (self._predictions(logits, threshold) for logits in parts)

    def probabilities(self, texts: Sequence[Text], batch_size: int | None = None, **options: Any) -> Numbers:
        """Softmax of each text's logits, or the sigmoid of each where labels are several: float32 [n, labels].

        Raises:
            UserError: the model is a regression. Others as in `predict`.
        """
        if self.problem == "regression":
            raise UserError("a regression has values, no probabilities", where=str(self.folder), hint="logits(texts)")
        return self._probabilities(self.logits(texts, batch_size, **options)).astype(np.float32)

    def logits(
        self, texts: Sequence[Text], batch_size: int | None = None, *, batch_tokens: int | None = None, on_long: OnLong = "cut"
    ) -> Numbers:
        """The model's outputs as they are, float32 [n, labels]; arguments and errors as in `predict`."""
        items = list(no_text(texts, "texts", "predict([text])"))
        parts = list(self.logits_stream(items, batch_size, batch_tokens=batch_tokens, on_long=on_long))
        return np.concatenate(parts) if parts else np.empty((0, self._width), np.float32)

    def logits_stream(
        self, texts: Iterable[Text], batch_size: int | None = None, *, batch_tokens: int | None = None, on_long: OnLong = "cut"
    ) -> Iterator[Numbers]:
        """`logits` of texts as they come, in bounded memory: float32 [n, labels] each."""
        size = self._sizes(batch_size, batch_tokens)
        check_on_long(on_long)
        items = no_text(texts, "texts", "predict([text])")

        def prepare(window: list[Any], first: int) -> Work[Numbers]:
            inputs = [self._checked(item, f"{self.noun} {first + row}") for row, item in enumerate(window)]
            encodings = self._text.tokenize(inputs)
            self._count_cut(encodings, first, on_long)
            return Work(encodings, _stacked, first=first)

        return self._stream(items, prepare, size, _length)

    def _checked(self, item: object, where: str) -> Input:
        return checked_pair(item, where) if isinstance(item, (tuple, list)) else checked_text(item, where)

    def _predictions(self, logits: Numbers, threshold: float) -> list[Prediction]:
        if self.problem == "regression":
            return [Prediction(None, (), float(row[0]), {}) for row in logits]
        several = self.problem == "multi_label_classification"
        found = self._probabilities(logits)
        # decided by logits, as evaluations do: equal probabilities of unequal logits decide nothing
        chosen = logits >= np.log(threshold) - np.log1p(-threshold) if several else None
        made = []
        for number, (row, best) in enumerate(zip(found.tolist(), logits.argmax(1).tolist(), strict=True)):
            names = (self.labels[best],) if chosen is None else tuple(self.labels[i] for i in np.flatnonzero(chosen[number]))
            label = self.labels[best] if names else None
            made.append(Prediction(label, names, row[best], dict(zip(self.labels, row, strict=True))))
        return made

    def _probabilities(self, logits: Numbers) -> NDArray[np.float64]:
        return sigmoid(logits) if self.problem == "multi_label_classification" else softmax(logits)


def softmax(logits: Numbers) -> NDArray[np.float64]:
    """Probabilities over the last axis."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def sigmoid(logits: Numbers) -> NDArray[np.float64]:
    """A probability a number, in a form that cannot overflow."""
    return np.asarray((1 + np.tanh(logits.astype(np.float64) / 2)) / 2)


def label_names(opened: Opened) -> tuple[str, ...]:
    """The labels of config.json in the order of the model's outputs.

    Raises:
        ModelError: they do not fit the outputs.
    """
    where, width = str(opened.folder / "config.json"), opened.width
    names = opened.text.config.get("id2label")
    if names is None:  # transformers writes no names where nobody gave any
        return tuple(f"LABEL_{number}" for number in range(width))
    wanted = [str(number) for number in range(width)]
    fits = isinstance(names, dict) and set(names) == set(wanted) and all(isinstance(name, str) for name in names.values())
    if not fits:
        raise ModelError(
            "the label names do not fit the model's outputs",
            where=where,
            got=f"id2label: {names}",
            expected=f"a name for each of 0 to {width - 1}",
            hint="name every output in id2label, or export the model again",
        )
    if len(set(names.values())) < width:
        raise ModelError("a label is named twice", where=where, got=f"id2label: {names}", expected="every name once")
    return tuple(names[number] for number in wanted)


def _problem(opened: Opened) -> str:
    """What the outputs mean: what config.json says, else transformers' own rule."""
    found = opened.text.config.get("problem_type")
    if found is None:
        return PROBLEMS[2] if opened.width == 1 else PROBLEMS[0]
    if found not in PROBLEMS or (found == PROBLEMS[2] and opened.width != 1):
        raise ModelError(
            "this problem_type does not fit the model",
            where=str(opened.folder / "config.json"),
            got=f"{found}, {opened.width} outputs",
            expected=f"{', '.join(PROBLEMS)} (of one output)",
        )
    return str(found)


def _check_threshold(threshold: float) -> None:
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 < threshold < 1:
        raise UserError("a threshold lies between 0 and 1", where="threshold", got=repr(threshold))


def _stacked(rows: Rows) -> Numbers:
    return np.stack([logits for (logits,) in rows])


def _length(item: Any) -> int:
    """Characters of a text or pair, whatever else is given counts as one."""
    if isinstance(item, (tuple, list)):
        return sum(len(part) for part in item if isinstance(part, str))
    return len(item) if isinstance(item, str) else 1
