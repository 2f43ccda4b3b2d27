"""The fault harness tells a difference and a stage that was hit; that it goes through whole is shown by its table."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parent.parent.parent / "scripts" / "faults" / "kill.py"


@pytest.fixture(scope="module")
def kill():
    spec = importlib.util.spec_from_file_location("faults_kill", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_files_that_differ_are_missing_or_are_left_are_named(kill, tmp_path):
    whole, other = tmp_path / "whole", tmp_path / "other"
    for folder in (whole, other):
        folder.mkdir()
        (folder / "same").write_text("x", "utf-8")
        (folder / "measure.json").write_text(folder.name, "utf-8")
    assert kill.compare(whole, other) == []
    (whole / "student").write_text("one", "utf-8")
    (other / "student").write_text("two", "utf-8")
    (whole / "gone").write_text("x", "utf-8")
    (other / ".log.tmp-1").write_text("", "utf-8")
    (other / "work").mkdir()
    assert kill.compare(whole, other) == [".log.tmp-1", "gone", "student", ".log.tmp-1", "work"]


@pytest.mark.parametrize(("made", "stage"), [([], "teacher"), (["teacher", "data"], "signals"), (list("x"), "teacher")])
def test_the_stage_is_the_first_that_is_not_made(kill, tmp_path, made, stage):
    assert kill.stage_of(tmp_path, 0) == "start"
    (tmp_path / "manifest.json").write_text(json.dumps({"stages": [{"name": name} for name in made]}), "utf-8")
    assert kill.stage_of(tmp_path, 0) == stage
    assert kill.stage_of(tmp_path, 1e12) == "start"  # a manifest of the start before


def test_a_run_that_is_lost_or_differs_is_counted(kill):
    row = {"hit": "data", "lost": None, "differs": []}
    text = kill.summary([row, {**row, "lost": "a start ended with 3"}, {**row, "differs": ["student"]}, {**row, "hit": None}])
    assert "Kills: 3; runs that were lost: 1; runs that differ: 1." in text
    assert "| data | 3 |" in text
