"""Answers out of start and end logits, and how good they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from .answers import Unit, answer_f1, exact_match
from .bootstrap import ROUNDS, percentile_interval
from .resample import resampled_sums

if TYPE_CHECKING:
    from ..data.examples import SpanExamples
    from ..data.span_features import SpanFeatures

METRIC = "f1"
MAX_ANSWER_TOKENS = 30


@dataclass(frozen=True)
class Span:
    """A candidate answer.

    Attributes:
        score: start logit plus end logit; nan where the model gave no numbers.
        first, end: its characters in the context, the end not counted; both -1 for "no answer".
    """

    score: float
    first: int
    end: int


def best_spans(
    start_logits: np.ndarray,
    end_logits: np.ndarray,
    offsets: np.ndarray,
    *,
    max_tokens: int = MAX_ANSWER_TOKENS,
    n_best: int = 20,
) -> list[Span]:
    """The spans of one window with the highest sums of start and end logit, best first.

    Args:
        start_logits, end_logits: [tokens]; those of padding behind them are passed over.
        offsets: int [tokens, 2], characters of each token; -1 where it is none of the context's.
        max_tokens: longest answer.
        n_best: how many.
    """
    inside = np.flatnonzero(offsets[:, 0] >= 0)
    if len(inside) == 0:
        return []
    starts = start_logits[inside].astype(np.float64)
    ends = np.concatenate([end_logits[inside].astype(np.float64), np.full(max_tokens - 1, -np.inf)])
    sums = starts[:, None] + np.lib.stride_tricks.sliding_window_view(ends, max_tokens)  # [first token, tokens after it]
    flat = sums.reshape(-1)  # -inf where the span would end behind the context
    count = min(n_best, int((flat > -np.inf).sum()))
    if count == 0:
        return []
    chosen = np.argpartition(-flat, count - 1)[:count]
    chosen = chosen[np.lexsort((chosen, -flat[chosen]))]
    return [
        Span(float(flat[place]), int(offsets[inside[first], 0]), int(offsets[inside[first + more], 1]))
        for place, first, more in ((place, *divmod(int(place), max_tokens)) for place in chosen)
    ]


def decode_spans(
    features: SpanFeatures,
    start_logits: Sequence[np.ndarray],
    end_logits: Sequence[np.ndarray],
    *,
    no_answer: bool,
    threshold: float = 0.0,
    max_tokens: int = MAX_ANSWER_TOKENS,
    n_best: int = 20,
) -> list[list[Span]]:
    """The best spans of each question over all its windows.

    With `no_answer`, the score of none is the lowest sum of the logits at [CLS] over the windows; it is the answer where it
    is above the best span's by more than `threshold`.

    Args:
        features: the windows, those of a question next to each other.
        start_logits, end_logits: for each window [tokens or more], or one array [windows, tokens or more].
        no_answer: whether there may be none.
        threshold: see above.
        max_tokens: longest answer.
        n_best: spans per question at most.

    Returns:
        For each question its spans, best first; one with the score nan where a logit is no number; empty where the window
        holds nothing of the context.

    Raises:
        DataError: logits and windows differ in number.

    Reference:
        Devlin et al., "BERT", 2019, sections 4.2 and 4.3.
    """
    if not len(features) == len(start_logits) == len(end_logits):
        got = f"{len(start_logits)}, {len(end_logits)} and {len(features)}"
        raise DataError("start logits, end logits and windows differ in number", got=got)
    questions = int(features.example_rows.max(initial=-1)) + 1
    found: list[list[Span]] = [[] for _ in range(questions)]
    none = np.full(questions, np.inf)
    broken: set[int] = set()
    for window, row in enumerate(features.example_rows.tolist()):
        length, cls = int(features.lengths[window]), int(features.cls_positions[window])
        start, end = np.asarray(start_logits[window])[:length], np.asarray(end_logits[window])[:length]
        if not (np.isfinite(start).all() and np.isfinite(end).all()):
            broken.add(row)
            continue
        found[row] += best_spans(start, end, features.offsets(window), max_tokens=max_tokens, n_best=n_best)
        none[row] = min(none[row], float(start[cls]) + float(end[cls]))
    ranked = []
    for row, spans in enumerate(found):
        best = sorted(dict.fromkeys(spans), key=lambda span: -span.score)[:n_best]
        if no_answer and np.isfinite(none[row]):
            empty = Span(float(none[row]), -1, -1)
            place = 0 if not best or empty.score - best[0].score > threshold else 1
            best.insert(place, empty)
        ranked.append([Span(float("nan"), -1, -1)] if row in broken else best)
    return ranked


def span_texts(spans: Sequence[Sequence[Span]], contexts: Sequence[str]) -> list[str | None]:
    """The best span of each question as text, without white space at its ends.

    "" is no answer, None is a question for which the model gave no numbers.
    """
    texts: list[str | None] = []
    for found, context in zip(spans, contexts, strict=True):
        if found and np.isnan(found[0].score):
            texts.append(None)
        else:
            texts.append(context[found[0].first : found[0].end].strip() if found and found[0].first >= 0 else "")
    return texts


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
