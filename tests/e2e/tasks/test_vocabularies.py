"""Students with a trimmed vocabulary, and students with another tokenizer."""

from __future__ import annotations

import json

import onnxruntime as ort
import pytest
import tiny
from artefacts import facts, log, read
from otherids import write_renamed
from taskruns import QUICK, recipe, taught

import distill
from distill.errors import ModelError
from distill.train.task import model_logits
from students.heads import load_head_student
from teachers.heads import CLASSES


@pytest.mark.parametrize("store_states", [None, "fp32"])
def test_the_teacher_reads_the_tokens_of_a_trimmed_student(store_states, trained, tmp_path, train_recipe):
    """The whole teacher with fewer pieces: its inner states and predictions are the teacher's before it learns anything."""
    stage = {"losses": ["attention_mse", "hidden_mse", "embedding_layer_mse"], "max_steps": 1, "batch_size": 16}
    out = tmp_path / "run"
    student = {"layers": 3, "vocabulary": {"min_count": 1}}
    settings = {"precision": "fp32", "evaluate_every": 0.5, "store_states": store_states}
    train_recipe(taught(trained, student=student, stages=[stage], train=settings), out)
    assert log(out)[0]["loss"] < 1e-6
    model, tokenizer = load_head_student(out / "student", CLASSES["classification"])
    whole = read(trained / "teacher" / "config.json")["vocab_size"]
    assert model.config.vocab_size == len(tokenizer) < whole
    told = facts(out, "student")["vocabulary"]
    assert (told["pieces"], told["of"]) == (len(tokenizer), whole)
    assert 0 <= told["unknown_before"] <= told["unknown"] <= 1
    assert told["longer"] >= 1


@pytest.mark.parametrize("kind", ["pairs", "tokens"])
def test_one_run_of_the_teacher_gives_states_and_logits(kind, tmp_path, train_recipe, monkeypatch):
    """Every row goes through the teacher once, whatever is asked of it, and the student learns what it learns without a store."""
    tree = recipe(kind, teacher={"model": "encoder", "max_length": 64, "finetune": {"epochs": 0.1, "batch_size": 16}})
    tree["stages"][0]["layer_map"], tree["stages"][1]["max_steps"] = "last", 3
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "cache"))
    train_recipe(tree, tmp_path / "live")
    read_rows = []

    def watched(self, inputs):
        read_rows.extend(inputs["input_ids"].tolist())
        return model_logits(self.model, inputs, self.task)

    monkeypatch.setattr("distill.tasks.beside.Predictions.raw", watched)
    monkeypatch.setattr("distill.tasks.logits.run_over", lambda *_, **__: pytest.fail("the teacher is asked again"))
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "other"))
    train_recipe({**tree, "train": {**tree["train"], "store_states": "fp32"}}, tmp_path / "stored")
    told = facts(tmp_path / "stored", "training")["stages"][0]["stored_states"]
    assert told["computed"] == told["rows"] > 0
    assert len(read_rows) == len({tuple(row) for row in read_rows})
    for one, other in zip(log(tmp_path / "live"), log(tmp_path / "stored"), strict=True):
        if "losses" in one:
            assert other["losses"] == pytest.approx(one["losses"], rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("kind", ["tokens", "spans"])
def test_token_level_predictions_of_a_trimmed_student_stand_beside_the_teachers(kind, tmp_path, train_recipe):
    """With rare pieces gone some words fall apart into more tokens: the teacher is asked about the same ones."""
    out = tmp_path / "run"
    stages = [{"losses": ["kl_divergence"], "max_steps": 2, "batch_size": 16}]
    student = {"layers": 3, "vocabulary": {"size": 100}}
    teacher = {"model": "encoder", "max_length": 64, "finetune": {"epochs": 0.1, "batch_size": 16}}
    train_recipe(recipe(kind, teacher=teacher, student=student, stages=stages), out)
    assert log(out)[0]["loss"] < 1e-5


@pytest.mark.parametrize("vocabulary", [None, {"min_count": 1}])
@pytest.mark.parametrize("store_states", [None, "fp32"])
def test_a_student_with_the_same_pieces_under_other_ids_is_compared_token_by_token(
    store_states, vocabulary, trained, tmp_path, train_recipe
):
    """The whole teacher with other ids: its inner states and predictions are the teacher's before it learns anything."""
    start = write_renamed(trained / "teacher", tmp_path / "renamed")
    stages = [
        {"name": "inner", "losses": ["attention_mse", "hidden_mse", "embedding_layer_mse"], "max_steps": 1, "batch_size": 16},
        {"name": "both", "losses": ["logits_mse", "hidden_cosine"], "max_steps": 1, "batch_size": 16, "learning_rate": 1e-9},
    ]
    out = tmp_path / "run"
    student = {"from": str(start), "layers": 3, "vocabulary": vocabulary}
    train_recipe(taught(trained, student=student, stages=stages, train={"precision": "fp32", "store_states": store_states}), out)
    assert log(out)[0]["loss"] < 1e-6


@pytest.mark.parametrize("kind", ["classification", "tokens"])
def test_a_teacher_of_another_family_is_compared_token_by_token(kind, tmp_path, train_recipe, monkeypatch, never):
    """MPNet reads BERT's pieces, has no token types and counts its positions from the padding's id on."""
    tiny.write_encoder(tmp_path / "plain", "mpnet", layers=3, hidden=48)
    teacher = write_renamed(tmp_path / "plain", tmp_path / "mpnet", inputs=["input_ids", "attention_mask"])
    stages = [
        {"name": "inner", "losses": ["attention_mse", "hidden_mse", "minilm_v2"], "max_steps": 3, **QUICK},
        {"name": "prediction", "losses": ["kl_divergence"], "max_steps": 3, **QUICK},
    ]
    tiny.write_encoder(tmp_path / "bert", layers=2, hidden=32)
    student = {"from": str(tmp_path / "bert"), "layers": 1}
    finetune = {"epochs": 0.1, **QUICK}
    taught_by = {"model": str(teacher), "max_length": 60, "finetune": finetune}
    tree = recipe(kind, teacher=taught_by, student=student, stages=stages)
    losses = {}
    for name, store in (("live", None), ("stored", "fp32")):
        out = tmp_path / name
        if store is not None:
            never("distill.tasks.logits.run_over")  # one run of the teacher gives states and predictions
            monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "cache"))
        train_recipe({**tree, "train": {**tree["train"], "store_states": store}}, out)
        losses[name] = [line["losses"] for line in log(out) if "losses" in line]
    for one, other in zip(losses["live"], losses["stored"], strict=True):
        assert other == pytest.approx(one, rel=1e-4, abs=1e-7)


def letters(folder, **shape):
    """An encoder whose tokenizer knows letters alone."""
    tiny.write_encoder(folder, **shape)
    file = folder / "tokenizer.json"
    tree = read(file)
    vocabulary = tree["model"]["vocab"]
    tree["model"]["vocab"] = {p: i for p, i in vocabulary.items() if p.startswith("[") or len(p.removeprefix("##")) == 1}
    file.write_text(json.dumps(tree), "utf-8")
    return folder


@pytest.mark.parametrize("kind", ["layers", "bilstm"])
def test_a_start_model_with_another_tokenizer_learns_from_predictions(kind, trained, tmp_path, train_recipe):
    start = letters(tmp_path / "letters", layers=2, hidden=24)
    out = tmp_path / "run"
    student = {"from": str(start), "layers": [0]}
    if kind == "bilstm":
        student = {"kind": "bilstm", "dim": 24, "hidden": 12}
    train_recipe(taught(trained, student=student), out)
    assert facts(out, "student")["kind"] == kind


@pytest.mark.parametrize(
    ("kind", "loss"), [("classification", "hidden_mse"), ("tokens", "kl_divergence"), ("spans", "logits_mse")]
)
def test_losses_between_tokens_need_one_tokenizer(kind, loss, tmp_path):
    start = letters(tmp_path / "letters", layers=2, hidden=48)
    out = tmp_path / "run"
    stages = [{"losses": [loss], "max_steps": 1, "batch_size": 16}]
    with pytest.raises(ModelError, match=r"start the student from the teacher(.|\n)*hard_label"):
        distill.run(recipe(kind, student={"from": str(start), "layers": 1}, stages=stages), out=out)
    assert {item.name for item in out.iterdir()} <= {"manifest.json", "recipe.yaml", ".lock", "data"}
    assert not list(out.rglob("*.tmp-*"))


@pytest.mark.parametrize(("kind", "loss"), [("pairs", "hidden_mse"), ("spans", "kl_divergence")])
def test_a_teacher_that_is_told_which_text_a_token_is_of_is_not_left_without(kind, loss, tmp_path):
    """DistilBERT reads BERT's tokens and knows no token types, so its rows do not have what the teacher needs."""
    start = tiny.write_encoder(tmp_path / "distilbert", "distilbert", layers=2, hidden=48)
    stages = [{"losses": [loss], "max_steps": 1, "batch_size": 16}]
    with pytest.raises(ModelError, match="which of two texts") as caught:
        distill.run(recipe(kind, student={"from": str(start), "layers": 1}, stages=stages), out=tmp_path / "run")
    assert "token_type_ids" in caught.value.hint


@pytest.mark.parametrize("kind", ["pairs", "spans"])
def test_a_teacher_of_one_token_type_with_berts_tokenizer(kind, tmp_path, train_recipe):
    """From the teacher's training to a file whose graph asks for no token types."""
    tiny.write_encoder(tmp_path / "klue", "roberta", layers=2, hidden=32)
    tiny.tokenizer("bert").save_pretrained(tmp_path / "klue")
    teacher = {"model": str(tmp_path / "klue"), "max_length": 60, "finetune": {"epochs": 0.1, **QUICK}}
    stages = [{"losses": ["hidden_mse", "kl_divergence"], "max_steps": 3, **QUICK}]
    out = tmp_path / "run"
    train_recipe(recipe(kind, teacher=teacher, student={"layers": 1}, stages=stages), out)
    model, tokenizer = load_head_student(out / "student", CLASSES[recipe(kind)["task"]])
    assert "token_type_ids" not in tokenizer("a dog", "a cat")
    assert model.config.type_vocab_size == 1
    proof = distill.export_onnx(
        str(out / "student"), tmp_path / "onnx", presets=("fp32",), task="spans" if kind == "spans" else None
    )
    assert proof["models"]["fp32"]["passed"]
    (file,) = (tmp_path / "onnx").rglob("model.onnx")
    inputs = {node.name for node in ort.InferenceSession(str(file)).get_inputs()}
    assert inputs == {"input_ids", "attention_mask"}
