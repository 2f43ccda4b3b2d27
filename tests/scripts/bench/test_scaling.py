"""The parts of the scaling benchmark that need no run."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from distill.files import write_json

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "bench" / "scaling.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("scaling", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_text_is_the_same_each_time_and_every_sentence_another(bench, tmp_path):
    for name in ("a", "b"):
        bench.write_text(tmp_path / name, 500)
    lines = (tmp_path / "a").read_text("utf-8").splitlines()
    assert (tmp_path / "b").read_text("utf-8").splitlines() == lines
    assert len(set(lines)) == 500


@pytest.mark.parametrize(
    ("done", "now"),
    [([], "teacher"), (["teacher", "data"], "signals"), (["teacher", "data", "signals", "training"], "after training")],
)
def test_memory_goes_to_the_stage_that_is_going_on(bench, tmp_path, done, now):
    write_json(tmp_path / "manifest.json", {"stages": [{"name": name} for name in done]})
    assert bench.stage_of(tmp_path / "manifest.json") == now


def test_anonymous_memory_is_told_in_megabytes(bench):
    before = bench.anonymous_mb(os.getpid())
    held = b"\x01" * (50 << 20)
    assert bench.anonymous_mb(os.getpid()) - before == pytest.approx(52, abs=15)
    assert len(held)
    assert bench.anonymous_mb(2**22 + 1) == 0.0


def test_the_table_has_a_row_a_size(bench):
    stages = ("data", "signals", "training", "augmentation")
    row = {"seconds": dict.fromkeys(stages, 2.0), "peak_mb": dict.fromkeys(stages, 300.0), "disk_mb": {"store": 1.0, "run": 2.0}}
    result = {
        "sizes": [{"sentences": 10, **row}, {"sentences": 100, **row}],
        "growth": dict.fromkeys(stages, 1.0),
        "processes": [{"processes": 1, "signals_s": 1.0, "training_s": 2.0, "last_loss": 0.1}],
    }
    text = bench.table(result)
    assert "| 100 | 300 | 300 | 300 | 300 |" in text
    assert "from 10 to 100: data 1.00, signals 1.00" in text
