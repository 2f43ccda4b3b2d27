"""One labelled set, ready to judge any model: logits in, metric and predictions out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..data.examples import LabelSet, SpanExamples, TextExamples, TokenExamples
from ..data.features import TaskCollator, TextFeatures, takes_token_types
from ..data.span_features import SpanFeatures
from ..data.token_features import TokenFeatures
from .bootstrap import ROUNDS
from .classification import evaluate_classification, evaluate_multilabel, evaluate_regression
from .ranks import spearman
from .spans import decode_spans, evaluate_spans, span_texts
from .tokens import evaluate_tokens

Examples = TextExamples | TokenExamples | SpanExamples

METRICS = {"classification": "accuracy", "multilabel": "micro_f1", "regression": "spearman", "tokens": "f1", "spans": "f1"}
"""Task -> the name of the metric that is `value`."""


def make_features(
    task: str, examples: Examples, tokenizer: Any, max_length: int, *, labels: LabelSet, stride: int = 64
) -> TextFeatures | TokenFeatures | SpanFeatures:
    """Examples as token ids, for the model of this tokenizer.

    Args:
        task: of the recipe.
        examples: of that task.
        tokenizer: fast.
        max_length: longest input in tokens.
        labels: names of the labels; of tags where the task is tokens.
        stride: tokens that neighbouring windows share, where the task is spans.
    """
    if isinstance(examples, TokenExamples):
        return TokenFeatures(examples, tokenizer, max_length, labels)
    if isinstance(examples, SpanExamples):
        return SpanFeatures(examples, tokenizer, max_length, stride)
    return TextFeatures(examples, tokenizer, max_length)


def make_collator(task: str, tokenizer: Any) -> TaskCollator:
    """The collator for a tokenizer's features."""
    return TaskCollator(tokenizer.pad_token_id, takes_token_types(tokenizer), task)  # type: ignore[arg-type]


class Scorer:
    """Judges the logits of one tokenised, labelled set.

    Args:
        task: of the recipe.
        examples: every one with its label.
        features: the same, tokenised.
        labels: names of the labels.
        unit: what the F1 of answers counts.

    Attributes:
        features: as given.
    """

    def __init__(self, task: str, examples: Examples, features: Any, labels: LabelSet, unit: str = "word") -> None:
        self.task, self.examples, self.features, self.labels, self.unit = task, examples, features, labels, unit
        self.no_answer = isinstance(examples, SpanExamples) and any(not answers for answers in examples.answers)

    def score(self, outputs: Sequence[np.ndarray], *, rounds: int = ROUNDS) -> dict[str, Any]:
        """Metric, 95% interval, details, and per example a prediction and a score.

        Args:
            outputs: logits of each row of `features`, without padding.
            rounds: bootstrap resamples.

        Returns:
            {"value", "ci95", "n", "details", "predictions", "scores"}.
        """
        guesses = self.guess(outputs)
        if self.task == "tokens":
            assert isinstance(self.examples, TokenExamples)
            return evaluate_tokens(guesses, self.examples.tags or [], self.labels.names, rounds=rounds)
        if self.task == "spans":
            assert isinstance(self.examples, SpanExamples)
            return evaluate_spans(guesses, self.examples, unit=self.unit, rounds=rounds)  # type: ignore[arg-type]
        assert isinstance(self.examples, TextExamples)
        logits, gold = np.stack(outputs), self.examples.labels
        assert gold is not None, "an evaluation set is labelled"
        if self.task == "regression":
            return evaluate_regression(logits, gold, rounds=rounds)
        evaluate = evaluate_classification if self.task == "classification" else evaluate_multilabel
        return evaluate(logits, gold, self.labels.names, rounds=rounds)

    def guess(self, outputs: Sequence[np.ndarray]) -> list[Any]:
        """What a model says of each example: a label's number, decisions, a value, a tag a word, or an answer's text."""
        if self.task == "tokens":
            return [self.features.to_words(row, np.argmax(logits, axis=-1)) for row, logits in enumerate(outputs)]
        if self.task == "spans":
            starts, ends = ([logits[side] for logits in outputs] for side in (0, 1))
            assert isinstance(self.examples, SpanExamples)
            return span_texts(decode_spans(self.features, starts, ends, no_answer=self.no_answer), self.examples.contexts)
        if self.task == "regression":
            return [float(logits[0]) for logits in outputs]
        if self.task == "multilabel":
            return [tuple((logits >= 0).tolist()) for logits in outputs]
        return [int(np.argmax(logits)) for logits in outputs]


def agreement(task: str, ours: Sequence[Any], theirs: Sequence[Any]) -> dict[str, Any]:
    """How far two models say the same: the share of equal predictions (of words, for tags), or Spearman's correlation.

    Args:
        task: of the recipe.
        ours, theirs: what `Scorer.guess` gives of each model on the same examples.

    Returns:
        {"value", "ci95": None, "n", "details": {"agreement"}}.
    """
    left, right = list(ours), list(theirs)
    if task == "regression":
        value, count = spearman(np.array(left), np.array(right)), len(left)
    else:
        if task == "tokens":
            left, right = [tag for row in left for tag in row], [tag for row in right for tag in row]
        same = np.array([a == b for a, b in zip(left, right, strict=True)])
        value, count = float(same.mean()), len(same)
    return {"value": value, "ci95": None, "n": count, "details": {"agreement": value}}
