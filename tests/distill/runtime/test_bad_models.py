"""Folders that are damaged, foreign or put together wrongly: one clear error, no crash."""

from __future__ import annotations

import json

import bag
import numpy as np
import pytest

import distill
from distill.errors import ModelError, UserError
from distill.runtime import Classifier, Encoder

GOOD = {"0": "a", "1": "b", "2": "c"}


def test_labels_by_name_and_without(tmp_path):
    assert distill.load(bag.logits_folder(tmp_path / "m", labels=GOOD)).labels == ("a", "b", "c")
    plain = distill.load(bag.logits_folder(tmp_path / "n"))
    assert plain.labels == ("LABEL_0", "LABEL_1", "LABEL_2")
    assert plain.predict([]) == []
    assert plain.logits([]).shape == (0, 3)


@pytest.mark.parametrize(
    "labels",
    [{"0": "a", "1": "b"}, {**GOOD, "3": "d"}, {"0": "a", "1": "b", "2": 3}, ["a", "b", "c"], {"0": "a", "1": "a", "2": "c"}],
)
def test_labels_that_do_not_fit_the_outputs(tmp_path, labels):
    with pytest.raises(ModelError, match=r"config\.json.*label") as caught:
        distill.load(bag.logits_folder(tmp_path / "m", labels=labels))
    assert "id2label" in str(caught.value)


@pytest.mark.parametrize("problem", ["regression", "nonsense"])
def test_a_problem_that_does_not_fit(tmp_path, problem):
    with pytest.raises(ModelError, match="problem_type"):
        distill.load(bag.logits_folder(tmp_path / "m", problem_type=problem))


@pytest.mark.parametrize(("rank", "names"), [(3, ("start_logits", "end_logits")), (3, ("sentence_embedding",))])
def test_outputs_of_another_shape(tmp_path, rank, names):
    with pytest.raises(ModelError, match="unexpected shape"):
        distill.load(bag.logits_folder(tmp_path / "m", rank=rank, names=names))


def test_a_tokenizer_with_more_tokens_than_the_model(tmp_path):
    """onnxruntime would refuse the first text that has one of them, an hour later."""
    path = bag.folder(tmp_path / "m")
    words = json.loads((path / "tokenizer.json").read_text())
    words["model"]["vocab"]["zebra"] = 99
    (path / "tokenizer.json").write_text(json.dumps(words))
    with pytest.raises(ModelError, match="cannot read what its tokenizer gives") as caught:
        distill.load(path)
    assert "token 99" in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none(tmp_path, value):
    table = np.eye(len(bag.WORDS), 3, dtype=np.float32)
    table[bag.IDS["cat"]] = value
    model = Classifier.load(bag.logits_folder(tmp_path / "m", table=table), threads=1)
    assert model.predict(["dog"])
    with pytest.raises(ModelError, match=r"(?s)text 2, .*not finite.*precision"):
        model.predict(["dog", "mat", "cat"])
    model.allow_nan = True
    assert not np.isfinite(model.logits(["cat"])).all()


def test_an_operator_set_that_is_too_new(tmp_path):
    path = bag.folder(tmp_path / "m", files=("fp32",))
    model = bag.graph()
    model.opset_import[0].version = 99
    (path / "onnx" / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"(?s)cannot load.*update onnxruntime"):
        distill.load(path)


@pytest.mark.parametrize("kept", [0, 1, 20, 300])
def test_files_that_are_cut_off(tmp_path, kept):
    path = bag.folder(tmp_path / "m", files=("fp32",))
    for name in ("onnx/model.onnx", "tokenizer.json"):
        whole = (path / name).read_bytes()
        (path / name).write_bytes(whole[:kept])
        with pytest.raises(ModelError, match=name.rpartition("/")[2]):
            distill.load(path)
        (path / name).write_bytes(whole)
    distill.load(path)


@pytest.mark.parametrize("wrong", [("one",), ("a", "b", "c"), ("a", None), 3, None])
def test_what_is_no_text_and_no_pair(tmp_path, wrong):
    model = Classifier.load(bag.logits_folder(tmp_path / "m"))
    with pytest.raises(UserError, match="text 1:"):
        model.predict(["cat", wrong])
    with pytest.raises(UserError, match="texts"):
        model.predict("cat")
    with pytest.raises(UserError, match="texts"):
        model.predict(7)


@pytest.mark.parametrize("threshold", [0, 1, -1, True, "0.5", float("nan")])
def test_a_threshold_that_is_none(tmp_path, threshold):
    with pytest.raises(UserError, match="threshold"):
        Classifier.load(bag.logits_folder(tmp_path / "m")).predict(["cat"], threshold=threshold)


def test_a_position_table_that_counts_from_the_padding(tmp_path):
    path = bag.folder(tmp_path / "m")
    (path / "sentence_bert_config.json").unlink()
    (path / "tokenizer_config.json").write_text(json.dumps({"pad_token": "[PAD]"}))
    config = {"model_type": "xlm-roberta", "max_position_embeddings": 34, "pad_token_id": 1}
    (path / "config.json").write_text(json.dumps(config))
    assert Encoder.load(path).max_length == 32


def test_a_padding_token_that_is_no_text(tmp_path):
    path = bag.folder(tmp_path / "m")
    (path / "tokenizer_config.json").write_text('{"pad_token": "\\ud800[PAD]"}')
    with pytest.raises(ModelError, match="pad_token is no text"):
        Encoder.load(path)
