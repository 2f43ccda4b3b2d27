"""Entities in tagged sentences: precision, recall and F1 of whole entities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..errors import DataError
from ..runtime.tags import Entity, entities
from .bootstrap import ROUNDS, percentile_interval
from .resample import f1, resampled_sums

__all__ = ["METRIC", "Entity", "entities", "evaluate_tokens"]

METRIC = "f1"


def evaluate_tokens(
    predicted: Sequence[Sequence[int]],
    gold: Sequence[Sequence[int]],
    names: Sequence[str],
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> dict[str, Any]:
    """Micro F1 of entities with a 95% interval; precision and recall; the same of each type; accuracy of tags.

    An entity is right if its type and both of its ends are.

    Args:
        predicted, gold: a tag number for each word of n sentences.
        names: the tags.
        rounds: bootstrap resamples of sentences.
        seed: of the resampling.

    Returns:
        {"value": micro F1, "ci95", "n": sentences, "details": {"precision", "recall", "f1", "macro_f1", "token_accuracy",
        "entities", "per_type": {type: {"precision", "recall", "f1", "support"}}}, "predictions": the tags by name,
        "counts": int64 [n, 3], entities that are right, found and there,
        "scores": float64 [n], the F1 of each sentence, 1 where there is no entity and none is found}. Where neither has an
        entity at all, the F1 is 0.

    Raises:
        DataError: there are no sentences, or not as many tags as words.
    """
    if not gold or [len(row) for row in predicted] != [len(row) for row in gold]:
        raise DataError(
            "an evaluation needs a tag for every word",
            got=f"{len(predicted)} and {len(gold)} sentences",
            expected="at least one, of as many tags",
        )
    guesses = [[names[tag] for tag in row] for row in predicted]
    found = [entities(row) for row in guesses]
    there = [entities([names[tag] for tag in row]) for row in gold]
    counts = np.array([(len(a & b), len(a), len(b)) for a, b in zip(found, there, strict=True)], dtype=np.float64)
    true, guessed, wanted = counts.sum(0)
    per_type = _per_type(found, there)
    right = sum(a == b for row, other in zip(predicted, gold, strict=True) for a, b in zip(row, other, strict=True))
    value = float(f1(true, guessed, wanted))
    sums = resampled_sums(counts, rounds=rounds, seed=seed)
    return {
        "value": value,
        "ci95": list(percentile_interval(f1(sums[:, 0], sums[:, 1], sums[:, 2]))),
        "n": len(gold),
        "details": {
            "precision": _share(true, guessed),
            "recall": _share(true, wanted),
            "f1": value,
            "macro_f1": float(np.mean([part["f1"] for part in per_type.values()])) if per_type else 0.0,
            "token_accuracy": right / max(1, sum(map(len, gold))),
            "entities": int(wanted),
            "per_type": per_type,
        },
        "predictions": guesses,
        "counts": counts.astype(np.int64),
        "scores": np.where(counts[:, 1:].sum(1) == 0, 1.0, f1(counts[:, 0], counts[:, 1], counts[:, 2])),
    }


def _per_type(found: Sequence[set[Entity]], there: Sequence[set[Entity]]) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 and support of each type that occurs or is guessed."""
    true, guessed, wanted = (_kinds(parts) for parts in ((a & b for a, b in zip(found, there, strict=True)), found, there))
    return {
        kind: {
            "precision": _share(true[kind], guessed[kind]),
            "recall": _share(true[kind], wanted[kind]),
            "f1": _share(2 * true[kind], guessed[kind] + wanted[kind]),
            "support": wanted[kind],
        }
        for kind in sorted({*guessed, *wanted})
    }


def _kinds(sentences: Iterable[set[Entity]]) -> Counter[str]:
    return Counter(entity[0] for sentence in sentences for entity in sentence)


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0
