"""Accuracy, F1, Matthews and correlations, against hand values and scikit-learn."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from distill.errors import DataError
from distill.evaluate.bootstrap import bootstrap_rows
from distill.evaluate.classification import evaluate_classification, evaluate_multilabel, evaluate_regression

NAMES = ("a", "b", "c")


def one_hot(guesses, width=3):
    return np.eye(width)[np.asarray(guesses)] * 4 - 1


def test_hand_values():
    """2 a, one found; 2 b, both found, one guessed too often."""
    found = evaluate_classification(one_hot([0, 1, 1, 1], 2), np.array([0, 0, 1, 1]), ("a", "b"))
    assert found["value"] == found["details"]["accuracy"] == 0.75
    assert found["details"]["per_label"]["a"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2}
    assert found["details"]["per_label"]["b"] == {"precision": pytest.approx(2 / 3), "recall": 1.0, "f1": 0.8, "support": 2}
    assert found["details"]["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 2)
    assert found["details"]["matthews"] == pytest.approx(1 / math.sqrt(3))
    assert found["predictions"].tolist() == [0, 1, 1, 1]
    assert found["scores"].tolist() == [1, 0, 1, 1]
    assert found["n"] == 4


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30))
def test_as_scikit_learn(rows):
    labels, guesses = np.array(rows).T
    found = evaluate_classification(one_hot(guesses), labels, NAMES, rounds=5)["details"]
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(labels, guesses))
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(labels, guesses, average="macro", zero_division=0))
    assert found["matthews"] == pytest.approx(metrics.matthews_corrcoef(labels, guesses), abs=1e-12)
    parts = metrics.precision_recall_fscore_support(labels, guesses, labels=[0, 1, 2], zero_division=0)
    for name, expected in zip(NAMES, zip(*parts, strict=True), strict=True):
        assert list(found["per_label"][name].values()) == pytest.approx(list(map(float, expected)))


def test_the_interval_is_that_of_resampled_examples():
    rng = np.random.default_rng(0)
    labels, guesses = rng.integers(0, 3, 200), rng.integers(0, 3, 200)
    hits = labels == guesses
    found = evaluate_classification(one_hot(guesses), labels, NAMES, rounds=5000)
    assert found["ci95"] == pytest.approx(bootstrap_rows(lambda rows: float(hits[rows].mean()), 200, rounds=5000), abs=0.011)
    assert found["ci95"][0] < found["value"] < found["ci95"][1]
    again = evaluate_classification(one_hot(guesses), labels, NAMES, rounds=5000)
    assert again["ci95"] == found["ci95"]
    json.dumps({key: value for key, value in found.items() if key not in ("predictions", "scores")}, allow_nan=False)


def every_number(value):
    return [number for part in value.values() for number in every_number(part)] if isinstance(value, dict) else [value]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_outputs_that_are_no_numbers_give_none(bad):
    logits = one_hot([0, 1, 2])
    logits[1, 1] = bad
    found = [
        evaluate_classification(logits, np.array([0, 1, 2]), NAMES),
        evaluate_multilabel(logits, np.eye(3), NAMES),
        evaluate_regression(logits[:, 1], np.arange(3.0)),
    ]
    for one in found:
        numbers = [one["value"], *one["ci95"], *every_number(one["details"]), *one["scores"]]
        assert np.isnan(numbers).all()
        assert one["n"] == 3


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (one_hot([0, 1]), np.array([0, -100]), "in every row"),
        (one_hot([0, 1]), np.array([0, 3]), "in every row"),
        (one_hot([0, 1]), np.array([0, 1, 2]), r"\(2, 3\)(.|\n)*\(3, 3\)"),
        (one_hot([0, 1], 4), np.array([0, 1]), r"\(2, 4\)(.|\n)*\(2, 3\)"),
        (np.zeros((0, 3)), np.zeros(0, int), "at least one row"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(logits, labels, message):
    with pytest.raises(DataError, match=message):
        evaluate_classification(logits, labels, NAMES)


def test_several_labels_by_hand():
    """Sigmoid at least one half is a logit of 0 or more."""
    gold = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]], dtype=np.float32)
    logits = np.array([[2.0, -1, -1], [0, 3, -2], [-1, -1, -1]])
    found = evaluate_multilabel(logits, gold, NAMES)
    assert found["predictions"].tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert found["value"] == found["details"]["micro_f1"] == pytest.approx(2 * 2 / (3 + 3))
    assert found["details"]["macro_f1"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert found["details"]["subset_accuracy"] == pytest.approx(1 / 3)
    assert found["scores"].tolist() == [0, 0, 1]
    strict = evaluate_multilabel(logits, gold, NAMES, threshold=0.9)
    assert strict["predictions"].tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.booleans()] * 6), min_size=1, max_size=20))
def test_several_labels_as_scikit_learn(rows):
    table = np.array(rows, dtype=int)
    gold, guesses = table[:, :3], table[:, 3:]
    found = evaluate_multilabel(guesses * 2.0 - 1, gold, NAMES, rounds=5)["details"]
    assert found["micro_f1"] == pytest.approx(metrics.f1_score(gold, guesses, average="micro", zero_division=0))
    assert found["subset_accuracy"] == pytest.approx(metrics.accuracy_score(gold, guesses))
    used = (gold | guesses).any(0)
    each = metrics.f1_score(gold, guesses, average=None, zero_division=0)
    assert found["macro_f1"] == pytest.approx(each[used].mean() if used.any() else 0)


def test_the_interval_of_the_micro_f1():
    rng = np.random.default_rng(1)
    gold, guesses = rng.random((150, 3)) < 0.4, rng.random((150, 3)) < 0.5
    found = evaluate_multilabel(guesses * 2.0 - 1, gold.astype(np.float32), NAMES, rounds=2000)

    def micro(rows):
        return metrics.f1_score(gold[rows], guesses[rows], average="micro")

    assert found["ci95"] == pytest.approx(bootstrap_rows(micro, 150, rounds=400), abs=0.02)
    for bad in (np.full((150, 3), np.nan), gold[:, :2]):
        with pytest.raises(DataError):
            evaluate_multilabel(guesses * 2.0 - 1, bad, NAMES)


def test_scores_as_scipy():
    rng = np.random.default_rng(2)
    gold = rng.integers(0, 6, 120) / 1.0
    guesses = gold + rng.normal(size=120)
    found = evaluate_regression(guesses[:, None], gold, rounds=300)
    assert found["value"] == pytest.approx(stats.spearmanr(guesses, gold).statistic)
    assert found["details"]["pearson"] == pytest.approx(stats.pearsonr(guesses, gold).statistic)
    assert found["details"]["rmse"] == pytest.approx(metrics.root_mean_squared_error(gold, guesses))
    assert found["ci95"][0] < found["value"] < found["ci95"][1]
    assert -found["scores"].mean() == pytest.approx(found["details"]["rmse"] ** 2)
    with pytest.raises(DataError, match="in every row"):
        evaluate_regression(np.zeros(2), np.array([1.0, np.nan]))
    with pytest.raises(DataError, match="do not fit"):
        evaluate_regression(np.zeros((2, 2)), np.array([1.0, 2.0]))
