"""Translation retrieval: does each text find its translation among all translations, and each translation its text?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DataError
from .agreement import row_cosines, unit
from .bootstrap import ROUNDS, percentile_interval
from .resample import resampled_sums

METRIC = "translation_accuracy"
TIE = 1e-6
"""Cosines that differ by no more are equal: float32 products of the same vectors differ by about this much."""
BLOCK_ENTRIES = 1 << 24
"""Similarities held in memory at a time, 64 MiB."""


def evaluate_translation(
    sources: np.ndarray,
    translations: np.ndarray,
    keys: tuple[Sequence[str], Sequence[str]] | None = None,
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> dict[str, Any]:
    """Accuracy and mean reciprocal rank in both directions, by cosine.

    Right answers: text i may find any row whose text, up to case, spaces and punctuation, is the translation of i or of
    a text that is the same as i. So where "Thank you." stands twice, with two translations, both are right for both.

    Ties: candidates whose cosine lies within `TIE` of the best right one are in no order. The hit of a text is the
    probability that a right answer comes first when these are shuffled, its reciprocal rank the mean over all shuffles. So
    the order of the rows decides nothing, and a model that gives every text the same vector finds 1 in n.

    Memory: `BLOCK_ENTRIES` similarities at a time, never n x n.

    Args:
        sources, translations: embeddings, [n, d] each; row i of one translates row i of the other.
        keys: for both sides, what is equal where two texts are the same; None: all texts differ.
        rounds: bootstrap resamples of rows.
        seed: of the resampling.

    Returns:
        {"value": mean accuracy of both directions, "ci95", "n", "details": {"accuracy_to_translation",
        "accuracy_to_source", "mrr_to_translation", "mrr_to_source", "mean_cosine"}, "rows": {"cosine": [n] of each text
        and its translation, and for both directions "hit_..." and "reciprocal_rank_..." [n], "nearest_..." int64 [n], the
        place of a nearest candidate}}. Where a vector is no number, every number is nan, and nearest is -1.

    Raises:
        DataError: the shapes or the keys do not fit, or there are fewer than two rows.
    """
    n = _check(sources, translations, keys)
    first, second = unit(sources), unit(translations)
    broken = not (np.isfinite(first).all() and np.isfinite(second).all())
    groups = [_groups(side, n) for side in (keys or (None, None))]
    rows: dict[str, np.ndarray] = {"cosine": row_cosines(sources, translations).astype(np.float64)}
    sides, numbers = (first, second), (groups[0], groups[1])
    for name, ours, theirs in (("translation", 0, 1), ("source", 1, 0)):
        found = _undefined(n) if broken else _search(sides[ours], sides[theirs], numbers[ours], numbers[theirs])
        rows |= {f"{part}_to_{name}": values for part, values in zip(("hit", "reciprocal_rank", "nearest"), found, strict=True)}
    hits = (rows["hit_to_translation"] + rows["hit_to_source"]) / 2
    details = {
        "accuracy_to_translation": float(rows["hit_to_translation"].mean()),
        "accuracy_to_source": float(rows["hit_to_source"].mean()),
        "mrr_to_translation": float(rows["reciprocal_rank_to_translation"].mean()),
        "mrr_to_source": float(rows["reciprocal_rank_to_source"].mean()),
        "mean_cosine": float("nan") if broken else float(rows["cosine"].mean()),
    }
    resampled = resampled_sums(hits[:, None], rounds=rounds, seed=seed)[:, 0] / n
    return {"value": float(hits.mean()), "ci95": list(percentile_interval(resampled)), "n": n, "details": details, "rows": rows}


def translation_accuracy(
    sources: np.ndarray, translations: np.ndarray, keys: tuple[Sequence[str], Sequence[str]] | None = None
) -> float:
    """The mean accuracy of both directions alone, for dev sets between steps; arguments as in `evaluate_translation`."""
    return float(evaluate_translation(sources, translations, keys, rounds=1)["value"])


def _check(sources: np.ndarray, translations: np.ndarray, keys: tuple[Sequence[str], Sequence[str]] | None) -> int:
    n = len(sources)
    if sources.shape != translations.shape or sources.ndim != 2 or n < 2:
        raise DataError(
            "texts and translations need as many vectors of one width",
            got=f"{sources.shape} and {translations.shape}",
            expected="[n, d] twice, two rows or more",
        )
    if keys is not None and [len(side) for side in keys] != [n, n]:
        raise DataError("a key for each text is needed", got=f"{len(keys[0])} and {len(keys[1])}", expected=f"{n} twice")
    return n


def _groups(keys: Sequence[str] | None, n: int) -> np.ndarray:
    """The number of each row's text, equal where texts are the same, int64 [n]."""
    if keys is None:
        return np.arange(n, dtype=np.int64)
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def _undefined(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.full(n, np.nan), np.full(n, np.nan), np.full(n, -1, dtype=np.int64)


def _search(
    queries: np.ndarray, candidates: np.ndarray, own: np.ndarray, theirs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hit, reciprocal rank and nearest candidate of each query, [n] each.

    Args:
        queries, candidates: unit rows, [n, d].
        own, theirs: number of each query's and each candidate's text.
    """
    n = len(queries)
    right = _right_answers(own, theirs)
    hits, reciprocal, nearest = np.zeros(n), np.zeros(n), np.zeros(n, dtype=np.int64)
    known: dict[tuple[int, int, int], tuple[float, float]] = {}
    step = max(1, BLOCK_ENTRIES // n)
    for start in range(0, n, step):
        block = queries[start : start + step] @ candidates.T
        nearest[start : start + step] = block.argmax(1)
        for row, cosines in enumerate(block, start):
            answers = cosines[right[own[row]]]
            best = answers.max()
            above = np.count_nonzero(cosines > best + TIE) if cosines[nearest[row]] > best + TIE else 0
            tied_right = np.count_nonzero(answers >= best - TIE)
            tied_wrong = np.count_nonzero(cosines >= best - TIE) - above - tied_right
            place = (int(above), int(tied_right), int(tied_wrong))
            if place not in known:
                known[place] = _shuffled(*place)
            hits[row], reciprocal[row] = known[place]
    return hits, reciprocal, nearest


def _right_answers(own: np.ndarray, theirs: np.ndarray) -> list[np.ndarray]:
    """For each number of a query's text, the candidates that are right: translations of it, and texts that are the same."""
    count = int(own.max()) + 1
    texts: list[set[int]] = [set() for _ in range(count)]
    for query, candidate in zip(own.tolist(), theirs.tolist(), strict=True):
        texts[query].add(candidate)
    order = np.argsort(theirs, kind="stable")
    starts = np.searchsorted(theirs[order], np.arange(int(theirs.max()) + 2))
    places = [order[starts[number] : starts[number + 1]] for number in range(len(starts) - 1)]
    return [np.concatenate([places[number] for number in sorted(found)]) for found in texts]


def _shuffled(above: int, right: int, wrong: int) -> tuple[float, float]:
    """Probability that a right answer comes first, and the mean reciprocal rank of the first right one.

    Args:
        above: wrong candidates that are nearer.
        right, wrong: candidates that are tied with the best right one, itself among them.
    """
    total = right + wrong
    tries = np.arange(1, wrong + 2)  # the first right one can be at these places of the shuffle
    # P(first right at r) = right/total for r = 1; each further place needs one more wrong one before it.
    steps = np.concatenate([[1.0], (wrong - tries[:-1] + 1) / (total - tries[:-1])])
    chances = right / total * np.cumprod(steps)
    return (right / total if above == 0 else 0.0), float((chances / (above + tries)).sum())
