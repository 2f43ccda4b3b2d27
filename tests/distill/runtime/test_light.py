"""The runtime works where numpy, onnxruntime and tokenizers are all there is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import bag

ROOT = Path(__file__).resolve().parents[3]
HERE = {**os.environ, "PYTHONPATH": str(ROOT)}

PROGRAM = """
import sys

HEAVY = {"torch", "transformers", "sentence_transformers", "pydantic", "onnx", "rich", "typer", "yaml", "psutil", "scipy"}

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in HEAVY:
            raise ImportError(f"{name} is blocked in this test")

sys.meta_path.insert(0, Blocker())
from distill.runtime.encoder import load

encoder = load(sys.argv[1], threads=2)
print(encoder.encode(["the cat sat", "한국어"]).shape, encoder.dim)
print("ours:", sorted(name for name in sys.modules if name.split(".")[0] in ("distill", "teachers", "students")))
"""


def test_with_everything_else_blocked(tmp_path):
    folder = bag.folder(tmp_path / "m")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)], capture_output=True, text=True, cwd=tmp_path, check=False, env=HERE
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "(2, 3) 3"
    modules = ["distill", "distill.errors", "distill.foreign", "distill.runtime"]
    modules += [
        f"distill.runtime.{name}"
        for name in ("batches", "checks", "encoder", "engine", "model", "opened", "precision", "selfcontained", "session", "text")
    ]
    assert lines[1] == f"ours: {modules}"


OTHERS = (
    PROGRAM.partition("from distill.runtime.encoder")[0]
    + """
from distill import load

model = load(sys.argv[1])
print(type(model).__name__, model.predict(["the cat sat"])[0].label)
"""
)


def test_other_kinds_with_everything_else_blocked(tmp_path):
    folder = bag.logits_folder(tmp_path / "m", labels={"0": "a", "1": "b", "2": "c"})
    done = subprocess.run(
        [sys.executable, "-c", OTHERS, str(folder)], capture_output=True, text=True, cwd=tmp_path, check=False, env=HERE
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["Classifier", "c"]
