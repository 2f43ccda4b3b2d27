"""What rows a sentence teacher can be trained on, and for which objectives. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence

NLI_LABELS = ("entailment", "neutral", "contradiction")

SCORED = ("sentence1", "sentence2", "score")
LABELLED = ("sentence1", "sentence2", "label")
TRIPLET = ("anchor", "positive", "negative")
PAIR = ("anchor", "positive")
TEXTS = ("text",)

ACCEPTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "sts_cosine": (SCORED,),
    "sts_cosent": (SCORED,),
    "nli_softmax": (LABELLED,),
    "nli_ranking": (LABELLED, TRIPLET, PAIR),
    "triplet": (LABELLED, TRIPLET),
    "simcse": (TEXTS, SCORED, LABELLED, TRIPLET, PAIR),
    "simcse_nli": (LABELLED, TRIPLET),
}
"""Objective -> the columns of rows it can be trained on: scores from 0 to 1, labels by name."""


def fitting(columns: Sequence[str]) -> list[str]:
    """The objectives that rows with these columns can train."""
    return [name for name, kinds in ACCEPTS.items() if tuple(columns) in kinds]
