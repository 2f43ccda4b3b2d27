"""`distill export --budget --calibration`: what reaches the export, and what is refused before it."""

from __future__ import annotations

import pytest


@pytest.fixture
def asked(monkeypatch):
    import distill.export.onnx as room

    proof = {"gate": "mean_cosine >= 0.999", "max_abs": 2e-3, "mean_cosine": 0.9995, "passed": True}
    found = {}

    def fake(model, out, presets, *rest, **more):
        found.update(more)
        return {"models": dict.fromkeys(presets, proof)}

    monkeypatch.setattr(room, "export_onnx", fake)
    return found


def test_budget_and_text_reach_the_export(cli, asked, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("one\ntwo\n", "utf-8")
    more = ["--presets", "fp32,searched", "--budget", "min_cosine=0.999", "--calibration", text]
    assert cli("export", "some-model", "--out", tmp_path / "new", *more).code == 0
    assert asked["budget"].min_cosine == 0.999
    assert asked["texts"] == ["one", "two"]


def test_nothing_is_passed_on_that_was_not_asked_for(cli, asked, tmp_path):
    assert cli("export", "some-model", "--out", tmp_path / "new").code == 0
    assert not asked


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (["--budget", "min_cosine=0.999"], "add searched to --presets"),
        (["--presets", "fp32,searched", "--budget", "metric_drop=0.01"], "needs labels"),
        (["--presets", "fp32,searched", "--budget", "0.99"], "no such budget"),
        (["--calibration", "nowhere.txt"], "nowhere.txt"),
        (["--presets", "fp32,fp61"], "did you mean 'fp16'"),
    ],
)
def test_mistakes_end_with_2(cli, asked, tmp_path, more, word):
    code, _, err = cli("export", "some-model", "--out", tmp_path / "new", *more)
    assert code == 2
    assert word in err
    assert not asked
