"""What neighbours and padding change in what a task model says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .decisions import Outputs, correlation, cosines
from .heads import SPANS
from .vectors import PADDED

ROWS = 64
"""How many rows are looked at."""


def head_invariance(
    session: Any,
    tokenizer: Any,
    features: Sequence[Mapping[str, list[int]]],
    kept: Sequence[NDArray[np.bool_]],
    task: str,
    alone: Sequence[Outputs],
    positions: int | None = None,
) -> dict[str, float] | None:
    """The lowest cosine between a row's probabilities alone and in company or padded; of a regression the correlation.

    Args:
        session: of an exported task model.
        tokenizer: its tokenizer; it pads.
        features: rows as lists of token ids, without padding.
        kept: which tokens of each row count, where the task is by token.
        task: classification, multilabel, regression, tokens or spans.
        alone: what the session says of each row alone.
        positions: how many tokens the model has positions for, where that is limited.

    Returns:
        {"batch_8", "batch_32", "padded_128"}; None where a number is none.
    """
    rows, found = features[:ROWS], {}
    width = min(PADDED, int(tokenizer.model_max_length), positions or PADDED)
    for name, size, limit in (("batch_8", 8, 0), ("batch_32", 32, 0), (f"padded_{PADDED}", 1, width)):
        outputs = [out for at in range(0, len(rows), size) for out in _run(session, tokenizer, rows[at : at + size], limit)]
        found[name] = _least(outputs, alone[: len(rows)], kept, task)
    return None if any(value is None or not np.isfinite(value) for value in found.values()) else found  # type: ignore[return-value]


def _run(session: Any, tokenizer: Any, rows: Sequence[Mapping[str, list[int]]], width: int) -> list[Outputs]:
    """Outputs of rows in one batch of at least so many tokens, without padding."""
    more = {"padding": "max_length", "max_length": width} if width else {"padding": True}
    padded = tokenizer.pad([dict(row) for row in rows], return_tensors="np", **more)
    feeds = {node.name: padded[node.name].astype(np.int64) for node in session.get_inputs()}
    names = [node.name for node in session.get_outputs() if node.name in ("logits", *SPANS)]
    results = session.run(names, feeds)
    found = []
    for number, mask in enumerate(feeds["attention_mask"]):
        part = [result[number] for result in results]
        real = mask == 1
        found.append(np.stack([row[real] for row in part]) if len(part) == 2 else part[0][real] if part[0].ndim == 2 else part[0])
    return found


def _least(found: Sequence[Outputs], wanted: Sequence[Outputs], kept: Sequence[NDArray[np.bool_]], task: str) -> float | None:
    if task in ("tokens", "spans"):
        axis = 0 if task == "tokens" else 1
        found, wanted = (
            [row.compress(mask, axis=axis) for row, mask in zip(rows, kept, strict=False) if mask.any()]
            for rows in (found, wanted)
        )
    if not found:
        return None
    near = cosines(found, wanted, task)
    return correlation(found, wanted) if near is None else float(near.min())
