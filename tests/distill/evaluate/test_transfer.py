"""A classifier on frozen vectors: chosen on fit texts alone, the same every time."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score

from distill.errors import DataError
from distill.evaluate.transfer import STRENGTHS, evaluate_transfer, held_out

NAMES = ("contradiction", "entailment", "neutral")


@pytest.fixture(scope="module")
def made():
    """Vectors of three overlapping classes: fit, fit labels, test, test labels."""
    chance = np.random.default_rng(0)
    centres = chance.normal(size=(3, 12))
    labels = chance.integers(0, 3, 400)
    vectors = (centres[labels] + 1.6 * chance.normal(size=(400, 12))).astype(np.float32)
    return vectors[:250], labels[:250], vectors[250:], labels[250:]


def test_the_numbers_are_scikit_learns(made):
    fit, fit_labels, test, labels = made
    found = evaluate_transfer(*made, NAMES)
    guesses = LogisticRegression(C=found["strength"], max_iter=2000).fit(fit.astype(np.float64), fit_labels).predict(test)
    assert found["strength"] in STRENGTHS
    assert found["predictions"].tolist() == guesses.tolist()
    assert found["value"] == pytest.approx(accuracy_score(labels, guesses))
    assert 0.5 < found["value"] < 0.95
    assert found["details"]["macro_f1"] == pytest.approx(f1_score(labels, guesses, average="macro"))
    assert list(found["details"]["per_label"]) == list(NAMES)
    assert found["ci95"][0] < found["value"] < found["ci95"][1]
    assert found["n"] == 150


def test_the_strength_is_the_best_one_on_the_held_out_fifth(made):
    fit, fit_labels, _, _ = made
    held = held_out(fit_labels, 0)
    scores = [
        LogisticRegression(C=strength, max_iter=2000)
        .fit(fit[~held].astype(np.float64), fit_labels[~held])
        .score(fit[held].astype(np.float64), fit_labels[held])
        for strength in STRENGTHS
    ]
    assert len(set(scores)) > 1
    assert evaluate_transfer(*made, NAMES)["strength"] == STRENGTHS[int(np.argmax(scores))]


def test_a_fifth_of_each_label_is_held_out():
    labels = np.array([0] * 50 + [1] * 24 + [2] * 3)
    held = held_out(labels, 5)
    assert [int(held[labels == label].sum()) for label in range(3)] == [10, 4, 0]
    assert held_out(labels, 5).tolist() == held.tolist()
    assert held_out(labels, 6).tolist() != held.tolist()


def test_the_test_texts_do_not_change_the_classifier(made):
    fit, fit_labels, test, labels = made
    whole = evaluate_transfer(*made, NAMES)
    order = np.random.default_rng(1).permutation(len(test))[:40]
    part = evaluate_transfer(fit, fit_labels, test[order], labels[order], NAMES)
    assert part["strength"] == whole["strength"]
    assert part["predictions"].tolist() == whole["predictions"][order].tolist()


def test_the_same_input_gives_the_same_numbers(made):
    one, two = (evaluate_transfer(*made, NAMES) for _ in range(2))
    assert (one["value"], one["ci95"], one["details"]) == (two["value"], two["ci95"], two["details"])


def test_two_labels_and_separable_vectors():
    vectors = np.array([[1.0, 0], [0.9, 0.1], [0, 1.0], [0.1, 0.9]])
    found = evaluate_transfer(vectors, np.array([0, 0, 1, 1]), vectors[::-1], np.array([1, 1, 0, 0]), ("no", "yes"))
    assert found["value"] == 1
    assert found["strength"] == 1.0, "too few texts to hold any out"


def test_a_label_without_fit_texts_is_never_guessed():
    vectors = np.eye(4)
    found = evaluate_transfer(vectors, np.array([0, 0, 2, 2]), vectors, np.array([0, 1, 2, 1]), NAMES)
    assert set(found["predictions"].tolist()) == {0, 2}
    assert found["value"] == 0.5


def test_a_vector_that_is_no_number_leaves_no_number(made):
    fit, fit_labels, test, labels = made
    broken = test.copy()
    broken[0, 0] = np.inf
    found = evaluate_transfer(fit, fit_labels, broken, labels, NAMES)
    assert np.isnan([found["value"], *found["ci95"], found["details"]["macro_f1"], found["strength"]]).all()


def test_what_does_not_fit_is_told(made):
    fit, fit_labels, test, labels = made
    for bad in ((fit[:, :5], fit_labels), (fit[:9], fit_labels), (fit, np.zeros(len(fit), dtype=int))):
        with pytest.raises(DataError):
            evaluate_transfer(*bad, test, labels, NAMES)
