"""Answers out of start and end logits. Evaluations and the runtime share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from tokenizers import Encoding

from ..errors import DataError

MAX_ANSWER_TOKENS = 30
QUESTION_SHARE = 0.5
"""A question takes this share of a window at most."""


class Windows(Protocol):
    """Questions with their context, as windows of tokens.

    Attributes:
        lengths: tokens of each window.
        example_rows: the question that each window belongs to, in order.
        cls_positions: the token that stands for no answer.
    """

    lengths: np.ndarray
    example_rows: np.ndarray
    cls_positions: np.ndarray

    def __len__(self) -> int: ...

    def offsets(self, index: int) -> np.ndarray:
        """int32 [tokens, 2]: the characters of the context that each token covers, -1 where it is none of the context's."""
        ...


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
    features: Windows,
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


def context_offsets(encoding: Encoding) -> np.ndarray:
    """int32 [tokens, 2]: characters of the second text that each token covers, -1 for other tokens."""
    inside = np.array([sequence == 1 for sequence in encoding.sequence_ids], dtype=bool)
    offsets = np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2)
    return np.where(inside[:, None], offsets, -1).astype(np.int32)


def question_limit(max_length: int) -> int:
    """Tokens of a question at most, in a window of `max_length`."""
    return int(max_length * QUESTION_SHARE)
