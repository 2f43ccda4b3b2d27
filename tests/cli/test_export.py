"""`distill export`: what it refuses to touch, and how it ends."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def fake_export(monkeypatch):
    import distill.export.onnx as room

    def install(passed):
        proof = {"gate": "max_abs <= 1e-4", "max_abs": 2e-7, "mean_cosine": 1.0, "passed": passed}
        monkeypatch.setattr(
            room, "export_onnx", lambda model, out, presets, opset, task: {"models": dict.fromkeys(presets, proof)}
        )

    return install


def test_a_failed_gate_ends_with_1(cli, fake_export, tmp_path):
    fake_export(False)
    code, out, _ = cli("export", "some-model", "--out", tmp_path / "new", "--presets", "fp32,fast")
    assert code == 1
    assert [line.split()[:2] for line in out.splitlines()[:2]] == [["fp32", "FAILED"], ["fast", "FAILED"]]


def test_outputs_that_are_not_numbers_are_told(cli, monkeypatch, tmp_path):
    import distill.export.onnx as room

    proof = {"gate": "max_abs <= 1e-4", "max_abs": None, "mean_cosine": None, "passed": False}
    monkeypatch.setattr(room, "export_onnx", lambda model, out, presets, opset, task: {"models": dict.fromkeys(presets, proof)})
    code, out, _ = cli("export", "some-model", "--out", tmp_path / "new", "--presets", "fp32")
    assert code == 1
    assert "FAILED" in out
    assert "NaN or infinity" in out


def test_passed_gates_end_with_0(cli, fake_export, tmp_path):
    fake_export(True)
    assert cli("export", "some-model", "--out", tmp_path / "new").code == 0


def test_a_folder_with_something_in_it_is_left_alone(cli, fake_export, tmp_path):
    fake_export(True)
    (tmp_path / "mine.txt").write_text("precious")
    assert cli("export", "some-model", "--out", tmp_path).code == 2
    code, _, err = cli("export", "some-model", "--out", tmp_path, "--force")
    assert code == 2
    assert "does not replace" in err
    (tmp_path / "parity.json").write_text("{}")
    assert cli("export", "some-model", "--out", tmp_path, "--force").code == 0


@pytest.mark.parametrize(
    ("arguments", "word"), [(["--presets", "fp32,fsat"], "did you mean 'fast'"), (["--opset", "7"], "opset")]
)
def test_mistakes_end_with_2(cli, tmp_path, arguments, word):
    code, _, err = cli("export", "some-model", "--out", tmp_path / "new", *arguments)
    assert code == 2
    assert word in err


def test_what_was_exported_is_told_with_what_was_assumed(cli, monkeypatch, tmp_path):
    import distill.export.onnx as room

    asked = []

    def given(model, out, presets, opset, task):
        asked.append(task)
        proof = {"gate": "correlation >= 0.99", "max_abs": 0.1, "mean_cosine": None, "correlation": 0.995, "passed": True}
        told = {"task": "regression", "told_by": "one output in config.json", "notes": ["taken for a regression"]}
        return {"models": {"fast": proof}, **told}

    monkeypatch.setattr(room, "export_onnx", given)
    code, out, _ = cli("export", "some-model", "--out", tmp_path / "new", "--task", "regression")
    assert (code, asked) == (0, ["regression"])
    assert "exported as: regression (one output in config.json)" in out
    assert "note: taken for a regression" in out
    assert "correlation 0.99500" in out
    assert "note:" not in cli("export", "some-model", "--out", tmp_path / "new", "--quiet").out


def model_folder(tmp_path, config=None, *, weights="model.safetensors"):
    place = tmp_path / "model"
    place.mkdir()
    config = {"model_type": "bert", "architectures": ["BertModel"], **(config or {})}
    (place / "config.json").write_text(json.dumps(config))
    (place / weights).write_bytes(b"\x02\0\0\0\0\0\0\0{}" if weights.endswith(".safetensors") else b"")
    return place


@pytest.mark.parametrize(
    ("config", "weights", "words"),
    [
        ({"auto_map": {"AutoModel": "code.Model"}}, "model.safetensors", ["auto_map", "not run"]),
        ({}, "pytorch_model.bin", ["pickled", "pytorch_model.bin", "save_pretrained()"]),
        ({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}, "model.safetensors", ["a decoder", "GPT2LMHeadModel"]),
        ({"model_type": "t5", "architectures": ["T5Model"]}, "model.safetensors", ["a sequence-to-sequence model"]),
        ({}, "model.safetensors", ["larger model than the weights"]),
    ],
)
def test_folders_that_cannot_be_exported_end_with_2_and_leave_nothing(cli, tmp_path, config, weights, words):
    place = model_folder(tmp_path, config, weights=weights)
    code, _, err = cli("export", place, "--out", tmp_path / "new")
    assert code == 2
    for word in words:
        assert word in err
    assert "Traceback" not in err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("task", "word"), [("tag", "unknown task"), ("spans", "not what this model is")])
def test_a_task_that_does_not_fit_ends_with_2(cli, tmp_path, task, word):
    place = model_folder(tmp_path, {"architectures": ["BertForTokenClassification"]})
    code, _, err = cli("export", place, "--out", tmp_path / "new", "--task", task)
    assert code == 2
    assert word in err


def test_an_onnx_file_is_no_model_folder(cli, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"graph")
    code, _, err = cli("export", tmp_path / "model.onnx", "--out", tmp_path / "new")
    assert code == 2
    assert "a model is a folder" in err
