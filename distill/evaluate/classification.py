"""Accuracy, F1 and correlation of a model's outputs on labelled texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DataError
from .bootstrap import ROUNDS, bootstrap_rows, percentile_interval
from .ranks import pearson, spearman
from .resample import f1, resampled_means, resampled_sums

METRIC = "accuracy"
MULTILABEL_METRIC = "micro_f1"
REGRESSION_METRIC = "spearman"


def evaluate_classification(
    logits: np.ndarray, labels: np.ndarray, names: Sequence[str], *, rounds: int = ROUNDS, seed: int = 0
) -> dict[str, Any]:
    """Accuracy with a 95% interval, macro F1, Matthews' correlation, and precision, recall and F1 of each label.

    The macro F1 is the mean over labels that occur or are guessed. The first of equal logits is the guess.

    Args:
        logits: [n, C].
        labels: int64 [n].
        names: the C labels.
        rounds: bootstrap resamples of examples.
        seed: of the resampling.

    Returns:
        {"value": accuracy, "ci95", "n", "details": {"accuracy", "macro_f1", "matthews", "per_label": {name: {"precision",
        "recall", "f1", "support"}}}, "predictions": int64 [n], "scores": float64 [n], 1 where the guess is right}. Where a
        logit is no number, every number of the result is nan.

    Raises:
        DataError: a row has no label, or the shapes do not fit.

    Reference:
        Gorodkin, "Comparing two K-category assignments by a K-category correlation coefficient", 2004 (Matthews).
    """
    _check(logits, (len(labels), len(names)), labels.size > 0 and bool(((labels >= 0) & (labels < len(names))).all()))
    predictions = logits.argmax(1).astype(np.int64)
    hits = np.where(np.isfinite(logits).all(), (predictions == labels).astype(np.float64), np.nan)
    table = np.zeros((len(names), len(names)), dtype=np.float64)  # rows: labels; columns: guesses
    np.add.at(table, (labels, predictions), 1.0)
    broken = bool(np.isnan(hits).any())
    true, guessed, there = np.diag(table), table.sum(0), table.sum(1)
    each = f1(true, guessed, there)
    used = (guessed + there) > 0
    details: dict[str, Any] = {
        "accuracy": float(hits.mean()),
        "macro_f1": float(each[used].mean()),
        "matthews": _matthews(table),
        "per_label": _per_label(names, true, guessed, there),
    }
    interval = (np.nan, np.nan) if broken else percentile_interval(resampled_means(hits, rounds=rounds, seed=seed))
    return _result(float(hits.mean()), interval, details, predictions, hits, broken)


def evaluate_multilabel(
    logits: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    *,
    threshold: float = 0.5,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> dict[str, Any]:
    """Micro F1 with a 95% interval, macro F1, and the share of examples whose labels are all right.

    Args:
        logits: [n, C]; a label is guessed where their sigmoid is at least `threshold`.
        labels: [n, C] of 0 and 1.
        names: the C labels.
        threshold: between 0 and 1.
        rounds: bootstrap resamples of examples.
        seed: of the resampling.

    Returns:
        As `evaluate_classification`, with "details": {"micro_f1", "macro_f1", "subset_accuracy", "per_label"},
        "predictions": int64 [n, C], "scores": 1 where all labels of an example are right, and "counts": int64 [n, 3], labels
        that are right, guessed and there.

    Raises:
        DataError: a row has no labels, or the shapes do not fit.
    """
    _check(logits, (len(labels), len(names)), labels.size > 0 and bool(np.isin(labels, (0, 1)).all()))
    if labels.shape != logits.shape:
        raise DataError("the model's outputs do not fit the labels", got=str(logits.shape), expected=str(labels.shape))
    broken = not np.isfinite(logits).all()
    guesses = logits >= np.log(threshold) - np.log1p(-threshold)
    gold = labels.astype(bool)
    true, guessed, there = (part.sum(0).astype(np.float64) for part in (guesses & gold, guesses, gold))
    each = f1(true, guessed, there)
    used = (guessed + there) > 0
    hits = np.where(broken, np.nan, (guesses == gold).all(1).astype(np.float64))
    value = float(f1(true.sum(), guessed.sum(), there.sum()))
    details: dict[str, Any] = {
        "micro_f1": value,
        "macro_f1": float(each[used].mean()) if used.any() else 0.0,
        "subset_accuracy": float(hits.mean()),
        "per_label": _per_label(names, true, guessed, there),
    }
    counts = np.stack([(guesses & gold).sum(1), guesses.sum(1), gold.sum(1)], axis=1)
    sums = resampled_sums(counts, rounds=rounds, seed=seed)
    interval = percentile_interval(f1(sums[:, 0], sums[:, 1], sums[:, 2]))
    return {**_result(value, interval, details, guesses.astype(np.int64), hits, broken), "counts": counts}


def evaluate_regression(scores: np.ndarray, labels: np.ndarray, *, rounds: int = ROUNDS, seed: int = 0) -> dict[str, Any]:
    """Spearman's correlation with a 95% interval, Pearson's, and the root of the mean squared error.

    Args:
        scores: the model's one output, [n] or [n, 1].
        labels: [n].
        rounds: bootstrap resamples of examples.
        seed: of the resampling.

    Returns:
        As `evaluate_classification`, with "details": {"spearman", "pearson", "rmse"}, "predictions": float64 [n] and
        "scores": the squared errors, negated.

    Raises:
        DataError: a row has no score, or the shapes do not fit.
    """
    guesses = scores.reshape(len(scores), -1).astype(np.float64)
    gold = labels.astype(np.float64)
    _check(guesses, (len(gold), 1), gold.size > 0 and bool(np.isfinite(gold).all()))
    guesses = guesses[:, 0]
    broken = not np.isfinite(guesses).all()
    errors = (guesses - gold) ** 2
    value = linear = float("nan")
    interval = (value, value)
    if not broken:
        value, linear = spearman(guesses, gold), pearson(guesses, gold)
        interval = bootstrap_rows(lambda rows: spearman(guesses[rows], gold[rows]), len(gold), rounds=rounds, seed=seed)
    details = {"spearman": value, "pearson": linear, "rmse": float(np.sqrt(errors.mean()))}
    return _result(value, interval, details, guesses, -errors, broken)


def _per_label(names: Sequence[str], true: np.ndarray, guessed: np.ndarray, there: np.ndarray) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 and support of each label, from counts [C] of right guesses, guesses and labels."""
    each = f1(true, guessed, there)
    return {
        name: {
            "precision": _share(true[place], guessed[place]),
            "recall": _share(true[place], there[place]),
            "f1": float(each[place]),
            "support": int(there[place]),
        }
        for place, name in enumerate(names)
    }


def _check(outputs: np.ndarray, shape: tuple[int, int], labelled: bool) -> None:
    if outputs.shape != shape:
        raise DataError("the model's outputs do not fit the labels", got=str(outputs.shape), expected=f"{shape}: rows, labels")
    if not labelled:
        raise DataError("an evaluation needs a label in every row", expected="at least one row, all of them labelled")


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0


def _matthews(table: np.ndarray) -> float:
    """Matthews' correlation of a table of counts [C, C]; 0 where all labels, or all guesses, are one."""
    n, guessed, there = table.sum(), table.sum(0), table.sum(1)
    scale = (n * n - (guessed**2).sum()) * (n * n - (there**2).sum())
    return float((np.trace(table) * n - (guessed * there).sum()) / np.sqrt(scale)) if scale > 0 else 0.0


def _result(
    value: float,
    interval: tuple[float, float],
    details: dict[str, Any],
    predictions: np.ndarray,
    scores: np.ndarray,
    broken: bool,
) -> dict[str, Any]:
    """The entry of quality.json; all nan where the model gave no numbers."""
    if broken:
        value, interval, details = float("nan"), (float("nan"), float("nan")), _undefined(details)
    return {
        "value": value,
        "ci95": list(interval),
        "n": len(predictions),
        "details": details,
        "predictions": predictions,
        "scores": np.full(len(predictions), np.nan) if broken else scores,
    }


def _undefined(value: Any) -> Any:
    return {key: _undefined(part) for key, part in value.items()} if isinstance(value, dict) else float("nan")
