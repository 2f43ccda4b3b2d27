"""Students of labelled tasks: made, saved whole and loaded back."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny
import torch
import transformers

from distill.errors import ModelError
from students.heads import build_head_student, load_head_student, save_head_student
from students.spec import BiLSTMSpec, LayersSpec, TinySpec, VocabularySpec
from teachers.heads import CLASSES, head_options, load_head

TASKS = tuple(CLASSES)
TEXTS = [tiny.ENGLISH[0], "rain", tiny.ENGLISH[5]]
LAYERS, SMALL = LayersSpec(layers=2), TinySpec(kind="tiny", layers=2, hidden=24, heads=4)
LSTM = BiLSTMSpec(kind="bilstm", dim=16, hidden=8)
KINDS = [(spec, task) for spec in (LAYERS, SMALL, LSTM) for task in TASKS if spec is not LSTM or task not in ("tokens", "spans")]


@pytest.fixture(scope="module")
def starts(tmp_path_factory):
    """starts(task, family) -> a start model with a trained head, built once."""
    folder = tmp_path_factory.mktemp("starts")
    made = {}

    def start(task, family="bert"):
        if (task, family) not in made:
            place = folder / f"{task}-{family}"
            labels = {"regression": ("score",), "spans": ("start", "end")}.get(task, tiny.LABELS)
            tiny.write_classifier(place, labels, family, layers=3, auto_class=CLASSES[task])
            made[task, family] = load_head(str(place), task)
        return made[task, family]

    return start


def build(spec, start, task, **options):
    labels = () if task in ("regression", "spans") else tiny.LABELS
    options = {"max_length": 64, "seed": 3, **options}
    return build_head_student(spec, start.model, start.tokenizer, task=task, head=head_options(task, labels), **options)


def outputs(model, tokenizer, texts=TEXTS, pair=None):
    """All logits on real tokens, one array a text."""
    batch = dict(tokenizer(texts, pair, padding=True, return_tensors="pt"))
    with torch.no_grad():
        found = model(**batch)
    values = found["logits"][:, None] if "logits" in found and found["logits"].dim() == 2 else None
    if values is not None:
        return [row.numpy() for row in values]
    values = found["logits"] if "logits" in found else torch.stack([found["start_logits"], found["end_logits"]], -1)
    return [row[mask.bool()].numpy() for row, mask in zip(values, batch["attention_mask"], strict=True)]


def same(left, right, atol=1e-6):
    for ours, theirs in zip(left, right, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=atol)


@pytest.mark.parametrize(("spec", "task"), KINDS, ids=lambda value: getattr(value, "kind", value))
def test_it_is_saved_and_loaded_back(spec, task, starts, tmp_path):
    student = build(spec, starts(task), task)
    assert student.kind == spec.kind
    assert student.max_length == 64
    save_head_student(student.model, student.tokenizer, tmp_path / "s", max_length=40)
    model, tokenizer = load_head_student(tmp_path / "s", CLASSES[task])
    assert not model.training
    assert tokenizer.model_max_length == 40
    assert json.loads((tmp_path / "s" / "tokenizer.json").read_text("utf-8"))["truncation"]["max_length"] == 40
    same(outputs(model, tokenizer), outputs(student.model.eval(), student.tokenizer))
    names = {file.name for file in (tmp_path / "s").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not {name for name in names if name.endswith((".bin", ".pt"))}
    told = (tmp_path / "s" / "config.json").read_text()
    assert "_name_or_path" not in told
    assert "/tmp" not in told
    if task in ("classification", "multilabel", "tokens"):
        assert list(model.config.id2label.values()) == list(tiny.LABELS)
    if spec is not LSTM:
        plain = getattr(transformers, CLASSES[task]).from_pretrained(tmp_path / "s").eval()
        same(outputs(plain, tokenizer), outputs(model, tokenizer))


@pytest.mark.parametrize("family", tiny.CUTTABLE)
@pytest.mark.parametrize("task", ["classification", "tokens", "spans"])
def test_a_student_of_all_layers_says_what_its_start_model_says(family, task, starts):
    start = starts(task, family)
    before = {name: value.clone() for name, value in start.model.state_dict().items()}
    student = build(LayersSpec(layers=3), start, task)
    same(outputs(student.model, student.tokenizer), outputs(start.model, start.tokenizer))
    assert (student.layers, student.source_layers) == ([0, 1, 2], 3)
    with torch.no_grad():
        for weight in student.model.parameters():
            weight.zero_()
    for name, value in start.model.state_dict().items():
        assert torch.equal(value, before[name]), "the start model is left as it is"


@pytest.mark.parametrize("family", tiny.CUTTABLE)
def test_the_layers_that_are_kept(family, starts):
    student = build(LayersSpec(layers=(0, 2)), starts("classification", family), "classification")
    assert student.layers == [0, 2]
    layers = student.model.config.num_hidden_layers
    assert layers == 2
    assert len(outputs(student.model, student.tokenizer)) == 3


@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize("task", ["classification", "tokens", "spans"])
def test_a_small_student_of_every_family(family, task, starts, tmp_path):
    student = build(SMALL, starts(task, family), task)
    config = student.model.config
    assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (2, 24, 4)
    assert config.model_type == family
    save_head_student(student.model, student.tokenizer, tmp_path / "s", max_length=64)
    model, tokenizer = load_head_student(tmp_path / "s", CLASSES[task])
    same(outputs(model, tokenizer), outputs(student.model, student.tokenizer))


@pytest.mark.parametrize("spec", [SMALL, LSTM], ids=lambda spec: spec.kind)
def test_the_seed_decides_what_is_made_at_random(spec, starts):
    first, again, other = (build(spec, starts("classification"), "classification", seed=seed).model for seed in (3, 3, 4))
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    changed = [name for name, value in first.state_dict().items() if not torch.equal(value, other.state_dict()[name])]
    assert any("classifier" in name or "output" in name or "lstm" in name for name in changed)


@pytest.mark.parametrize("spec", [LayersSpec(layers=3), SMALL, LSTM], ids=lambda spec: spec.kind)
def test_a_trimmed_vocabulary(spec, starts):
    start = starts("classification")
    words = spec.model_copy(update={"vocabulary": VocabularySpec(min_count=1)})
    student = build(words, start, "classification", texts=TEXTS)
    assert student.model.config.vocab_size == len(student.tokenizer) == len(student.ids) < len(start.tokenizer)
    theirs, ours = start.tokenizer(TEXTS)["input_ids"], student.tokenizer(TEXTS)["input_ids"]
    assert [[int(student.ids[token]) for token in row] for row in ours] == theirs
    if isinstance(spec, LayersSpec):
        same(outputs(student.model, student.tokenizer), outputs(start.model, start.tokenizer))


def test_pairs_go_through_a_bilstm_side_by_side(starts):
    start = starts("classification")
    student = build(LSTM, start, "classification", pairs=True)
    assert student.model.config.siamese
    first = outputs(student.model, student.tokenizer, TEXTS[:1], ["rain"])
    second = outputs(student.model, student.tokenizer, TEXTS[:1], ["the dog"])
    assert np.abs(first[0] - second[0]).max() > 1e-6
    assert not build(LSTM, start, "classification").model.config.siamese


@pytest.mark.parametrize("spec", [LAYERS, SMALL], ids=lambda spec: spec.kind)
def test_longer_than_the_positions(spec, starts):
    with pytest.raises(ModelError, match="at most 64") as caught:
        build(spec.model_copy(update={"max_length": 65}), starts("classification"), "classification")
    assert caught.value.where == "student.max_length"
    assert build(spec.model_copy(update={"max_length": 20}), starts("classification"), "classification").max_length == 20
    assert build(spec, starts("classification"), "classification", max_length=500).max_length == 64


def test_a_bilstm_has_no_positions_to_run_out_of(starts):
    assert build(LSTM.model_copy(update={"max_length": 500}), starts("classification"), "classification").max_length == 500


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_what_is_no_student(name, starts, tmp_path):
    student = build(LAYERS, starts("classification"), "classification")
    save_head_student(student.model, student.tokenizer, tmp_path / "s", max_length=64)
    content = (tmp_path / "s" / name).read_bytes()
    (tmp_path / "s" / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError) as caught:
        load_head_student(tmp_path / "s", CLASSES["classification"])
    assert str(tmp_path / "s") in caught.value.where
    (tmp_path / "s" / name).unlink()
    with pytest.raises(ModelError, match=name):
        load_head_student(tmp_path / "s", CLASSES["classification"])


def test_saving_replaces_the_folder_as_a_whole(starts, tmp_path):
    student = build(LAYERS, starts("classification"), "classification")
    (tmp_path / "s" / "onnx").mkdir(parents=True)
    (tmp_path / "s" / "onnx" / "model.onnx").touch()
    save_head_student(student.model, student.tokenizer, tmp_path / "s", max_length=64)
    assert not (tmp_path / "s" / "onnx").exists()
    assert json.loads((tmp_path / "s" / "config.json").read_text())["num_hidden_layers"] == 2
