"""`distill sweep`: what it lists, how it ends, and what a failed or interrupted run leaves. Runs are made by a stand-in."""

from __future__ import annotations

import json
import shutil

import pytest
from compared import PredictedRun

from distill.errors import GateError, ModelError
from distill.stopping import Stopped


@pytest.fixture
def made(fake_run, tmp_path, monkeypatch):
    """Runs by a stand-in: those in `broken` raise; gives the labels in the order they ran, and `broken`."""
    monkeypatch.chdir(tmp_path)
    ran, broken = [], {}

    def run(recipe, overrides=(), *, out=None, force=False):
        ran.append(out.name)
        problem = broken.get(out.name)
        if problem is not None and not isinstance(problem, GateError):
            raise problem
        shutil.rmtree(out, ignore_errors=True)
        one = PredictedRun(out)
        one.recipe["student"]["layers"] = recipe.student.layers
        one.facts("signals").update(computed=0 if ran[1:] else 700, reused=700 if ran[1:] else 0)
        one.samples(recipe.student.layers)
        one.write()
        (out / "report.json").write_text("{}", "utf-8")
        if problem is not None:
            raise problem

    fake_run(run)
    return ran, broken


def states(folder="runs/quickstart-sweep"):
    with open(f"{folder}/sweep.json", encoding="utf-8") as stream:
        return {run["label"]: run["state"] for run in json.load(stream)["runs"]}


SWEEP = ("sweep", "quickstart", "student.layers=2,3,4")


def test_a_dry_run_lists_and_makes_nothing(cli, made, tmp_path):
    code, out, err = cli(*SWEEP, "seed=1", "--dry-run")
    assert (code, err) == (0, "")
    assert out.splitlines()[1].split() == ["layers-2", "student.layers=2", "waiting"]
    assert out.splitlines()[-1] == "folder: runs/quickstart-sweep"
    assert list(tmp_path.iterdir()) == []


def test_it_runs_compares_and_says_what_to_ship(cli, made):
    code, out, _ = cli(*SWEEP, "--quiet")
    assert code == 0
    assert made[0] == ["layers-2", "layers-3", "layers-4"]
    assert "teacher: 700 texts read for all runs together, 1,400 times taken from the store" in out
    assert "Ship the file 'fast' of layers-2" in out
    assert "report: runs/quickstart-sweep/compare.html" in out
    assert set(states().values()) == {"done"}


@pytest.mark.parametrize(
    ("problem", "code", "state"),
    [
        (ModelError("no such folder", where="x"), 2, "failed"),
        (ValueError("ours"), 3, "failed"),
        (MemoryError(), 3, "failed"),
        (GateError("fast failed the parity gate"), 1, "gate failed"),
    ],
)
def test_a_failed_run_does_not_lose_the_others(cli, made, tmp_path, problem, code, state):
    made[1]["layers-3"] = problem
    found = cli(*SWEEP, "--quiet")
    assert found.code == code
    assert states() == {"layers-2": "done", "layers-3": state, "layers-4": "done"}
    assert "1 of 3 runs failed" in found.err
    assert "layers-3" in found.err
    assert "Ship the file" in found.out
    compared = (tmp_path / "runs" / "quickstart-sweep" / "compare.json").read_text("utf-8")
    assert ("layers-3" in compared) == (state == "gate failed")


def test_failed_runs_run_again_and_finished_ones_are_kept(cli, made):
    made[1]["layers-3"] = ModelError("no such folder")
    cli(*SWEEP, "--quiet")
    made[1].clear()
    assert cli(*SWEEP, "--quiet").code == 0
    assert made[0] == ["layers-2", "layers-3", "layers-4", "layers-3"]


def test_the_most_serious_failure_decides_the_exit_code(cli, made):
    made[1].update({"layers-2": GateError("a gate"), "layers-4": ModelError("no model")})
    assert cli(*SWEEP, "--quiet").code == 2


def test_an_interrupted_sweep_goes_on(cli, made):
    made[1]["layers-3"] = Stopped(15)
    code, _, err = cli(*SWEEP, "--quiet")
    assert code == 143
    assert "same command again" in err
    assert states() == {"layers-2": "done", "layers-3": "waiting", "layers-4": "waiting"}
    made[1].clear()
    assert cli(*SWEEP, "--quiet").code == 0
    assert made[0] == ["layers-2", "layers-3", "layers-3", "layers-4"]


def test_a_run_whose_report_is_gone_runs_again(cli, made, tmp_path):
    cli(*SWEEP, "--quiet")
    shutil.rmtree(tmp_path / "runs" / "quickstart-sweep" / "layers-4")
    assert cli(*SWEEP, "--quiet").code == 0
    assert made[0][3:] == ["layers-4"]


def test_one_run_alone_has_nothing_to_compare(cli, made):
    made[1].update({"layers-2": ModelError("a"), "layers-3": ModelError("b")})
    code, out, err = cli(*SWEEP)
    assert code == 2
    assert "Ship" not in out
    assert "nothing to compare" in err


def test_another_recipe_in_the_same_folder_is_refused_unless_forced(cli, made):
    assert cli(*SWEEP, "--quiet", "--out", "s").code == 0
    code, _, err = cli(*SWEEP, "train.epochs=3", "--quiet", "--out", "s")
    assert code == 2
    assert "another recipe" in err
    assert cli(*SWEEP, "train.epochs=3", "--quiet", "--out", "s", "--force").code == 0
    assert len(made[0]) == 6


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["quickstart", "student.layers"], "not a sweep"),
        (["quickstart", "student.layers=3"], "nothing varies"),
        (["quickstart", "student.layers=2,3", "--max-runs", "1"], "2 runs"),
        (["quickstrat", "student.layers=2,3"], "quickstart"),
        (["quickstart", "student.layers=2,x"], "layers-x"),
        (["quickstart", "data.train=no.txt,nor.csv"], "nor.csv"),
    ],
)
def test_mistakes_end_with_2_before_anything_runs(cli, made, tmp_path, arguments, word):
    code, _, err = cli("sweep", *arguments)
    assert code == 2
    assert word in err
    assert made[0] == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_else_is_left_alone(cli, made, tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "thesis.txt").write_text("mine", "utf-8")
    code, _, err = cli(*SWEEP, "--out", "s")
    assert code == 2
    assert "thesis.txt" in err
    (tmp_path / "s" / "sweep.json").write_text("[1]", "utf-8")
    assert cli(*SWEEP, "--out", "s").code == 2
