"""Task models on disk: which class they ask for, what is timed, and that nothing else is loaded."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import tiny
import torch
import transformers

from distill.errors import ModelError
from distill.measure.inputs import random_batch, read_facts
from distill.measure.latency import END_SCOPE, SCOPE, TASK_SCOPE, measure_models, scope_words
from distill.measure.tasks import load_task_model, task_class
from distill.measure.variants import Variant, find_variants

TRIAL = {"batch": (1, 2), "sequence": (8,), "min_runs": 3, "min_seconds": 0.0, "progress": False}
KINDS = ("SequenceClassification", "TokenClassification", "QuestionAnswering")


def save(folder, kind, family="bert"):
    words = tiny.tokenizer(family)
    config = tiny._config(family, 1, 16, 2, 64, len(words))
    model = getattr(transformers, f"AutoModelFor{kind}").from_config(config).eval()
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return model


def save_bilstm(folder):
    from students.bilstm import BiLSTMConfig, build_bilstm

    words = tiny.tokenizer()
    model = build_bilstm(BiLSTMConfig(len(words), 8, 6, 8, num_labels=3, pad_token_id=0), seed=1)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return model


@pytest.mark.parametrize("kind", [*KINDS, "bilstm"])
def test_a_saved_folder_loads_as_what_it_is(tmp_path, kind):
    saved = save_bilstm(tmp_path) if kind == "bilstm" else save(tmp_path, kind)
    assert task_class(tmp_path) == type(saved).__name__
    model = load_task_model(tmp_path)
    assert type(model) is type(saved)
    assert not model.training
    assert next(model.parameters()).dtype == torch.float32
    facts = read_facts(tmp_path)
    assert (facts.vocabulary, facts.longest) == (len(tiny.tokenizer()), None if kind == "bilstm" else 64)
    batch = {name: torch.from_numpy(value) for name, value in random_batch(2, 9, facts.vocabulary, facts.special).items()}
    with torch.inference_mode():
        found, expected = model(**batch), saved(**batch)
    for name in ("start_logits", "end_logits") if kind == "QuestionAnswering" else ("logits",):
        torch.testing.assert_close(found[name], expected[name])


def test_other_folders_are_no_task_models(tmp_path):
    tiny.write_encoder(tmp_path / "plain", layers=1)
    tiny.saved(tmp_path / "sentence", layers=1)
    (tmp_path / "empty").mkdir()
    for name in ("plain", "sentence", "empty"):
        assert task_class(tmp_path / name) is None
    with pytest.raises(ModelError, match="no task model"):
        load_task_model(tmp_path / "plain")


def test_a_sentence_encoder_on_a_body_that_names_a_head_stays_one(tmp_path):
    """modules.json decides."""
    tiny.saved(tmp_path, layers=1)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "architectures": ["BertForSequenceClassification"]}))
    assert task_class(tmp_path) is None


def test_no_code_and_no_pickle_of_a_folder_is_run(tmp_path):
    save(tmp_path / "a", "SequenceClassification")
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    config.update(model_type="evil", auto_map={"AutoModelForSequenceClassification": "evil.EvilForSequenceClassification"})
    config["architectures"] = ["EvilForSequenceClassification"]
    (tmp_path / "a" / "config.json").write_text(json.dumps(config))
    (tmp_path / "a" / "evil.py").write_text("raise SystemExit('ran')")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_task_model(tmp_path / "a")
    model = save(tmp_path / "b", "SequenceClassification")
    (tmp_path / "b" / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "b" / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_task_model(tmp_path / "b")


def test_the_scope_says_what_is_timed(tmp_path):
    save(tmp_path / "task", "TokenClassification")
    tiny.saved(tmp_path / "sentence", layers=1)
    task, sentence = (Variant(name, "student", "torch", tmp_path / name) for name in ("task", "sentence"))
    assert scope_words([task]) == TASK_SCOPE
    assert scope_words([sentence]) == SCOPE
    assert scope_words([sentence], "end_to_end") == END_SCOPE
    assert scope_words([task, sentence]) == f"{SCOPE}; {TASK_SCOPE}"
    assert [variant.name for variant in find_variants(tmp_path / "task")] == ["student"]


@pytest.mark.parametrize("kind", ["QuestionAnswering", "bilstm"])
def test_a_fresh_process_times_it(tmp_path, kind):
    save_bilstm(tmp_path) if kind == "bilstm" else save(tmp_path, kind, "distilbert")
    (made,) = measure_models([Variant("student", "student", "torch", tmp_path)], **TRIAL)["variants"]
    assert made["error"] is None
    assert [(row["batch"], row["sequence"], row["n"]) for row in made["latency"]] == [(1, 8, 3), (2, 8, 3)]


def test_an_exported_classifier_is_timed_without_torch(tmp_path):
    """A graph with the inputs and the output of one is enough."""
    from onnx import TensorProto, helper, save

    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "s"]) for name in ("input_ids", "attention_mask")]
    nodes = [
        helper.make_node("Mul", ["input_ids", "attention_mask"], ["kept"]),
        helper.make_node("Cast", ["kept"], ["logits"], to=TensorProto.FLOAT),
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", "s"])
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, [output]), opset_imports=[helper.make_opsetid("", 20)], ir_version=10
    )
    save(model, str(tmp_path / "model.onnx"))
    code = (
        "import sys; from distill.measure.models import load_onnx; from distill.measure.inputs import random_batch\n"
        f"run = load_onnx({str(tmp_path / 'model.onnx')!r}, 1).prepare(random_batch(2, 5, 30, ()))\n"
        "assert run()[0].shape == (2, 5); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
