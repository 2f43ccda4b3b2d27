"""Each script runs as a program of its own, on tiny models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

SCRIPTS = Path(__file__).resolve().parent.parent.parent / "scripts"


def script(name, *arguments, cwd):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(SCRIPTS / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False, timeout=400)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny.saved(tmp_path_factory.mktemp("model") / "teacher", layers=2)


def test_all_are_tested_here_or_in_a_file_of_their_own():
    here = {"benchmark_report.py", "compress_sbert.py", "export_onnx.py"}
    folders = {"faults.py", "fuzz.py", "scripts.py", "supply.py"}
    own = {f"{file.stem.removeprefix('test_')}.py" for file in Path(__file__).parent.glob("test_*.py")} - folders
    assert {file.name for file in SCRIPTS.glob("*.py")} == here | own


@pytest.mark.parametrize("name", ["benchmark_report.py", "compress_sbert.py", "export_onnx.py"])
def test_help_has_an_example(name, tmp_path):
    done = script(name, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert f"python scripts/{name} " in done.stdout


@pytest.mark.slow
def test_compress_sbert(model, tmp_path):
    tiny.write_lines(tmp_path / "sentences.txt")
    tiny.write_sts(tmp_path / "sts.csv")
    fixed = ["teacher.max_length=64", "train.max_steps=2", "train.batch_size=16", "train.precision=fp32", "export.presets=[fp32]"]
    grid = "measure={batch: [1], sequence: [32], threads: [1], min_runs: 3, min_seconds: 0}"
    options = ["--teacher", model, "--train", "sentences.txt", "--evaluate", "sts.csv", "--layers", "1", "--out", "run"]
    done = script("compress_sbert.py", *options, *fixed, grid, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "sts" in done.stdout
    assert (tmp_path / "run" / "student" / "onnx" / "model.onnx").is_file()


@pytest.mark.slow
def test_export_onnx(model, tmp_path):
    done = script("export_onnx.py", model, "--out", "small", "--presets", "fp32", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "fp32: passed" in done.stdout
    assert (tmp_path / "small" / "onnx" / "model.onnx").is_file()


@pytest.mark.slow
def test_benchmark_report(model, tmp_path):
    grid = ["--batch", "1", "--sequence", "16", "--min-seconds", "0"]
    done = script("benchmark_report.py", model, "--out", "bench", *grid, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"report": "bench/benchmark.md", "models": 1}
    (row,) = json.loads((tmp_path / "bench" / "measure.json").read_text())["variants"][0]["latency"]
    assert (row["batch"], row["sequence"]) == (1, 16)
    assert row["n"] >= 30
    assert "| student | torch |" in (tmp_path / "bench" / "benchmark.md").read_text()


@pytest.mark.parametrize(
    ("name", "arguments", "word"),
    [
        ("compress_sbert.py", ["--train", "missing.txt"], "missing.txt"),
        ("compress_sbert.py", ["student.layrs=2"], "did you mean 'layers'"),
        ("benchmark_report.py", ["missing.onnx", "--out", "bench"], "missing.onnx"),
    ],
)
def test_mistakes_end_with_2(name, arguments, word, tmp_path):
    done = script(name, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
