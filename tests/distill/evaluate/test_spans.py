"""Spans out of logits: against a plain search over all pairs, over windows, with and without an answer."""

import itertools
import math

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from distill.data.examples import SpanExamples
from distill.data.span_features import SpanFeatures
from distill.errors import DataError
from distill.evaluate.spans import Span, best_spans, decode_spans, evaluate_spans, span_texts

TOKENIZER = tiny.tokenizer()
LETTERS = "a b c d e f g h i j k l m n o p q r s t"


@given(
    st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9), st.booleans()), min_size=1, max_size=12),
    st.integers(1, 5),
    st.integers(1, 30),
)
def test_the_best_spans_are_those_of_a_search_over_all_pairs(rows, longest, count):
    start, end = np.array([row[0] for row in rows], float), np.array([row[1] for row in rows], float)
    inside = sorted(place for place, row in enumerate(rows) if row[2])
    inside = list(range(inside[0], inside[-1] + 1)) if inside else []
    offsets = np.array([(2 * place, 2 * place + 1) if place in inside else (-1, -1) for place in range(len(rows))])
    found = best_spans(np.r_[start, 99.0], np.r_[end, 99.0], offsets, max_tokens=longest, n_best=count)
    every = {(2 * i, 2 * j + 1): start[i] + end[j] for i, j in itertools.product(inside, inside) if 0 <= j - i < longest}
    assert [span.score for span in found] == sorted(every.values(), reverse=True)[:count]
    assert len({(span.first, span.end) for span in found}) == len(found)
    assert all(every[span.first, span.end] == span.score for span in found)


@pytest.fixture(scope="module")
def examples():
    return SpanExamples(["1", "2"], ["z ?", "z ?"], [LETTERS, "a b"], [[("j", 18)], []])


@pytest.fixture(scope="module")
def features(examples):
    made = SpanFeatures(examples, TOKENIZER, 13, 3)  # 8 tokens of the context a window, 3 shared
    assert made.example_rows.tolist() == [0, 0, 0, 0, 1]
    return made


def logits(features, **scores):
    """Padded logits that are 0 but for chosen tokens: window_token=score."""
    made = np.zeros((len(features), 20))
    for name, score in scores.items():
        window, token = map(int, name[1:].split("_"))
        made[window, token] = score
    return made


def test_the_best_window_gives_the_answer(features, examples):
    start = logits(features, w1_8=5, w0_5=3)
    end = logits(features, w1_9=4, w0_5=3, w0_15=90)
    start[0, 15] = math.nan  # this and the 90 lie in the padding
    found = decode_spans(features, start, end, no_answer=False)
    assert found[0][0] == Span(9.0, 18, 21)
    assert span_texts(found, examples.contexts)[0] == "j k"
    assert [span.score for span in found[0][:3]] == sorted((span.score for span in found[0]), reverse=True)[:3]
    assert len(found[0]) == 20
    assert len(decode_spans(features, start, end, no_answer=False, n_best=3)[0]) == 3
    ragged = [row[:length] for row, length in zip(start, features.lengths, strict=True)]
    again = decode_spans(
        features, ragged, [row[:length] for row, length in zip(end, features.lengths, strict=True)], no_answer=False
    )
    assert again == found, "padding changes nothing"


def test_the_same_span_in_two_windows_is_one_candidate(features):
    found = decode_spans(features, logits(features, w0_9=5, w1_4=5), logits(features, w0_9=5, w1_4=5), no_answer=False)
    assert sum((span.first, span.end) == (10, 11) for span in found[0]) == 1
    assert found[0][0] == Span(10.0, 10, 11)


def test_no_answer_needs_the_least_score_of_all_windows(features, examples):
    """The score of none is 4 in one window and 20 in the others: the least counts."""
    start = logits(features, w0_0=10, w1_0=2, w2_0=10, w3_0=10, w0_5=3, w4_0=1)
    end = logits(features, w0_0=10, w1_0=2, w2_0=10, w3_0=10, w0_5=2, w4_0=1)
    assert span_texts(decode_spans(features, start, end, no_answer=True), examples.contexts) == ["b", ""]
    assert span_texts(decode_spans(features, start, end, no_answer=False), examples.contexts)[1] != ""
    assert span_texts(decode_spans(features, start, end, no_answer=True, threshold=-1.5), examples.contexts)[0] == ""
    assert span_texts(decode_spans(features, start, end, no_answer=True, threshold=2.5), examples.contexts)[1] != ""
    assert decode_spans(features, start, end, no_answer=True)[0][1] == Span(4.0, -1, -1)


def test_long_answers_are_not_answers(features):
    found = decode_spans(features, logits(features, w0_4=9), logits(features, w0_9=9), no_answer=False, max_tokens=5)
    assert found[0][0].score == 9, "six tokens from one to the other"
    found = decode_spans(features, logits(features, w0_4=9), logits(features, w0_9=9), no_answer=False, max_tokens=6)
    assert found[0][0].score == 18


def test_logits_that_are_no_numbers_give_no_number(features, examples):
    found = decode_spans(features, logits(features, w1_5=math.nan), logits(features), no_answer=True)
    texts = span_texts(found, examples.contexts)
    assert texts[0] is None
    assert texts[1] is not None
    result = evaluate_spans(texts, examples)
    assert np.isnan([result["value"], *result["ci95"], *result["details"].values(), *result["scores"]]).all()
    with pytest.raises(DataError, match="differ in number"):
        decode_spans(features, logits(features)[:2], logits(features), no_answer=True)


def test_the_logits_of_the_gold_positions_give_the_gold_answers():
    contexts = [f"The old man reads a book in the morning, and {name} waits near the river." for name in ("park", "nobody")]
    rows = SpanExamples(
        ["1", "2"],
        ["who waits?"] * 2,
        contexts,
        [[("park", contexts[0].index("park"))], [("near the river", contexts[1].index("near"))]],
    )
    features = SpanFeatures(rows, TOKENIZER, 24, 6)
    start, end = (np.zeros((len(features), 24)) for _ in range(2))
    for window in range(len(features)):
        if features.starts[window]:
            start[window, features.starts[window]] = end[window, features.ends[window]] = 9
    found = evaluate_spans(span_texts(decode_spans(features, start, end, no_answer=False), contexts), rows)
    assert found["details"]["exact_match"] == found["value"] == 1
    assert found["ci95"] == [1, 1]


def test_means_over_questions(examples):
    rows = SpanExamples(list("abcd"), ["q"] * 4, ["c"] * 4, [[("old bridge", 0)], [("river", 0)], [("x", 0), ("town", 0)], []])
    found = evaluate_spans(["the bridge", "river", "town", "x"], rows, rounds=2000)
    assert found["scores"].tolist() == pytest.approx([2 / 3, 1, 1, 0])
    assert found["value"] == found["details"]["f1"] == pytest.approx(2 / 3)
    assert found["details"]["exact_match"] == 0.5
    assert found["details"]["f1_answerable"] == pytest.approx(8 / 9)
    assert found["details"]["f1_unanswerable"] == 0
    assert found["ci95"][0] < found["value"] < found["ci95"][1]
    assert found["details"]["exact_match_low"] < 0.5 < found["details"]["exact_match_high"]
    assert found["n"] == 4
    with pytest.raises(DataError, match="an answer to every question"):
        evaluate_spans(["x"], rows)
