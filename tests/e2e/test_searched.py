"""A run with a precision search: made once, told in the report, made again only when what decides it changes."""

from __future__ import annotations

import json

import pytest
import tiny

import distill
from distill.errors import RecipeError


@pytest.fixture
def run(at_home, recipe_file, no_stopwatch):
    tiny.write_sts(at_home / "dev.csv", tiny.sts_rows(30, seed=9))

    def go(out, *overrides):
        given = ["export.presets=[fp32, fast, searched]", "stages.0.epochs=1", "data.select=dev.csv", *overrides]
        return distill.run(recipe_file, given, out=out, force=True)

    return go


def test_an_encoder_is_searched_once(run, tmp_path, capsys):
    out = tmp_path / "run"
    report = run(out, "export.budget.metric_drop=0.02")
    parity = json.loads((out / "parity.json").read_text("utf-8"))
    search = parity["search"]
    assert search == json.loads((out / "student" / "onnx" / "search.json").read_text("utf-8"))
    assert (search["metric"], search["rows"]) == ("sts_spearman", 30)
    assert search["lost"] <= 0.02
    assert parity["models"]["searched"]["gate"] == "metric_drop <= 0.02"
    assert parity["models"]["searched"]["passed"]
    assert set(parity["models"]["searched"]["invariance"]) == {"batch_8", "batch_32", "padded_128"}
    assert parity["models"]["searched"]["batch_invariance"] > 0.9999
    assert report.search.words == search["words"]
    for name in ("report.md", "report.html"):
        assert "Precision search" in (out / name).read_text("utf-8")
    assert "/" not in json.dumps([group["name"] for group in search["groups"]])
    assert distill.load(out / "student", precision="searched").precision == "searched"
    before = (out / "student" / "onnx" / "model_searched.onnx").read_bytes()
    capsys.readouterr()
    run(out, "export.budget.metric_drop=0.02")
    assert "onnx: unchanged" in capsys.readouterr().err
    assert (out / "student" / "onnx" / "model_searched.onnx").read_bytes() == before
    run(out, "export.budget.metric_drop=0.03")
    assert "onnx: unchanged" not in capsys.readouterr().err


def test_a_metric_without_labels_is_refused_before_anything(at_home, recipe_file, tmp_path):
    given = ["export.presets=[fp32, searched]", "export.budget.metric_drop=0.01"]
    with pytest.raises(RecipeError, match=r"needs an sts set in data\.select"):
        distill.run(recipe_file, given, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["classification", "tokens"])
def test_a_task_model_is_searched_by_its_dev_metric(tmp_path, monkeypatch, no_stopwatch, kind):
    monkeypatch.chdir(tmp_path)
    tiny.write_encoder(tmp_path / "encoder", layers=2, hidden=48)
    tiny.write_task(tmp_path, kind, 0, 120)
    recipe = {
        "name": "tiny",
        "task": kind,
        "teacher": {"model": "encoder", "max_length": 64, "finetune": {"epochs": 2, "batch_size": 16, "learning_rate": 1e-3}},
        "data": {"train": tiny.TASK_FILES[kind], "dev": {"share": 0.2}},
        "student": {"layers": 1},
        "stages": [{"losses": ["hard_label"], "epochs": 2, "batch_size": 16, "learning_rate": 1e-3}],
        "export": {"presets": ["fp32", "searched", "fp16"]},
    }
    distill.run(recipe, [], out=tmp_path / "run")
    parity = json.loads((tmp_path / "run" / "parity.json").read_text("utf-8"))
    assert parity["search"]["budget"] == {"metric_drop": 0.005}
    assert parity["search"]["metric"] == {"classification": "accuracy", "tokens": "f1"}[kind]
    assert parity["models"]["searched"]["passed"]
    assert parity["models"]["fp16"]["gate"] == "label_agreement >= 0.99"
