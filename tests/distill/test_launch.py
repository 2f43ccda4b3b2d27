"""What a launcher says of a process, and what several cannot do, told before any work."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from distill.errors import UserError
from distill.launch import Launch, check_launch, launched, refuse_many_processes
from distill.recipe_load import load_recipe
from distill.sweeping import sweep_runs

MEETING = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.mark.parametrize("environment", [{}, {"WORLD_SIZE": "1", "RANK": "0"}, {"WORLD_SIZE": ""}])
def test_without_a_launcher_there_is_one_process(environment: dict[str, str]) -> None:
    assert launched(environment) == Launch(0, 1)
    refuse_many_processes("a sweep", environment)


def test_a_launcher_says_which_process_this_is() -> None:
    assert launched({"WORLD_SIZE": "4", "RANK": "3", **MEETING}) == Launch(3, 4)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        *(({"WORLD_SIZE": size}, "WORLD_SIZE.*expected: a whole number") for size in ("0", "-1", "two", "1.5", "²")),
        ({"WORLD_SIZE": "2", **MEETING}, "RANK.*expected: a whole number"),
        ({"WORLD_SIZE": "2", "RANK": "2", **MEETING}, "RANK.*got: *2.*below WORLD_SIZE=2"),
        ({"WORLD_SIZE": "2", "RANK": "1", "MASTER_PORT": "1"}, "process 1 of 2.*no MASTER_ADDR.*torchrun"),
    ],
)
def test_what_a_launcher_cannot_have_said_is_named(environment: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=f"(?s){said}"):
        launched(environment)


@pytest.mark.parametrize(
    ("overrides", "world", "said"),
    [
        ([], 3, "stages.main.batch_size.*got: *64 sentences, 3 processes.*=63 or 66"),
        (["stages.0.batch_size=2"], 4, "stages.main.batch_size=4$"),
    ],
)
def test_a_batch_that_does_not_divide_is_refused(overrides: list[str], world: int, said: str) -> None:
    recipe = load_recipe("quickstart", ["stages.0.batch_size=64", *overrides])
    check_launch(recipe, Launch(0, 1))
    with pytest.raises(UserError, match=f"(?s){said}"):
        check_launch(recipe, Launch(0, world))


MATCH = {"name": "match", "layer_T": 2, "layer_S": 1, "feature": "hidden", "loss": "hidden_mse", "weight": 1.0}


@pytest.mark.parametrize(
    ("train", "stage", "said"),
    [
        ({"engine": "textbrewer"}, {"losses": ["hard_label"]}, "train.engine"),
        ({"store_states": "fp32"}, {"losses": ["hidden_mse"]}, "train.store_states"),
        ({"compile": True}, {"losses": ["hard_label"]}, "train.compile"),
        ({}, {"losses": ["soft_cross_entropy"], "convention": "textbrewer"}, "convention: textbrewer"),
        ({}, {"losses": [MATCH]}, "matches of chosen layers"),
    ],
)
def test_what_one_process_alone_can_do_is_refused_by_name(train: dict[str, Any], stage: dict[str, Any], said: str) -> None:
    data, student = {"train": "rows.tsv"}, {"layers": 2}
    recipe = {"name": "x", "task": "classification", "teacher": "t", "data": data, "student": student, "stages": [stage]}
    recipe["train"] = {"select_by": "task_metric", **train}
    with pytest.raises(UserError, match=f"(?s){said}.*got: *2 processes"):
        check_launch(load_recipe(recipe), Launch(0, 2))


def test_a_sentence_teacher_is_trained_in_one_process() -> None:
    with pytest.raises(UserError, match=r"(?s)teacher\.finetune.*got: *2 processes"):
        check_launch(load_recipe("sbert-sts"), Launch(0, 2))


def test_a_sweep_is_refused_before_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(UserError, match=r"(?s)process 1.*a sweep runs in one process.*WORLD_SIZE=2"):
        sweep_runs("quickstart", {"student.layers": [2]}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_of_several_processes_one_tells_a_mistake_and_each_ends_with_code_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "distill", "run", "quickstart", "stages.0.batch_size=63", "--out", str(tmp_path / "run")]
    paths = {"PYTHONPATH": str(Path(__file__).parents[2]), **MEETING}
    for rank, said in (("0", 1), ("1", 0)):
        environment = {**os.environ, **paths, "WORLD_SIZE": "2", "RANK": rank}
        ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert ended.returncode == 2, ended.stderr
        assert ended.stderr.count("does not divide") == said
        assert "Traceback" not in ended.stderr
    assert not (tmp_path / "run").exists()
