"""Two texts at once: labels of pairs, scores of pairs, and texts ranked for a query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..errors import ModelError
from .checks import checked_pair
from .classifier import Classifier, Numbers, sigmoid
from .opened import Kind, Opened
from .text import Input

ACTIVATIONS = {"Sigmoid": True, "Identity": False}


class CrossPair(Classifier):
    """Pairs of texts to labels or scores: cross-encoders, siamese BiLSTM students, any classifier that was trained on pairs.

    `distill.load` gives one where config.json says that the model is for pairs; `CrossPair.load` takes any classifier.
    `predict`, `probabilities` and `logits` are those of `Classifier`, for pairs alone.

    Attributes:
        labels, problem, precision, max_length, truncated, allow_nan: as of `Classifier`.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("pairs", "classifier")
    noun = "pair"

    def __init__(self, opened: Opened) -> None:
        super().__init__(opened)
        self._sigmoid = _has_sigmoid(opened)

    def score(self, pairs: Sequence[tuple[str, str]], batch_size: int | None = None, **options: Any) -> Numbers:
        """One number a pair, float32 [n]: the model's value, through a sigmoid where its config names one.

        Args:
            pairs: any number of (text, text).
            batch_size, options: as in `predict`.

        Raises:
            ModelError: the model has several labels, so that no single number says how good a pair is. Others as in `predict`.
        """
        if self._width != 1:
            raise ModelError(
                "this model has several labels, no single score",
                where=str(self.folder),
                got=", ".join(self.labels),
                hint="predict(pairs) or probabilities(pairs)",
            )
        logits = self.logits(pairs, batch_size, **options)[:, 0]
        return sigmoid(logits).astype(np.float32) if self._sigmoid else logits

    def rank(self, query: str, texts: Sequence[str], top: int | None = None, **options: Any) -> list[tuple[int, float]]:
        """Texts by how well they go with a query: (number of the text, score), best first; equal scores in their order.

        Args:
            query: the first text of every pair.
            texts: the second ones.
            top: how many; None for all.
            options: as in `score`.

        Raises:
            UserError, DataError, ModelError: as in `score`.
        """
        scores = self.score([(query, text) for text in texts], **options)
        order = np.argsort(-scores, kind="stable")[:top]
        return [(int(row), float(scores[row])) for row in order]

    def _checked(self, item: object, where: str) -> Input:
        return checked_pair(item, where)


def _has_sigmoid(opened: Opened) -> bool:
    """Whether a score goes through a sigmoid: as a CrossEncoder's config says.

    Where that names no activation, as sentence-transformers does: yes for one output. No for what is no CrossEncoder.
    """
    config = opened.text.config
    inner = config.get("sentence_transformers")
    named = inner.get("activation_fn") if isinstance(inner, dict) else config.get("sbert_ce_default_activation_function")
    if named is None:
        return isinstance(inner, dict) and opened.width == 1
    name = str(named).rpartition(".")[2]
    if name not in ACTIVATIONS:
        raise ModelError(
            "this activation is not known",
            where=str(opened.folder / "config.json"),
            got=named,
            expected=" or ".join(ACTIVATIONS),
            hint="use logits(pairs) of distill.runtime.Classifier",
        )
    return ACTIVATIONS[name]
