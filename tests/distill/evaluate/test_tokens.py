"""Entities and their F1, against the definitions of conlleval and numbers that seqeval 1.2.2 gave."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from distill.errors import DataError
from distill.evaluate.bootstrap import bootstrap_rows
from distill.evaluate.tokens import entities, evaluate_tokens

NAMES = ("O", "B-PER", "I-PER", "B-creative-work", "I-creative-work")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-x I-x O B-y", {("x", 0, 1), ("y", 3, 3)}),
        ("O I-x I-x O", {("x", 1, 2)}),
        ("B-x B-x I-x", {("x", 0, 0), ("x", 1, 2)}),
        ("B-x I-y I-y", {("x", 0, 0), ("y", 1, 2)}),
        ("I-x I-y O I-y", {("x", 0, 0), ("y", 1, 1), ("y", 3, 3)}),
        ("B-creative-work I-creative-work I-work", {("creative-work", 0, 1), ("work", 2, 2)}),
        ("O O", set()),
        ("", set()),
    ],
)
def test_entities_as_conlleval_reads_them(tags, expected):
    assert entities(tags.split()) == expected


def test_hand_values():
    """Three entities, of which two are found whole; a third guess ends too late: 2 right of 3 and of 4."""
    gold = [[1, 2, 0, 3], [0, 1, 0]]
    predicted = [[1, 2, 0, 3], [1, 2, 0]]
    found = evaluate_tokens(predicted, gold, NAMES)
    details = found["details"]
    assert (details["precision"], details["recall"], found["value"]) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert details["per_type"]["PER"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    assert details["per_type"]["creative-work"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1}
    assert details["macro_f1"] == 0.75
    assert details["token_accuracy"] == pytest.approx(5 / 7)
    assert details["entities"] == 3
    assert found["n"] == 2
    assert found["scores"].tolist() == [1.0, 0.0]
    assert found["predictions"][1] == ["B-PER", "I-PER", "O"]


GOLD = [
    [4, 3, 3, 4, 4, 1, 1, 4], [4, 1, 0, 3, 2, 1, 0, 4], [4], [3, 4, 1, 4, 0, 4, 0], [0], [1, 4, 0, 3], [3, 4, 1, 4, 1, 2],
    [0, 0, 3, 2, 3, 4, 0, 2], [1, 4, 2, 0, 0, 4], [3, 0], [3, 0, 0, 0, 1], [0, 3, 3, 3],
]  # fmt: skip
PREDICTED = [
    [4, 3, 3, 2, 4, 1, 0, 4], [0, 1, 1, 1, 2, 1, 1, 4], [4], [3, 0, 1, 4, 0, 1, 0], [4], [0, 4, 0, 3], [3, 2, 1, 4, 1, 0],
    [2, 1, 3, 1, 1, 2, 4, 2], [1, 4, 2, 3, 3, 4], [3, 0], [3, 3, 0, 4, 1], [0, 0, 3, 3],
]  # fmt: skip


def test_as_seqeval():
    """Random tags, malformed ones among them; the numbers are those of seqeval 1.2.2 in its default mode."""
    found = evaluate_tokens(PREDICTED, GOLD, NAMES)
    details = found["details"]
    assert details["precision"] == pytest.approx(0.5555555555555556)
    assert details["recall"] == pytest.approx(0.6578947368421053)
    assert found["value"] == details["f1"] == pytest.approx(0.6024096385542169)
    assert details["macro_f1"] == pytest.approx(0.6002400960384153)
    assert details["token_accuracy"] == pytest.approx(0.6166666666666667)
    assert list(details["per_type"]["PER"].values()) == pytest.approx([0.5, 0.7142857142857143, 0.588235294117647, 14])
    assert list(details["per_type"]["creative-work"].values()) == pytest.approx([0.6, 0.625, 0.6122448979591836, 24])
    json.dumps({key: value for key, value in found.items() if key not in ("scores", "counts")}, allow_nan=False)


def test_the_interval_resamples_sentences():
    found = evaluate_tokens(PREDICTED * 10, GOLD * 10, NAMES, rounds=2000)

    def micro(rows):
        picked = [(PREDICTED[row % 12], GOLD[row % 12]) for row in rows]
        return evaluate_tokens([a for a, _ in picked], [b for _, b in picked], NAMES, rounds=1)["value"]

    assert found["ci95"] == pytest.approx(bootstrap_rows(micro, 120, rounds=200), abs=0.03)


@given(st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=8), min_size=1, max_size=6))
def test_limits(rows):
    perfect = evaluate_tokens(rows, rows, NAMES, rounds=3)
    some = any(any(row) for row in rows)
    assert perfect["value"] == (1 if some else 0)
    assert perfect["details"]["token_accuracy"] == 1
    assert perfect["scores"].tolist() == [1] * len(rows)
    nothing = evaluate_tokens([[0] * len(row) for row in rows], rows, NAMES, rounds=3)
    assert nothing["value"] == nothing["details"]["precision"] == 0
    flat = [tag for row in rows for tag in row]
    assert nothing["details"]["token_accuracy"] == pytest.approx(metrics.accuracy_score(flat, np.zeros(len(flat))))


@pytest.mark.parametrize(("predicted", "gold"), [([], []), ([[0]], [[0, 0]]), ([[0]], [[0], [0]])])
def test_what_cannot_be_evaluated_is_refused(predicted, gold):
    with pytest.raises(DataError, match="a tag for every word"):
        evaluate_tokens(predicted, gold, NAMES)
