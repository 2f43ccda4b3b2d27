"""Transfer: a logistic regression on frozen vectors, fitted on some texts and tested on others, often in another language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DataError, MissingExtra
from .bootstrap import ROUNDS
from .classification import evaluate_classification

METRIC = "accuracy"
STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)
"""The inverse regularisations that are tried, scikit-learn's C."""
HELD_OUT = 5
"""One fit text in so many, of each label, chooses among `STRENGTHS`."""
ITERATIONS = 2000


def evaluate_transfer(
    fit: np.ndarray,
    fit_labels: np.ndarray,
    test: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> dict[str, Any]:
    """Accuracy with a 95% interval and macro F1 of a logistic regression (L2, lbfgs) on the vectors as they are.

    C is the one of `STRENGTHS` with the best accuracy on a fifth of the fit texts, drawn by label and seed; the smallest
    of equal ones. The classifier is then fitted again on all fit texts.

    Args:
        fit: vectors of the fit texts, [f, d].
        fit_labels: int64 [f].
        test: vectors of the test texts, [n, d].
        labels: int64 [n].
        names: the C labels; those without a fit text are never guessed.
        rounds: bootstrap resamples of test texts.
        seed: of the held-out fifth and of the resampling.

    Returns:
        As `evaluate_classification`, and "strength", the C that was chosen. Where a vector is no
        number, every number is nan.

    Raises:
        DataError: the shapes do not fit, or fit texts have fewer than two labels.
        MissingExtra: scikit-learn is not installed.
    """
    if fit.ndim != 2 or test.ndim != 2 or fit.shape[1] != test.shape[1] or len(fit) != len(fit_labels):
        raise DataError("vectors and labels do not fit", got=f"{fit.shape}, {np.shape(fit_labels)}, {test.shape}")
    if len(np.unique(fit_labels)) < 2:
        raise DataError("a classifier needs two labels or more to learn from", got=np.unique(fit_labels).tolist())
    if not (np.isfinite(fit).all() and np.isfinite(test).all()):
        logits, strength = np.full((len(test), len(names)), np.nan), float("nan")
    else:
        strength = _choose(fit, fit_labels, seed)
        logits = _logits(fit, fit_labels, test, strength, len(names))
    found = evaluate_classification(logits, labels, names, rounds=rounds, seed=seed)
    return {**found, "strength": strength}


def _choose(vectors: np.ndarray, labels: np.ndarray, seed: int) -> float:
    """The strength whose classifier does best on the held-out fifth; the middle one where too little can be held out."""
    held = held_out(labels, seed)
    if not held.any() or len(np.unique(labels[~held])) < 2:
        return STRENGTHS[len(STRENGTHS) // 2]
    count = int(labels.max()) + 1
    hits = []
    for strength in STRENGTHS:
        guesses = _logits(vectors[~held], labels[~held], vectors[held], strength, count).argmax(1)
        hits.append(int((guesses == labels[held]).sum()))
    return STRENGTHS[hits.index(max(hits))]


def held_out(labels: np.ndarray, seed: int) -> np.ndarray:
    """Which rows choose the strength: a fifth of each label, rounded down, drawn by seed. bool [f]."""
    rng = np.random.default_rng(seed)
    held = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        held[rows[: len(rows) // HELD_OUT]] = True
    return held


def _logits(fit: np.ndarray, labels: np.ndarray, test: np.ndarray, strength: float, count: int) -> np.ndarray:
    """Log-probabilities of every label, float64 [n, count]; very low for labels that were not seen."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise MissingExtra("train", "scikit-learn", "a transfer set") from error
    model = LogisticRegression(C=strength, max_iter=ITERATIONS)
    model.fit(fit.astype(np.float64), labels)
    logits = np.full((len(test), count), -1e9)
    logits[:, model.classes_] = np.maximum(model.predict_log_proba(test.astype(np.float64)), -1e8)
    return logits
