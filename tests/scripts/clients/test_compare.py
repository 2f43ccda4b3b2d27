"""What counts as the same, on vectors whose right answer is known on paper."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

VECTORS = [[1.0, 0.0], [0.6, 0.8], [0.0, 0.0]]


@pytest.fixture
def compare():
    import compare

    return compare


def model(**more):
    ours = dict.fromkeys(("single", "batch"), VECTORS)
    values = dict.fromkeys(("torch", "fp32", "fast", "faithful", "portable"), ours)
    return {"name": "m", "kind": "embedding", "limit": 8, "labels": [], "answers": {}, "values": values, **more}


def answer(format_="fp32", **found):
    return {"model": "m", "way": "w", "format": format_, **found}


def moved(by):
    return [[1.0 + by, 0.0], *VECTORS[1:]]


def only(rows):
    assert len(rows) == 1
    return rows[0]


@pytest.mark.parametrize(
    ("format_", "by", "passed"), [("torch", 9e-6, True), ("torch", 2e-5, False), ("fp32", 9e-5, True), ("fp32", 2e-4, False)]
)
def test_vectors_are_the_same_to_the_limit_of_their_format(compare, format_, by, passed):
    row = only(compare.compare(model(), answer(format_, single=moved(by))))
    assert row["passed"] is passed
    assert row["max_abs"] == pytest.approx(by)
    assert bool(row["reason"]) is not passed


def test_logits_may_differ_more_in_torch_than_vectors_of_length_one(compare):
    assert only(compare.compare(model(kind="classification"), answer("torch", single=moved(5e-5))))["passed"]


def turned(cosine):
    return [[cosine, float(np.sqrt(1 - cosine**2))], *VECTORS[1:]]


@pytest.mark.parametrize(
    ("format_", "cosine", "passed"), [("fast", 0.9991, True), ("fast", 0.997, False), ("faithful", 0.997, False)]
)
def test_eight_bits_are_the_same_by_cosine(compare, format_, cosine, passed):
    row = only(compare.compare(model(), answer(format_, single=turned(cosine))))
    assert row["passed"] is passed
    assert row["min_cosine"] == pytest.approx(cosine)


def test_eight_bits_that_round_otherwise_must_be_as_near_to_torch_as_ours(compare):
    angle, values = np.arccos(0.995), model()["values"]
    values["fast"] = {"single": turned(0.995), "batch": turned(0.995)}  # in torch they are VECTORS
    near, far = ([[float(np.cos(more)), float(np.sin(more))], *VECTORS[1:]] for more in (-angle, angle + 0.08))
    row = only(compare.compare(model(values=values), answer("fast", single=near)))
    assert row["passed"]
    assert row["reason"] == "misses cosine 0.999 (0.9801), as near to fp32 as here (0.9950, here 0.9950)"
    assert not only(compare.compare(model(values=values), answer("fast", single=far)))["passed"]


def test_eight_bit_weights_with_fp32_arithmetic_must_say_what_the_same_file_says_here(compare):
    values = model()["values"]
    values["portable"] = {"single": turned(0.995), "batch": turned(0.995)}
    row = only(compare.compare(model(values=values), answer("portable", single=turned(0.995))))
    assert (row["passed"], row["max_abs"], row["to_fp32"]) == (True, 0, pytest.approx(0.995))
    assert not only(compare.compare(model(values=values), answer("portable", single=VECTORS)))["passed"]  # as near as can be


def test_a_known_difference_is_told_and_does_not_fail(compare):
    row = only(compare.compare(model(), answer(single=moved(0.1), known="it cuts")))
    assert row["passed"]
    assert row["reason"].startswith("differs, as known: it cuts (misses max_abs")
    assert only(compare.compare(model(), answer(single=VECTORS, known="it cuts")))["reason"] == ""


def test_what_a_client_cannot_do_is_told_and_does_not_fail(compare):
    row = only(compare.compare(model(), answer(cannot="no such pipeline")))
    assert (row["passed"], row["reason"]) == (True, "cannot: no such pipeline")


def test_another_number_of_tokens_is_told_as_such(compare):
    row = only(compare.compare(model(), answer(single=[[1.0, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0]])))
    assert not row["passed"]
    assert row["reason"] == "other tokens: input 1: 3 values, expected 2"
    assert not only(compare.compare(model(), answer(single=VECTORS[:2])))["passed"]


def test_what_is_not_a_number_is_not_the_same(compare):
    assert not only(compare.compare(model(), answer(single=moved(float("nan")))))["passed"]


def test_an_error_a_limit_and_a_warning_each_fail_with_their_reason(compare):
    assert only(compare.compare(model(), answer(error="KeyError: 'x'\n  at")))["reason"] == "KeyError: 'x'"
    limit = only(compare.compare(model(), answer(limits={"model_max_length": 512})))
    assert (limit["passed"], limit["reason"]) == (False, "limits {'model_max_length': 512}, expected 8 tokens")
    assert only(compare.compare(model(), answer(limits={"model_max_length": 8})))["passed"]
    assert only(compare.compare(model(), answer(warnings=["no such class"])))["reason"] == "no such class"
    assert only(compare.compare(model(), answer(warnings=[])))["passed"]


@pytest.mark.parametrize(
    ("kind", "expected", "same", "other"),
    [
        ("classification", [0.25, 0.75], [0.25, 0.75], [0.75, 0.25]),
        ("tokens", [["B-PER", 0.9]], [["B-PER", 0.9]], [["B-LOC", 0.9]]),
        ("tokens", [], [], [["B-LOC", 0.9]]),
        ("spans", ["new york", 0.5], ["New York ", 0.5], ["York", 0.5]),
    ],
)
def test_pipelines_say_the_same_words_with_the_same_scores(compare, kind, expected, same, other):
    asked = model(kind=kind, answers={"torch": [expected]})
    assert only(compare.compare(asked, answer(says=[same])))["passed"]
    row = only(compare.compare(asked, answer(says=[other])))
    assert not row["passed"]
    assert row["reason"]


def test_scores_of_a_pipeline_are_compared_too(compare):
    asked = model(kind="spans", answers={"torch": [["a", 0.5]], "fast": [["a", 0.5]]})
    assert not only(compare.compare(asked, answer(says=[["a", 0.51]])))["passed"]
    assert only(compare.compare(asked, answer("fast", says=[["a", 0.54]])))["passed"]


@given(st.lists(st.floats(-10, 10).filter(lambda x: abs(x) > 1e-3), min_size=1, max_size=5))
def test_a_vector_is_the_same_as_itself_and_opposite_to_its_negative(vector):
    import compare

    assert compare.cosine([vector], [vector]) == pytest.approx(1)
    assert compare.cosine([vector], [[-x for x in vector]]) == pytest.approx(-1)


def test_zero_is_the_same_as_zero_alone(compare):
    assert compare.cosine([[0.0, 0.0]], [[0.0, 0.0]]) == 1
    assert compare.cosine([[0.0, 0.0]], [[1.0, 0.0]]) == 0


def test_the_table_has_the_worst_of_each_way_and_what_did_not_run(compare):
    rows = compare.compare(model(), answer(single=moved(1e-6), batch=moved(3e-5)))
    rows += compare.compare(model(), answer("torch", error="a | b"))
    results = [
        {"client": "c", "versions": {"x": "1"}, "rows": rows, "error": ""},
        {"client": "d", "versions": {}, "rows": [], "error": "no\nnpm"},
    ]
    table = compare.table(results).splitlines()
    assert table[2] == "| c | m | w | fp32 | 3 | 3.0e-05 | 1.00000 | 1.00000 | same |"
    assert table[3].endswith("| -: a \\| b |")
    assert "not run: no npm" in table[4]
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert compare.versions(results).splitlines()[2:] == ["| c | x 1 |", "| d | not run |"]
