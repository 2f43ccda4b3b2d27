"""Every kind of predictions gives the metric that the run noted for it."""

import numpy as np
import pytest
from compared import write_predictions

from distill.comparing.predictions import READERS, read_scored
from distill.errors import RunError

ONE = np.ones(3, dtype=np.int64)


def value(folder, kind, columns, task="set"):
    write_predictions(folder, task, "fast", columns)
    found = read_scored(folder, task, "fast", kind)
    return found.metric, float(found.statistic(np.ones((1, found.n)))[0])


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
        ("multilabel", {"text": ["a", "b"], "label": ["x|y", ""], "prediction": ["x", "z"], "score": [0.0, 0.0]}, 0.5),
        (
            "tokens",
            {"words": ["A b", "c"], "label": ["B-PER I-PER", "O"], "prediction": ["B-PER O", "B-LOC"]},
            0,
        ),
        (
            "tokens",
            {"words": ["A b", "c"], "label": ["B-PER O", "O"], "prediction": ["B-PER O", "B-LOC"]},
            2 / 3,
        ),
        ("spans", {"id": ["1", "2"], "question": ["q", "r"], "prediction": ["x", None], "score": [1.0, 0.5]}, 0.75),
        ("transfer", {"text": ["a", "b"], "label": ["x", "y"], "prediction": ["x", "y"], "right": [1.0, 1.0]}, 1),
        ("retrieval", {"query_id": ["1", "2"], "query": ["q", "r"], "ndcg@10": [0.2, 0.4]}, 0.3),
        (
            "translation",
            {"source": ["a", "b"], "translation": ["c", "d"], "hit_to_translation": [1.0, 0.0], "hit_to_source": [1.0, 1.0]},
            0.75,
        ),
    ],
)
def test_the_metric(tmp_path, kind, columns, expected):
    assert value(tmp_path, kind, columns) == (READERS[kind].metric, pytest.approx(expected))


def test_examples_are_told_apart_by_what_was_given_not_by_what_was_answered(tmp_path):
    def examples(text, score):
        write_predictions(tmp_path, "s", "fast", {"text": [text], "label": ["x"], "prediction": ["x"], "score": [score]})
        return read_scored(tmp_path, "s", "fast", "classification").examples

    assert examples("a", 1.0) == examples("a", 0.0) != examples("b", 1.0)


def test_agreement_is_compared_by_the_cosine_where_there_is_one(tmp_path):
    assert read_scored(tmp_path, "agreement", "fast", "agreement") is None
    write_predictions(tmp_path, "agreement", "fast", {"sentence": ["a"]})
    assert read_scored(tmp_path, "agreement", "fast", "agreement") is None
    columns = {"sentence": ["a", "b"], "cosine_to_teacher": [0.9, 0.8]}
    assert value(tmp_path, "agreement", columns, "agreement") == ("mean_cosine", pytest.approx(0.85))


@pytest.mark.parametrize("damage", [b"", b"PAR1 nonsense", None])
def test_damaged_files_are_named(tmp_path, damage):
    path = write_predictions(tmp_path, "s", "fast", {"text": ["a"], "right": ["x"]})
    if damage is not None:
        path.write_bytes(damage)
    with pytest.raises(RunError, match="damaged") as caught:
        read_scored(tmp_path, "s", "fast", "transfer")
    assert caught.value.where.endswith("fast.parquet")


def test_missing_predictions_and_columns_are_named(tmp_path):
    with pytest.raises(RunError, match="missing"):
        read_scored(tmp_path, "s", "fast", "sts")
    write_predictions(tmp_path, "s", "fast", {"sentence1": ["a"]})
    with pytest.raises(RunError) as caught:
        read_scored(tmp_path, "s", "fast", "sts")
    assert "no column cosine" in str(caught.value)
    write_predictions(tmp_path, "s", "fast", {"cosine": np.zeros(0), "score": np.zeros(0)})
    with pytest.raises(RunError, match="damaged"):
        read_scored(tmp_path, "s", "fast", "sts")
