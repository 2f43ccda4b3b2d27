"""Every kind of predictions gives the metric that the run noted for it."""

import numpy as np
import pytest

from distill.report.predictions import KINDS, judged, same_examples
from distill.report.resampled import once
from distill.report.slices import slices


@pytest.mark.parametrize(
    ("kind", "columns", "expected"),
    [
        ("sts", {"sentence1": ["a", "b", "c"], "sentence2": ["d", "e", "f"], "score": [1, 2, 3], "cosine": [0.1, 0.3, 0.2]}, 0.5),
        (
            "regression",
            {"text": ["a", "b", "c"], "label": [1.0, 2.0, 3.0], "prediction": [3.0, 2.0, 1.0], "score": [0, 0, 0]},
            -1,
        ),
        ("classification", {"text": ["a", "b"], "label": ["x", "y"], "prediction": ["x", "x"], "score": [1.0, 0.0]}, 0.5),
        ("multilabel", {"text": ["a", "b"], "right": [1, 0], "guessed": [1, 1], "wanted": [2, 0], "score": [0.0, 0.0]}, 0.5),
        ("tokens", {"words": ["A b", "c"], "right": [0, 0], "guessed": [1, 1], "wanted": [1, 0]}, 0),
        ("tokens", {"words": ["A b", "c"], "right": [1, 0], "guessed": [1, 1], "wanted": [1, 0]}, 2 / 3),
        ("spans", {"id": ["1", "2"], "question": ["q", "r"], "prediction": ["x", None], "score": [1.0, 0.5]}, 0.75),
        ("transfer", {"text": ["a", "b"], "label": ["x", "y"], "prediction": ["x", "y"], "right": [1.0, 1.0]}, 1),
        ("retrieval", {"query_id": ["1", "2"], "query": ["q", "r"], "ndcg@10": [0.2, 0.4]}, 0.3),
        (
            "translation",
            {"source": ["a", "b"], "translation": ["c", "d"], "hit_to_translation": [1.0, 0.0], "hit_to_source": [1.0, 1.0]},
            0.75,
        ),
        ("agreement", {"sentence": ["a", "b"], "cosine_to_teacher": [0.9, 0.8]}, 0.85),
    ],
)
def test_the_metric(kind, columns, expected):
    found = judged(kind, columns)
    assert (found.metric, once(found.statistic(), found.n)) == (KINDS[kind].metric, pytest.approx(expected))


def test_a_part_of_the_examples():
    found = judged("classification", {"score": [1.0, 0.0, 0.0, 1.0]})
    assert once(found.statistic(np.array([0, 3])), 2) == 1.0


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("no such kind", {"score": [1.0]}),
        ("sts", {"cosine": [0.1]}),
        ("sts", {"cosine": ["x"], "score": [1.0]}),
        ("spans", {"score": []}),
        ("spans", {"score": [[1.0]]}),
    ],
)
def test_columns_of_something_else_give_no_metric(kind, columns):
    assert judged(kind, columns) is None


@pytest.mark.parametrize(
    ("kind", "columns"),
    [("sts", {"cosine": [0.1, float("nan")], "score": [1.0, 2.0]}), ("classification", {"score": [1.0, None]})],
)
def test_numbers_that_are_none_are_undefined(kind, columns):
    found = judged(kind, columns)
    assert not found.defined
    assert np.isnan(once(found.statistic(), found.n))
    assert slices("set", kind, columns, columns, model="fast") == ()


@pytest.mark.parametrize(
    ("other", "same"),
    [({"prediction": ["x"], "score": [0.0]}, True), ({"text": ["b"]}, False), ({"label": ["y"]}, False)],
)
def test_examples_are_told_apart_by_what_was_given_not_by_what_was_answered(other, same):
    columns = {"text": ["a"], "label": ["x"], "prediction": ["y"], "score": [1.0]}
    assert same_examples("classification", columns, columns | other) == same
