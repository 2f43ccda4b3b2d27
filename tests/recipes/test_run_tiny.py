"""Every shipped recipe runs from end to end, on models that are built here in a second."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny
import yaml

from distill.recipe_load import load_recipe, recipe_names

PRESETS = {"quickstart": "[fp32, fast, faithful]"}
FILES = {"fp32": "model.onnx", "fast": "model_quantized.onnx", "faithful": "model_faithful.onnx"}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return tiny.saved(folder / "teacher", layers=4, hidden=48), tiny.saved(folder / "start", layers=3, hidden=32, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", recipe_names())
def test_it_runs(name, models, tmp_path):
    import distill

    teacher, start = models
    recipe = load_recipe(name)
    presets = PRESETS.get(name, "[fp32]")
    overrides = [
        f"teacher.model={teacher}",
        "teacher.max_length=64",
        f"data.train={tiny.write_lines(tmp_path / 'sentences.txt')}",
        f"data.evaluate.sts={tiny.write_sts(tmp_path / 'sts.csv')}",
        "train.max_steps=3",
        "train.batch_size=16",
        "train.precision=fp32",
        f"export.presets={presets}",
        "measure={batch: [1], sequence: [32], threads: [1], min_runs: 3, min_seconds: 0}",
    ]
    if recipe.data.augment:
        overrides += ["data.augment.sentences=60", "data.augment.max_words=25"]
    if recipe.student.from_ != "teacher":
        overrides += [f"student.from={start}", "student.layers=2"]
    out = tmp_path / "run"
    report = distill.run(name, overrides, out=out)

    assert report.passed
    assert json.loads((out / "report.json").read_text())["headline"]["task"] == "sts"
    assert {"report.md", "report.html", "parity.json", "measure.json", "quality.json", "log.jsonl", "data"} <= {
        item.name for item in out.iterdir()
    }
    made = yaml.safe_load(presets)
    assert {item.name for item in (out / "student" / "onnx").iterdir()} == {*(FILES[preset] for preset in made), "gates.json"}
    assert "work" not in {item.name for item in out.iterdir()}
    assert not list(out.rglob("*.bin")) + list(out.rglob("*.pt")) + list(out.rglob("*.tmp-*"))
    resolved = load_recipe(out / "recipe.yaml")
    assert resolved.teacher.model == str(teacher)

    from sentence_transformers import SentenceTransformer

    texts = [*tiny.SENTENCES[:5], ""]
    torch_vectors = SentenceTransformer(str(out / "student"), device="cpu").encode(texts)
    onnx_vectors = distill.load(out / "student", precision="fp32").encode(texts)
    assert torch_vectors.shape == (6, 48)
    assert np.abs(torch_vectors - onnx_vectors).max() < 1e-4
