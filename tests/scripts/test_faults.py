"""The fault harnesses tell a difference and a stage that was hit; that they go through whole is shown by their tables."""

from __future__ import annotations

import importlib.util
import json
import random
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "scripts" / "faults"


def loaded(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def runs():
    return loaded("tiny_runs")


@pytest.fixture(scope="module")
def disk():
    before = list(sys.path)
    yield loaded("disk")
    sys.path[:] = before


def test_files_that_differ_are_missing_or_are_left_are_named(runs, tmp_path):
    whole, other = tmp_path / "whole", tmp_path / "other"
    for folder in (whole, other):
        folder.mkdir()
        (folder / "same").write_text("x", "utf-8")
        (folder / "measure.json").write_text(folder.name, "utf-8")
    assert runs.compare(whole, other) == []
    (whole / "student").write_text("one", "utf-8")
    (other / "student").write_text("two", "utf-8")
    (whole / "gone").write_text("x", "utf-8")
    (other / ".log.tmp-1").write_text("", "utf-8")
    (other / "work").mkdir()
    (tmp_path / "other.cache").mkdir()
    (tmp_path / "other.cache" / ".shard.tmp-2").write_text("", "utf-8")
    assert runs.compare(whole, other) == [".log.tmp-1", "gone", "student", ".shard.tmp-2", "work"]


@pytest.mark.parametrize(("made", "stage"), [([], "teacher"), (["teacher", "data"], "signals"), (["x"], "teacher")])
def test_the_stage_is_the_first_that_is_not_made(runs, tmp_path, made, stage):
    order = runs.STAGES["embedding"].split()
    assert runs.stage_of(tmp_path, order, 0) == "start"
    (tmp_path / "manifest.json").write_text(json.dumps({"stages": [{"name": name} for name in made]}), "utf-8")
    assert runs.stage_of(tmp_path, order, 0) == stage
    assert runs.stage_of(tmp_path, order, 1e12) == "start"  # a manifest of the start before


def test_a_checkpoint_and_quantizing_are_told_from_files(runs, tmp_path):
    order = runs.STAGES["task"].split()
    done = [{"name": name} for name in ("data", "finetune", "teacher")]
    (tmp_path / "manifest.json").write_text(json.dumps({"stages": done}), "utf-8")
    checkpoint = tmp_path / "work" / "key" / "main" / "checkpoint-5"
    checkpoint.mkdir(parents=True)
    assert runs.stage_of(tmp_path, order, 0) == "checkpoint"
    (checkpoint / "complete.json").write_text("{}", "utf-8")
    assert runs.stage_of(tmp_path, order, 0) == "training"
    done += [{"name": "training"}, {"name": "student"}]
    (tmp_path / "manifest.json").write_text(json.dumps({"stages": done}), "utf-8")
    assert runs.stage_of(tmp_path, order, 0) == "onnx"
    (tmp_path / "student" / "onnx").mkdir(parents=True)
    (tmp_path / "student" / "onnx" / "model.onnx").write_text("graph", "utf-8")
    assert runs.stage_of(tmp_path, order, 0) == "quantizing"


def test_the_table_goes_on_and_counts_what_is_lost_or_differs(runs, tmp_path):
    row = {"kind": "SIGKILL", "recipe": "task", "chain": 0, "hit": "data", "lost": None}
    table = runs.Table(tmp_path / "kill.json", "Kills")
    for more in ({}, {"lost": "a start ended with 3"}, {"hit": None}, {"hit": None, "end": True, "differs": ["student"]}):
        table.add({**row, **more})
    assert runs.Table(tmp_path / "kill.json", "Kills").rows == table.rows
    text = (tmp_path / "kill.md").read_text("utf-8")
    assert "Faults: 2 in 1 runs, 1 of which have ended; lost: 1; runs that differ: 1." in text
    assert "| data, augmentation | 2 |" in text
    (tmp_path / "kill.json").write_text(json.dumps({"source": "other", "rows": []}), "utf-8")
    with pytest.raises(SystemExit, match="other code"):
        runs.Table(tmp_path / "kill.json", "Kills")


@pytest.mark.parametrize("how", ["truncated", "flipped", "emptied", "removed"])
def test_damage_changes_a_file(disk, tmp_path, how):
    file = tmp_path / "file"
    file.write_bytes(bytes(range(100)))
    disk.damage(file, how, random.Random(1))
    assert not file.exists() if how == "removed" else file.read_bytes() != bytes(range(100))
    assert how != "flipped" or len(file.read_bytes()) == 100
