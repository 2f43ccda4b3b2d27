"""export_onnx from folders of every kind: what comes out, and the folders that are refused once they are loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tiny
import torch
import transformers
from sentence_transformers import SentenceTransformer

from distill.errors import ModelError
from distill.export.onnx import export_onnx

HEADS = {
    "classification": ("bert", {"problem_type": "single_label_classification"}),
    "multilabel": ("distilbert", {"problem_type": "multi_label_classification"}),
    "regression": ("roberta", {"problem_type": "regression"}),
    "tokens": ("electra", {}),
    "spans": ("bert", {}),
}


@pytest.fixture
def head_folder(task_model):
    """head_folder(place, family, task, **config) -> a task model as transformers saves it."""

    def write(place: Path, family: str, task: str, **config) -> Path:
        model, words = task_model(family, task)
        model.config.update(config)
        model.save_pretrained(place)
        words.save_pretrained(place)
        return place

    return write


@pytest.mark.parametrize("task", list(HEADS))
def test_every_head_is_exported_from_its_folder_alone(head_folder, tmp_path, task):
    family, config = HEADS[task]
    parity = export_onnx(head_folder(tmp_path / "model", family, task, **config), tmp_path / "out", ["fp32"])
    proof = parity["models"]["fp32"]
    assert parity["task"] == task
    assert proof["passed"], proof
    assert proof["graph"]["inputs"]["input_ids"] == "int64 [batch, sequence]"
    saved = json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))
    assert saved.get("problem_type") == config.get("problem_type")  # what clients do with the logits
    assert list(saved["id2label"]) == [str(number) for number in range(len(saved["id2label"]))]
    assert (tmp_path / "out" / "model.safetensors").is_file()
    assert not list((tmp_path / "out").glob("*.bin"))
    kind = {"tokens": "TokenClassification", "spans": "QuestionAnswering"}.get(task, "SequenceClassification")
    again = getattr(transformers, f"AutoModelFor{kind}").from_pretrained(tmp_path / "out").eval()
    words = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    given = words(tiny.SENTENCES[:3], padding=True, return_tensors="pt")
    session = onnxruntime.InferenceSession(tmp_path / "out" / "onnx" / "model.onnx")
    feed = {node.name: given[node.name].numpy() for node in session.get_inputs()}
    real = feed["attention_mask"] == 1 if task in ("tokens", "spans") else slice(None)
    with torch.no_grad():
        expected = again(**{name: given[name] for name in feed})
    for node, found in zip(session.get_outputs(), session.run(None, feed), strict=True):
        np.testing.assert_allclose(found[real], expected[node.name].numpy()[real], atol=1e-4)


def test_a_bilstm_student_is_exported_from_its_folder(task_model, tmp_path):
    from students.heads import save_head_student

    model, words = task_model("bilstm", "classification")
    save_head_student(model, words, tmp_path / "model", max_length=64)
    parity = export_onnx(tmp_path / "model", tmp_path / "out", ["fp32"])
    assert parity["models"]["fp32"]["passed"]
    assert json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))["problem_type"] == "single_label_classification"


def test_a_plain_encoder_becomes_one_of_sentences_by_its_mean(tmp_path):
    tiny.write_encoder(tmp_path / "model", layers=1)
    parity = export_onnx(tmp_path / "model", tmp_path / "out", ["fp32"])
    assert parity["task"] == "embedding"
    assert "mean" in parity["notes"][0]
    texts = tiny.SENTENCES[:4]
    given = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = transformers.AutoModel.from_pretrained(tmp_path / "model").eval()(**given).last_hidden_state
    mask = given["attention_mask"][:, :, None]
    np.testing.assert_allclose(
        SentenceTransformer(str(tmp_path / "out")).encode(texts), ((hidden * mask).sum(1) / mask.sum(1)).numpy(), atol=1e-5
    )


def test_a_static_model_is_exported_from_the_folder_of_sentence_transformers(tmp_path):
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    torch.manual_seed(0)
    model = SentenceTransformer(modules=[StaticEmbedding(tiny.tokenizer(), embedding_dim=24)], device="cpu")
    model.save_pretrained(str(tmp_path / "model"), create_model_card=False)
    parity = export_onnx(tmp_path / "model", tmp_path / "out", ["fp32"])
    proof = parity["models"]["fp32"]
    assert proof["passed"]
    assert list(proof["long_inputs"]) == ["300", "1000"]


def test_a_cross_encoder_keeps_what_it_does_with_its_scores(head_folder, tmp_path):
    from sentence_transformers import CrossEncoder

    head_folder(tmp_path / "plain", "bert", "regression")
    first = CrossEncoder(str(tmp_path / "plain"))
    first.activation_fn = torch.nn.Identity()
    first.save_pretrained(str(tmp_path / "model"))
    parity = export_onnx(tmp_path / "model", tmp_path / "out", ["fp32"])
    assert (parity["task"], parity["models"]["fp32"]["passed"]) == ("regression", True)
    pairs = [("A man eats.", "Someone eats."), ("It rains.", "A train.")]
    np.testing.assert_allclose(CrossEncoder(str(tmp_path / "out")).predict(pairs), first.predict(pairs), atol=1e-5)


def test_modernbert_beyond_its_window(tmp_path):
    """A window of 8 tokens, inputs of 300 and 1,000: local attention must stay local in the graph."""
    config = tiny._config("modernbert", 2, 32, 4, 1024, len(tiny.tokenizer()))
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(config)
    model.get_input_embeddings().weight.data *= 8
    model.save_pretrained(tmp_path / "model")
    tiny.tokenizer("modernbert", 1024).save_pretrained(tmp_path / "model")
    proof = export_onnx(tmp_path / "model", tmp_path / "out", ["fp32"])["models"]["fp32"]
    assert list(proof["long_inputs"]) == ["300", "1000"]
    assert max(proof["long_inputs"].values()) <= 1e-4
    assert proof["passed"]


def test_a_head_that_was_never_trained_is_refused_with_the_remedy(tmp_path):
    tiny.write_encoder(tmp_path / "model", layers=1)
    path = tmp_path / "model" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "architectures": ["BertForSequenceClassification"]}))
    with pytest.raises(ModelError, match=r"(?s)never trained.*classifier\.bias.*distill run.*--task embedding"):
        export_onnx(tmp_path / "model", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("head", [True, False])
def test_an_encoder_with_missing_layers_is_refused(head_folder, tmp_path, head):
    """Weights that are not there would be random, and the export of a model that says nothing would pass its gates."""
    from safetensors.torch import load_file, save_file

    place = head_folder(tmp_path / "model", "bert", "tokens") if head else tiny.write_encoder(tmp_path / "model", layers=2)
    weights = load_file(place / "model.safetensors")
    kept = {name: value for name, value in weights.items() if "layer.0.attention.self.query" not in name}
    save_file(kept, place / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"(?s)weights of this model are missing.*query"):
        export_onnx(place, tmp_path / "out")


def words_of(place: Path, change) -> None:
    """Change tokenizer.json and tokenizer_config.json of a folder."""
    settings, body = (json.loads((place / f"tokenizer{end}.json").read_text("utf-8")) for end in ("_config", ""))
    change(settings, body)
    (place / "tokenizer_config.json").write_text(json.dumps(settings))
    (place / "tokenizer.json").write_text(json.dumps(body))


def larger(settings, body):
    body["model"]["vocab"] |= {f"word{number}": len(body["model"]["vocab"]) + number for number in range(9)}


def without_padding(settings, body):
    del settings["pad_token"]


def without_ends(settings, body):
    for name in ("cls_token", "sep_token"):
        del settings[name]
    body["post_processor"] = None


def other_padding(settings, body):
    settings["pad_token"] = "[MASK]"


@pytest.mark.parametrize(
    ("family", "change", "words"),
    [
        ("bert", larger, r"(?s)more tokens than the model has rows for.*token id \d+.*below \d+"),
        ("bert", without_padding, "names no padding token"),
        ("bert", without_ends, "names no special tokens"),
        ("roberta", other_padding, r"(?s)pads with another token.*\[MASK\].*id 0"),
    ],
)
def test_another_models_tokenizer_is_refused(head_folder, tmp_path, family, change, words):
    place = head_folder(tmp_path / "model", family, "classification")
    words_of(place, change)
    with pytest.raises(ModelError, match=words) as caught:
        export_onnx(place, tmp_path / "out")
    assert caught.value.exit_code == 2
    assert "tokenizer files of the model's own folder" in str(caught.value)


def test_a_reader_needs_a_token_between_question_and_text(head_folder, tmp_path):
    place = head_folder(tmp_path / "model", "bert", "spans")
    words_of(place, lambda settings, body: settings.pop("sep_token"))
    with pytest.raises(ModelError, match="cannot part two texts"):
        export_onnx(place, tmp_path / "out")


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_files_cut_short_are_refused(head_folder, tmp_path, file):
    place = head_folder(tmp_path / "model", "bert", "classification")
    data = (place / file).read_bytes()
    (place / file).write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError) as caught:
        export_onnx(place, tmp_path / "out")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_an_export_is_a_folder_that_can_be_exported_again(head_folder, tmp_path):
    place = head_folder(tmp_path / "model", "bert", "classification", problem_type="single_label_classification")
    export_onnx(place, tmp_path / "one", ["fp32"])
    shutil.rmtree(place)
    export_onnx(tmp_path / "one", tmp_path / "two", ["fp32"])
    first, second = ((tmp_path / name / "onnx" / "model.onnx").read_bytes() for name in ("one", "two"))
    assert first == second


def test_no_context_of_the_probe_says_a_sentence_twice():
    """Two places with the same answer are a tie, which rounding would decide."""
    from distill.export.subjects import probe_rows

    rows = probe_rows("spans", False)
    assert len(rows) == 256
    for question, context in rows:
        numbers = [part for part in context.split() if part.startswith("(")]
        assert len(set(numbers)) == len(numbers) > 0
        assert question.endswith("?")
    assert probe_rows("spans", False, ["Only one text."])[9][1] == "Only one text."
