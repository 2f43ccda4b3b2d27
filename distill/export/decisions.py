"""What a task model decides from its outputs, and how far two models decide alike. Padding is cut off before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..evaluate.agreement import row_cosines

Outputs = NDArray[np.float32]
"""Of one row: logits [C]; of tokens [L, C]; of spans start and end logits, [2, L]."""


def agreement(found: Sequence[Outputs], wanted: Sequence[Outputs], task: str) -> float:
    """Share of equal decisions, each counted once: labels, yes or no per label, labels per token, best spans."""
    pairs = [(decide(a, task), decide(b, task)) for a, b in zip(found, wanted, strict=True)]
    same = np.concatenate([np.atleast_1d(a == b) for a, b in pairs])
    return float(same.mean())


def decide(outputs: Outputs, task: str) -> NDArray[np.int64]:
    """The decisions in one row's outputs, as whole numbers.

    Args:
        outputs: see `Outputs`.
        task: classification gives the label; multilabel 0 or 1 per label (probability of a half and above); tokens the label of
            each token; spans start * L + end of the best span.
    """
    if task == "multilabel":
        return (outputs >= 0).astype(np.int64)
    if task == "spans":
        start, end = best_span(outputs)
        return np.array([start * outputs.shape[1] + end])
    return np.atleast_1d(outputs.argmax(axis=-1))


def best_span(outputs: Outputs) -> tuple[int, int]:
    """First and last token of the span with the highest start + end, [2, L].

    The first token alone stands for "no answer"; no other span begins with it.
    """
    start, end = outputs.astype(np.float64)
    if len(start) == 1:
        return 0, 0
    last = np.maximum.accumulate(end[:0:-1])[::-1]  # the best end from here on
    first = 1 + int(np.argmax(start[1:] + last))
    if start[0] + end[0] >= start[first] + last[first - 1]:
        return 0, 0
    return first, first + int(np.argmax(end[first:]))


def correlation(found: Sequence[Outputs], wanted: Sequence[Outputs]) -> float | None:
    """Pearson correlation of two models' values, the lowest of all outputs; None where one model's are all alike."""
    ours, theirs = (np.stack([np.atleast_1d(row) for row in rows]).astype(np.float64) for rows in (found, wanted))
    lowest = 1.0
    for a, b in zip(ours.T, theirs.T, strict=True):
        a, b = a - a.mean(), b - b.mean()
        size = np.linalg.norm(a) * np.linalg.norm(b)
        if size == 0:
            return None
        lowest = min(lowest, float(a @ b / size))
    return lowest


def cosines(found: Sequence[Outputs], wanted: Sequence[Outputs], task: str) -> NDArray[np.float64] | None:
    """Cosine of the two models' probabilities, one per row (of tokens: per token); None for a regression."""
    if task == "regression":
        return None
    per_row = [row_cosines(probabilities(a, task), probabilities(b, task)) for a, b in zip(found, wanted, strict=True)]
    return np.concatenate(per_row).astype(np.float64)


def probabilities(outputs: Outputs, task: str) -> NDArray[np.float64]:
    """Rows of probabilities: softmax over labels or (spans) over tokens, sigmoid of several labels."""
    logits = np.atleast_2d(outputs.astype(np.float64))
    if task == "multilabel":
        return (1 + np.tanh(logits / 2)) / 2  # the sigmoid, which cannot overflow in this form
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
