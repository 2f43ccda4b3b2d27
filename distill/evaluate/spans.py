"""Answers out of start and end logits, and how good they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from ..runtime.spans import MAX_ANSWER_TOKENS, Span, best_spans, decode_spans, span_texts
from .answers import Unit, answer_f1, exact_match
from .bootstrap import ROUNDS, percentile_interval
from .resample import resampled_sums

if TYPE_CHECKING:
    from ..data.examples import SpanExamples

__all__ = ["MAX_ANSWER_TOKENS", "METRIC", "Span", "best_spans", "decode_spans", "evaluate_spans", "span_texts"]

METRIC = "f1"


def evaluate_spans(
    predictions: Sequence[str | None], examples: SpanExamples, *, unit: Unit = "word", rounds: int = ROUNDS, seed: int = 0
) -> dict[str, Any]:
    """F1 with a 95% interval, and exact match, both means over questions.

    Args:
        predictions: an answer for each question, "" for none. With a None among them every number of the result is nan.
        examples: the questions.
        unit: what the F1 counts: words as SQuAD, or characters as KorQuAD.
        rounds: bootstrap resamples of questions.
        seed: of the resampling.

    Returns:
        {"value": F1, "ci95", "n", "details": {"f1", "exact_match", "exact_match_low", "exact_match_high" and, where some
        questions have no answer, "f1_answerable", "f1_unanswerable"}, "predictions", "scores": float64 [n], the F1 of each
        question}; shares, not percent.

    Raises:
        DataError: there are no questions, or not as many predictions.
    """
    if not len(examples) or len(predictions) != len(examples):
        got = f"{len(predictions)} and {len(examples)}"
        raise DataError("an evaluation needs an answer to every question", got=got, expected="at least one, as many of both")
    gold = [[text for text, _ in answers] for answers in examples.answers]
    broken = any(answer is None for answer in predictions)
    exact = np.array(
        [np.nan if broken else exact_match(answer or "", right, unit) for answer, right in zip(predictions, gold, strict=True)]
    )
    shared = np.array(
        [np.nan if broken else answer_f1(answer or "", right, unit) for answer, right in zip(predictions, gold, strict=True)]
    )
    means = resampled_sums(np.stack([shared, exact], axis=1), rounds=rounds, seed=seed) / len(gold)
    low, high = percentile_interval(means[:, 1])
    details = {
        "f1": float(shared.mean()),
        "exact_match": float(exact.mean()),
        "exact_match_low": low,
        "exact_match_high": high,
    }
    answerable = np.array([bool(right) for right in gold])
    if not answerable.all():
        details["f1_unanswerable"] = float(shared[~answerable].mean())
        details["f1_answerable"] = float(shared[answerable].mean()) if answerable.any() else float("nan")
    return {
        "value": float(shared.mean()),
        "ci95": list(percentile_interval(means[:, 0])),
        "n": len(gold),
        "details": details,
        "predictions": list(predictions),
        "scores": shared,
    }
