"""The same recipe gives the same files, byte for byte."""

from __future__ import annotations

import json

import distill
from distill.files import sha256_file

FILES = ["model.safetensors", "onnx/model.onnx", "onnx/model_quantized.onnx", "onnx/model_faithful.onnx", "tokenizer.json"]


def made(out, recipe_file, *overrides):
    distill.run(recipe_file, ["train.max_steps=12", *overrides], out=out)
    return {name: sha256_file(out / "student" / name) for name in FILES}


def test_the_same_recipe_twice(at_home, recipe_file, no_stopwatch, tmp_path):
    first, second = (made(tmp_path / name, recipe_file) for name in ("first", "second"))
    assert first == second
    logs = [(tmp_path / name / "log.jsonl").read_bytes() for name in ("first", "second")]
    assert logs[0] == logs[1]
    for name in ("parity.json", "quality.json"):
        assert json.loads((tmp_path / "first" / name).read_text()) == json.loads((tmp_path / "second" / name).read_text())


def test_another_seed_gives_another_student(train, tmp_path):
    """Else the test above would pass for a student that never learned."""
    for seed in (1, 2):
        train(tmp_path / str(seed), f"seed={seed}", "train.max_steps=2")
    assert len({sha256_file(tmp_path / str(seed) / "student" / "model.safetensors") for seed in (1, 2)}) == 2
