"""The search script as a program of its own: index, query, compare."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import bag
import pytest
import tiny

SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "search.py"


def run(*arguments, cwd):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False, timeout=400)


@pytest.fixture
def here(tmp_path):
    bag.folder(tmp_path / "model")
    tiny.write_lines(tmp_path / "texts.txt", ["the cat sat", "a dog ran", "", "the mat", "on on on", "a dog ran"])
    return tmp_path


def test_help_has_an_example(tmp_path):
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    for command in ("index", "query", "compare"):
        assert f"python scripts/search.py {command} " in done.stdout


def test_from_texts_to_answers(here):
    done = run("index", "texts.txt", "--model", "model", "--out", "index", cwd=here)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("5 texts, 5 vectors of 3 dimensions")
    done = run("query", "index", "the mat", "on on on", "-k", "2", cwd=here)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 6
    assert lines[0] == "the mat"
    assert lines[1] == "  1. 1.000  the mat"
    assert lines[4] == "  1. 1.000  on on on"


@pytest.mark.slow
def test_compare(here):
    tiny.saved(here / "teacher", layers=1)
    tiny.write_lines(here / "many.txt", [*tiny.SENTENCES[:60], tiny.SENTENCES[0]])
    arguments = ["--teacher", "teacher", "--student", "teacher", "--torch", "--kinds", "flat_ip", "int8", "--dims", "8"]
    done = run("compare", "many.txt", *arguments, cwd=here)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "60 texts, 60 queries"
    assert len(lines) == 1 + 2 + 4 + 2
    assert "| flat_ip | student -> student | 32 | 1.000 | 1.000 | 1.000 |" in done.stdout
    assert "1 texts occur twice" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["index", "missing.txt", "--model", "model", "--out", "new"], "missing.txt"),
        (["index", "texts.txt", "--model", "./nowhere", "--out", "new"], "--torch"),
        (["index", "texts.txt", "--model", "model", "--out", "new", "--dim", "7"], "1 to 3"),
        (["query", "model", "cat"], "no index in this folder"),
        (["query", "nowhere", "cat"], "no such folder"),
    ],
)
def test_mistakes_end_with_2(arguments, word, here):
    done = run(*arguments, cwd=here)
    assert done.returncode == 2
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert not (here / "new").exists()


def test_a_model_of_another_width_ends_with_2(here):
    run("index", "texts.txt", "--model", "model", "--out", "index", cwd=here)
    wide = here / "wide"
    bag.folder(wide)
    (wide / "onnx" / "model.onnx").write_bytes(bag.graph(1.0, dim="width").SerializeToString())
    files = [wide / "onnx" / name for name in ("model.onnx", "model_quantized.onnx", "model_faithful.onnx")]
    for file in files:
        file.write_bytes(wider().SerializeToString())
    done = run("query", "index", "cat", "--model", "wide", cwd=here)
    assert done.returncode == 2
    assert "4 dimensions from wide" in done.stderr
    assert "3 dimensions" in done.stderr


def wider():
    """The bag of words with a fourth dimension."""
    import numpy as np
    from onnx import numpy_helper

    model = bag.graph(1.0, dim=4)
    table = model.graph.initializer[0]
    rows = numpy_helper.to_array(table)
    table.CopyFrom(numpy_helper.from_array(np.concatenate([rows, rows[:, :1]], axis=1), "table"))
    return model
