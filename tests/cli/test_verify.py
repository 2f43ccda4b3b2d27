"""`distill verify` at the command line: what it prints and how it exits."""

from __future__ import annotations

import json

import pytest

from distill.files import write_json
from distill.sealing import seal


@pytest.fixture
def run(tmp_path):
    """A folder that looks like a finished run."""
    from distill.rundir import versions

    folder = tmp_path / "run"
    folder.mkdir()
    recipe = ["name: x", "teacher: {model: owner/name}", "data: {train: python-docs}", "student: {}"]
    recipe.append("stages: [{losses: [embedding_cosine]}]")
    (folder / "recipe.yaml").write_text("\n".join(recipe))
    (folder / "report.md").write_text("# A report\n")
    write_json(folder / "manifest.json", {"finished": "now", "inputs": {}, "packages": versions()})
    seal(folder)
    return folder


def test_a_whole_run(cli, run):
    found = cli("verify", run)
    assert (found.code, found.err) == (0, "")
    assert found.out == f"{run}: 2 files and 0 inputs are as they were\n"


def test_a_changed_run(cli, run):
    (run / "report.md").write_text("# a report\n")
    found = cli("verify", run)
    assert found.code == 1
    assert found.out.splitlines() == ["report.md: changed", f"{run}: 1 of 2 files and 0 inputs are not as they were"]


def test_a_run_that_is_still_going(cli, run):
    manifest = json.loads((run / "manifest.json").read_text())
    write_json(run / "manifest.json", {**manifest, "finished": None})
    found = cli("verify", run)
    assert found.code == 2
    assert "this run has not ended" in found.err
    assert "Traceback" not in found.err
