"""The script that compresses a classifier, as a program of its own, on tiny models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "compress_classifier.py"
GRID = "measure={batch: [1], sequence: [32], threads: [1], min_runs: 3, min_seconds: 0}"
QUICK = [
    "teacher.max_length=64",
    "train.max_steps=2",
    "train.batch_size=16",
    "train.precision=fp32",
    "export.presets=[fp32]",
    GRID,
]


def run(*arguments, cwd):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False, timeout=400)


@pytest.fixture
def place(tmp_path):
    tiny.write_classifier(tmp_path / "trained", layers=3)
    tiny.write_task(tmp_path, "classification", 0, 80)
    tiny.write_task(tmp_path, "classification", 80, 110, "test.tsv")
    return tmp_path


def test_help_has_an_example(tmp_path):
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "python scripts/compress_classifier.py " in done.stdout


@pytest.mark.slow
def test_a_trained_classifier(place):
    done = run("--teacher", "./trained", "--train", "rows.tsv", "--test", "test.tsv", "--layers", "2", *QUICK, cwd=place)
    assert done.returncode == 0, done.stderr
    assert "quality (Accuracy, test)" in done.stdout
    assert done.stdout.splitlines()[-1] == "report: runs/tinybert-task/report.html"
    out = place / "runs" / "tinybert-task"
    assert (out / "report.html").is_file()
    assert json.loads((out / "student" / "config.json").read_text())["num_hidden_layers"] == 2
    assert not (out / "teacher").exists()


@pytest.mark.slow
def test_an_encoder_is_fine_tuned_first(place):
    tiny.write_lines(place / "more.txt", tiny.SENTENCES[-50:])
    tiny.write_encoder(place / "encoder", layers=2)
    student = "student={kind: bilstm, dim: 16, hidden: 8}"
    options = ["--recipe", "bert-to-bilstm", "--teacher", "./encoder", "--finetune", "0.5", "--train", "rows.tsv"]
    done = run(*options, "--columns", "text", "label", "--unlabelled", "more.txt", "--out", "small", student, *QUICK, cwd=place)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "report: small/report.html"
    assert (place / "small" / "teacher" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--train", "missing.tsv"], "missing.tsv"),
        (["--train", "rows.tsv", "--columns", "txet", "label"], "txet"),
        (["--train", "rows.tsv", "student.layrs=2"], "did you mean 'layers'"),
        (["--train", "rows.tsv", "--recipe", "tinybert-tsk"], "did you mean 'tinybert-task'"),
    ],
)
def test_mistakes_end_with_2(arguments, word, tmp_path):
    tiny.write_task(tmp_path, "classification", 0, 20)
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert [item.name for item in tmp_path.iterdir()] == ["rows.tsv"]


def test_columns_by_number(place):
    """A file without names whose label comes first."""
    for name in (tiny.TASK_FILES["classification"], "test.tsv"):
        rows = [line.split("\t") for line in (place / name).read_text("utf-8").splitlines()[1:]]
        (place / name).write_text("".join(f"{label}\t{text}\n" for text, label in rows), "utf-8")
    train = tiny.TASK_FILES["classification"]
    arguments = ["--teacher", "trained", "--train", train, "--test", "test.tsv", "--columns", "1", "0", "--layers", "1"]
    done = run(*arguments, "--out", "run", *QUICK, cwd=place)
    assert done.returncode == 0, done.stderr
