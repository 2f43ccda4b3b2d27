"""What a model folder is, told by its own files, and the folders that are refused before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny

from distill.errors import ModelError, UserError
from distill.export.kinds import find_kind


def folder(tmp_path: Path, weights: bool = True, **config) -> Path:
    """A folder that says what it is; its weights are not looked at."""
    place = tmp_path / "model"
    place.mkdir(exist_ok=True)
    (place / "config.json").write_text(json.dumps({"model_type": "bert", **config}))
    if weights:
        (place / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    return place


def test_an_encoder_of_sentences_says_so(tmp_path):
    place = tiny.saved(tmp_path / "model", layers=1)
    kind = find_kind(place, "m")
    assert (kind.task, kind.source, kind.family, kind.notes) == ("embedding", "modules.json", "bert", ())
    assert find_kind(place, "m", "embedding").task == "embedding"
    with pytest.raises(UserError, match=r"(?s)not what this model is.*--task tokens.*embedding \(modules.json\)"):
        find_kind(place, "m", "tokens")


def test_an_encoder_without_a_head_is_pooled_by_its_mean_and_that_is_told(tmp_path):
    for saved in ("BertModel", "BertForMaskedLM"):
        kind = find_kind(folder(tmp_path, architectures=[saved]), "m")
        assert kind.task == "embedding"
        assert saved in kind.source
        assert "mean" in kind.notes[0]


@pytest.mark.parametrize(
    ("config", "task", "words"),
    [
        ({"problem_type": "multi_label_classification"}, "multilabel", "problem_type"),
        ({"problem_type": "regression", "num_labels": 1}, "regression", "problem_type"),
        ({"id2label": {"0": "x"}}, "regression", "one output"),
        ({"id2label": {"0": "x", "1": "y"}}, "classification", "2 outputs"),
        ({}, "classification", "2 outputs"),
    ],
)
def test_classifiers_are_told_apart(tmp_path, config, task, words):
    kind = find_kind(folder(tmp_path, architectures=["BertForSequenceClassification"], **config), "m")
    assert kind.task == task
    assert words in kind.source
    assert bool(kind.notes) == ("problem_type" not in config)  # what was assumed is said


def test_heads_of_tokens_and_answers(tmp_path):
    assert find_kind(folder(tmp_path, architectures=["BertForTokenClassification"]), "m").task == "tokens"
    assert find_kind(folder(tmp_path, architectures=["BertForQuestionAnswering"]), "m").task == "spans"


def test_the_user_settles_what_the_files_leave_open_and_nothing_else(tmp_path):
    place = folder(tmp_path, architectures=["BertForSequenceClassification"])
    kind = find_kind(place, "m", "multilabel")
    assert (kind.task, kind.source, kind.notes) == ("multilabel", "--task", ())
    assert find_kind(place, "m", "classification").notes == ()
    assert "left out" in find_kind(place, "m", "embedding").notes[0]
    with pytest.raises(UserError, match=r"(?s)--task spans.*classification"):
        find_kind(place, "m", "spans")
    folder(tmp_path, architectures=["BertForSequenceClassification"], problem_type="single_label_classification")
    with pytest.raises(UserError, match="put problem_type right"):
        find_kind(place, "m", "multilabel")
    with pytest.raises(UserError, match="did you mean 'embedding'"):
        find_kind(place, "m", "embeddings")


def test_without_architectures_the_weights_decide_whether_to_ask(tmp_path):
    place = tiny.write_classifier(tmp_path / "model", layers=1)
    config = json.loads((place / "config.json").read_text("utf-8"))
    del config["architectures"]
    (place / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"(?s)do not tell.*classifier\..*--task"):
        find_kind(place, "m")
    assert find_kind(place, "m", "classification").task == "classification"
    (place / "model.safetensors").write_bytes(b"cut short")
    with pytest.raises(ModelError, match="damaged"):
        find_kind(place, "m")


def test_a_cross_encoder_reads_pairs(tmp_path):
    from sentence_transformers import CrossEncoder

    tiny.write_classifier(tmp_path / "plain", ("score",), layers=1)
    CrossEncoder(str(tmp_path / "plain")).save_pretrained(str(tmp_path / "model"))
    kind = find_kind(tmp_path / "model", "m")
    assert (kind.task, kind.pairs) == ("regression", True)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}, "a decoder cannot be exported"),
        ({"model_type": "llama", "architectures": ["LlamaForSequenceClassification"]}, "a decoder cannot"),
        ({"is_decoder": True, "architectures": ["BertLMHeadModel"]}, "a decoder cannot"),
        ({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}, "a sequence-to-sequence model cannot"),
        ({"model_type": "bart", "architectures": ["BartForSequenceClassification"]}, "a sequence-to-sequence model cannot"),
        ({"architectures": ["BertForMultipleChoice"]}, "head of this kind"),
        ({"model_type": "nonsense"}, "unknown kind of model"),
        ({"model_type": "new", "auto_map": {"AutoModel": "code.Model"}}, r"(?s)auto_map.*not run"),
        ({"auto_map": {"AutoModel": "code.Model"}}, r"(?s)auto_map.*not run"),
    ],
)
def test_models_that_are_no_encoders_or_bring_code_are_refused(tmp_path, config, words):
    with pytest.raises(ModelError, match=words) as caught:
        find_kind(folder(tmp_path, **config), "some-model")
    assert caught.value.exit_code == 2
    assert "some-model" in str(caught.value)


def test_a_tokenizer_that_brings_code_is_refused(tmp_path):
    place = folder(tmp_path, architectures=["BertModel"])
    (place / "tokenizer_config.json").write_text(json.dumps({"auto_map": {"AutoTokenizer": ["code.Words", None]}}))
    with pytest.raises(ModelError, match=r"tokenizer_config\.json"):
        find_kind(place, "m")


def test_pickled_weights_alone_are_refused_with_the_remedy(tmp_path):
    place = folder(tmp_path, weights=False, architectures=["BertModel"])
    (place / "pytorch_model.bin").write_bytes(b"anything")
    with pytest.raises(ModelError, match=r"(?s)pickled.*pytorch_model.bin.*save_pretrained"):
        find_kind(place, "m")


def test_other_kinds_of_sentence_transformers_are_refused(tmp_path):
    place = tiny.saved(tmp_path / "model", layers=1)
    (place / "config_sentence_transformers.json").write_text(json.dumps({"model_type": "SparseEncoder"}))
    with pytest.raises(ModelError, match="SparseEncoder"):
        find_kind(place, "m")
