"""`distill export`: what it refuses to touch, and how it ends."""

from __future__ import annotations

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
