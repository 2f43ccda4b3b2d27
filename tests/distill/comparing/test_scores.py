"""Predictions that cannot be compared are told by name."""

import numpy as np
import pytest
from compared import write_predictions

from distill.comparing.scores import read_scored
from distill.errors import RunError


def test_agreement_is_compared_by_the_cosine_where_there_is_one(tmp_path):
    assert read_scored(tmp_path, "agreement", "fast", "agreement") is None
    write_predictions(tmp_path, "agreement", "fast", {"sentence": ["a"]})
    assert read_scored(tmp_path, "agreement", "fast", "agreement") is None
    write_predictions(tmp_path, "agreement", "fast", {"sentence": ["a", "b"], "cosine_to_teacher": [0.9, 0.8]})
    assert read_scored(tmp_path, "agreement", "fast", "agreement").judged.metric == "mean_cosine"


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
    with pytest.raises(RunError, match="no column cosine"):
        read_scored(tmp_path, "s", "fast", "sts")
    write_predictions(tmp_path, "s", "fast", {"cosine": np.zeros(0), "score": np.zeros(0)})
    with pytest.raises(RunError, match="no rows"):
        read_scored(tmp_path, "s", "fast", "sts")
