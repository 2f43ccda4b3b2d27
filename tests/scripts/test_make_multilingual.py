"""scripts/make_multilingual.py as a program of its own, on tiny models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "make_multilingual.py"

FIXED = [
    "teacher.max_length=64",
    "train.max_steps=2",
    "train.batch_size=16",
    "train.precision=fp32",
    "data.dev.share=0.2",
    "export.presets=[fp32]",
    "measure={batch: [1], sequence: [32], threads: [1], min_runs: 3, min_seconds: 0}",
]


def run(*arguments, cwd):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False, timeout=400)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """teacher/, start/, en-ko.tsv, and the first 30 pairs as Moses files."""
    folder = tmp_path_factory.mktemp("multilingual")
    tiny.saved(folder / "teacher", layers=2, hidden=32)
    tiny.saved(folder / "start", layers=2, hidden=32, seed=1)
    tiny.write_asked(folder, "multilingual-mse")
    for side, name in enumerate(("train.en", "train.de")):
        (folder / name).write_text("".join(f"{pair[side]} {side}\n" for pair in tiny.pairs()[:30]), encoding="utf-8")
    (folder / "korean.txt").write_text("".join(f"{text} 또\n" for _, text in tiny.pairs()[:20]), encoding="utf-8")
    return folder


def test_help_has_an_example(tmp_path):
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "python scripts/make_multilingual.py --teacher" in done.stdout


@pytest.mark.slow
def test_a_student_of_three_languages(folder):
    pairs = ["--pairs", "en", "ko", "en-ko.tsv", "--pairs", "en", "de", "train.en", "train.de", "--temperature", "3"]
    models = ["--teacher", "teacher", "--student", "start", "--layers", "1", "--more", "korean.txt", "--out", "run"]
    done = run(*pairs, *models, "--set", *FIXED, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "run" / "student" / "onnx" / "model.onnx").is_file()
    counts = json.loads((folder / "run" / "data" / "counts.json").read_text())["counts"]
    assert counts["pairs_kept"] == 170
    assert counts["start"] == 20


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        (["en", "ko"], "two languages and one or two files"),
        (["en", "kr", "en-ko.tsv"], "ko"),
        (["en", "ko", "missing.tsv"], "missing.tsv"),
        (["en", "ko", "train.en", "korean.txt"], "30"),
    ],
)
def test_mistakes_are_told(folder, pairs, told):
    done = run("--pairs", *pairs, "--teacher", "teacher", "--student", "start", cwd=folder)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
