"""Proof on long inputs: a window that a few sentences never fill is part of what an export promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

LONG = (300, 1000)
"""Tokens of the long inputs; less where the model reads less."""
SHORT = 128
"""A window up to here is filled by ordinary probe texts."""

Feed = Mapping[str, NDArray[np.int64]]
Says = Callable[[Feed], Sequence[NDArray[np.float32]]]
"""A model as a function of a batch: its outputs, [B, ...] each."""


def long_lengths(limit: int) -> list[int]:
    """How long the long inputs of a model are, in tokens; none for a model that reads no more than 128."""
    return sorted({min(length, limit) for length in LONG}) if limit > SHORT else []


def long_feeds(tokenizer: Any, names: Sequence[str], texts: Sequence[str], limit: int, *, pairs: bool = False) -> list[Feed]:
    """One batch a length: a text that fills it, and one of a third of it with padding behind.

    Args:
        tokenizer: fast.
        names: inputs of the graph.
        texts: put together for the long text.
        limit: longest input of the model, in tokens.
        pairs: the long text is a pair of texts.
    """
    words = " ".join(texts).split()
    found: list[Feed] = []
    for length in long_lengths(limit):
        text = " ".join(words[:length])  # a word has at least one token; much more text would be cut slowly, pairs above all
        rows = [
            tokenizer(text, text if pairs else None, truncation=True, max_length=most, return_attention_mask=True)
            for most in (length, max(8, length // 3))
        ]
        padded = tokenizer.pad([{name: row[name] for name in names} for row in rows], padding=True, return_tensors="np")
        found.append({name: padded[name].astype(np.int64) for name in names})
    return found


def long_differences(says: Says, reference: Says, feeds: Sequence[Feed], *, by_token: bool) -> dict[str, float | None]:
    """Largest absolute difference of two models on each long batch: tokens -> difference, None where a number is not finite.

    Args:
        says, reference: the two models.
        feeds: see `long_feeds`.
        by_token: whether outputs are [B, L, ...]; those of padding do not count.
    """
    found: dict[str, float | None] = {}
    for feed in feeds:
        real = feed["attention_mask"] == 1 if by_token else slice(None)
        parts = [np.abs(a[real] - b[real]).max() for a, b in zip(says(feed), reference(feed), strict=True)]
        worst = float(max(parts))
        found[str(feed["input_ids"].shape[1])] = worst if np.isfinite(worst) else None
    return found


def long_passed(found: Mapping[str, float | None], limit: float) -> bool:
    """Whether every difference is a number up to `limit`."""
    return all(value is not None and value <= limit for value in found.values())
