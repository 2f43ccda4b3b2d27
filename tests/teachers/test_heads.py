"""Task models and masked-LM models are loaded as they are, or refused with what would be right."""

from __future__ import annotations

import json
import shutil

import pytest
import tiny
import torch

from distill.errors import ModelError
from teachers.heads import CLASSES, head_options, load_head, load_masked_lm

WITH_MASKED_LM = tiny.FAMILIES


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """encoder/, trained/ (three labels), sentences/ (a sentence encoder with its files)."""
    folder = tmp_path_factory.mktemp("models")
    tiny.write_encoder(folder / "encoder", layers=2)
    tiny.write_classifier(folder / "trained", layers=2)
    tiny.saved(folder / "sentences", layers=2)
    return folder


@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize("task", CLASSES)
def test_a_trained_head_keeps_its_weights_and_labels(family, task, tmp_path):
    import transformers

    labels = {"regression": ("score",), "spans": ("start", "end")}.get(task, tiny.LABELS)
    tiny.write_classifier(tmp_path / "m", labels, family, layers=1, auto_class=CLASSES[task])
    head = load_head(str(tmp_path / "m"), task, labels=("x", "y"))
    assert not head.untrained
    assert head.labels == (() if task in ("regression", "spans") else tiny.LABELS)
    assert head.max_length == 64
    assert not head.model.training
    own = getattr(transformers, CLASSES[task]).from_pretrained(tmp_path / "m").state_dict()
    for name, value in head.model.state_dict().items():
        assert value.dtype == torch.float32 or not value.is_floating_point()
        torch.testing.assert_close(value, own[name])


@pytest.mark.parametrize("source", ["encoder", "sentences"])
@pytest.mark.parametrize("task", CLASSES)
def test_an_encoder_gets_an_untrained_head_with_the_labels_of_the_data(source, task, models):
    head = load_head(str(models / source), task, labels=tiny.LABELS, seed=5)
    assert head.untrained
    outputs = {"regression": 1, "spans": 2}.get(task, 3)
    assert head.model.config.num_labels == outputs
    if task not in ("regression", "spans"):
        assert head.labels == tiny.LABELS
        assert head.model.config.label2id == {name: place for place, name in enumerate(tiny.LABELS)}
    again, other = (load_head(str(models / source), task, labels=tiny.LABELS, seed=seed) for seed in (5, 6))
    name = "qa_outputs.weight" if task == "spans" else "classifier.weight"
    own = head.model.state_dict()[name]
    torch.testing.assert_close(again.model.state_dict()[name], own)
    assert not torch.equal(other.model.state_dict()[name], own)


@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize("labels", [("O", "B-X"), ("O", "B-X", "I-X")])
@pytest.mark.parametrize("task", ["tokens", "spans"])
def test_a_head_of_another_task_is_no_head(family, labels, task, tmp_path):
    """Though its weights may have the same names and shapes; the encoder is kept."""
    import transformers

    folder = tiny.write_classifier(tmp_path / "m", tiny.LABELS, family, layers=1)
    head = load_head(str(folder), task, labels=labels, seed=5)
    assert head.untrained
    assert head.labels == (labels if task == "tokens" else ())
    assert head.model.config.num_labels == (len(labels) if task == "tokens" else 2)
    own = transformers.AutoModelForSequenceClassification.from_pretrained(folder).state_dict()
    for name, weight in head.model.named_parameters():
        if name in own and name.startswith(head.model.base_model_prefix):
            torch.testing.assert_close(weight, own[name])
        elif name in own and weight.dim() > 1:
            assert weight.shape != own[name].shape or not torch.equal(weight, own[name])
    again = load_head(str(folder), task, labels=labels, seed=5).model.state_dict()
    for name, value in head.model.state_dict().items():
        assert torch.equal(value, again[name])


def test_the_random_numbers_of_others_go_on_as_they_were(models):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    load_head(str(models / "encoder"), "classification", labels=tiny.LABELS)
    torch.testing.assert_close(torch.rand(3), expected)


def test_the_longest_input(models):
    assert load_head(str(models / "trained"), "classification", max_length=12).max_length == 12
    with pytest.raises(ModelError, match="at most 64"):
        load_head(str(models / "trained"), "classification", max_length=65)


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta"])
def test_the_roberta_kind_numbers_its_positions_from_the_padding_on(family, tmp_path):
    tiny.write_classifier(tmp_path / "m", family=family, layers=1)
    assert load_head(str(tmp_path / "m"), "classification", max_length=64).max_length <= 65
    with pytest.raises(ModelError, match="at most"):
        load_head(str(tmp_path / "m"), "classification", max_length=67)


def test_a_regression_has_one_output(models):
    with pytest.raises(ModelError, match="3 outputs: place, time, weather"):
        load_head(str(models / "trained"), "regression")


@pytest.mark.parametrize("loader", [lambda name: load_head(name, "classification"), load_masked_lm])
def test_weights_come_from_safetensors_alone(loader, models, tmp_path):
    folder = shutil.copytree(models / "trained", tmp_path / "pickled")
    weights = folder / "model.safetensors"
    torch.save({}, folder / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(ModelError, match="safetensors"):
        loader(str(folder))


def test_damaged_weights(models, tmp_path):
    folder = shutil.copytree(models / "trained", tmp_path / "damaged")
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError):
        load_head(str(folder), "classification")


def test_options_of_a_head():
    assert head_options("spans", None) == {"num_labels": 2}
    assert head_options("regression", None) == {"num_labels": 1, "problem_type": "regression"}
    found = head_options("multilabel", ["a", "b"])
    assert found["problem_type"] == "multi_label_classification"
    assert (found["num_labels"], found["id2label"], found["label2id"]) == (2, {0: "a", 1: "b"}, {"a": 0, "b": 1})
    assert "problem_type" not in head_options("tokens", ["O"])


@pytest.mark.parametrize("family", WITH_MASKED_LM)
def test_a_masked_lm_is_loaded_whole(family, tmp_path):
    """Its predictions are those of the model that was saved, tied weights and all."""
    import transformers

    tiny.write_masked_lm(tmp_path / "m", family, layers=1)
    found = load_masked_lm(str(tmp_path / "m"))
    own = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "m").eval()
    batch = {"input_ids": torch.tensor([[2, 40, 41, 3]]), "attention_mask": torch.ones(1, 4, dtype=torch.int64)}
    with torch.no_grad():
        torch.testing.assert_close(found(**batch).logits, own(**batch).logits)
    assert not found.training


def test_an_untied_output_layer_that_is_not_there_is_no_head(tmp_path):
    """Where input and output weights differ, transformers would fill in random ones."""
    from safetensors.torch import load_file, save_file

    tiny.write_masked_lm(tmp_path / "m", "bert", layers=1)
    settings = json.loads((tmp_path / "m" / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps(settings | {"tie_word_embeddings": False}))
    weights = {name: value for name, value in load_file(tmp_path / "m" / "model.safetensors").items() if "decoder" not in name}
    save_file(weights, tmp_path / "m" / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"no trained masked-LM head(.|\n)*decoder\.weight"):
        load_masked_lm(str(tmp_path / "m"))


@pytest.mark.parametrize("family", WITH_MASKED_LM)
def test_an_encoder_has_no_masked_lm_head(family, tmp_path):
    tiny.write_encoder(tmp_path / "m", family, layers=1)
    with pytest.raises(ModelError, match="no trained masked-LM head"):
        load_masked_lm(str(tmp_path / "m"))


@pytest.mark.parametrize("task", ["classification", "spans"])
def test_a_model_of_one_token_type_is_told_of_none(task, tmp_path):
    """A RoBERTa with BERT's tokenizer, which calls a second text 1."""
    from transformers import AutoTokenizer

    from students.heads import save_head_student

    labels = ("start", "end") if task == "spans" else tiny.LABELS
    tiny.write_classifier(tmp_path / "m", labels, "roberta", auto_class=CLASSES[task], layers=1)
    tiny.tokenizer("bert").save_pretrained(tmp_path / "m")
    assert json.loads((tmp_path / "m" / "config.json").read_text("utf-8"))["type_vocab_size"] == 1
    head = load_head(str(tmp_path / "m"), task)
    assert "token_type_ids" in tiny.tokenizer("bert")("a", "b")
    save_head_student(head.model, head.tokenizer, tmp_path / "saved", max_length=32)
    for tokenizer in (head.tokenizer, AutoTokenizer.from_pretrained(tmp_path / "saved")):
        pair = tokenizer("a dog", "a cat", return_tensors="pt")
        assert "token_type_ids" not in pair
        assert torch.isfinite(head.model(**pair)[0]).all()


def test_a_model_of_two_token_types_keeps_them(models):
    assert "token_type_ids" in load_head(str(models / "trained"), "classification").tokenizer("a", "b")
