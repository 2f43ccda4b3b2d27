"""What a run may and may not do again."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tiny
from artefacts import keys, log, read, weights
from taskruns import QUICK, recipe

import distill
from distill.errors import UserError
from distill.files import sha256_file
from teachers.heads import CLASSES

NOT_AGAIN = [
    "distill.tasks.training.train_task",
    "distill.tasks.heads.train_task",
    "distill.tasks.training.teacher_logits",
    "distill.tasks.proof.write_head_presets",
    "distill.tasks.proof.check_head_parity",
    "distill.tasks.proof.run_over",
]


def test_an_unchanged_run_trains_nothing(trained, never):
    before = keys(trained)
    report = read(trained / "report.json")
    never(*NOT_AGAIN, "distill.proving.measure_models")
    distill.run(recipe("classification"), out=trained)
    assert keys(trained) == before
    assert read(trained / "report.json") == report
    distill.run(trained / "recipe.yaml", out=trained)
    assert keys(trained) == before


def test_another_grid_is_measured_and_nothing_else(trained, tmp_path, never, no_stopwatch):
    out = shutil.copytree(trained, tmp_path / "run")
    before = keys(out)
    never(*NOT_AGAIN)
    distill.run(recipe("classification", measure={"sequence": [16]}), out=out, force=True)
    assert len(no_stopwatch) == 1
    assert {name for name, key in keys(out).items() if key != before[name]} == {"measure"}


class Killed(BaseException):
    """As a signal would end the process: no handler of ours catches it."""


@pytest.fixture
def kill(monkeypatch):
    """kill(stage) -> context: the run ends when training reaches that stage of the recipe, or `teacher`."""
    from distill.train import stages

    real = stages._run_stage

    def until(stage):
        def run_stage(recipe, spec, *rest, **options):
            if spec.name == stage:
                raise Killed
            return real(recipe, spec, *rest, **options)

        context = pytest.MonkeyPatch.context()
        patch = context.__enter__()
        patch.setattr(stages, "_run_stage", run_stage)
        return context

    return until


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["teacher", "inner", "prediction"])
def test_a_killed_run_goes_on_where_it_was(stage, trained, tmp_path, kill, monkeypatch, train_recipe):
    out = tmp_path / "run"
    context = kill(stage)
    with pytest.raises(Killed):
        distill.run(recipe("classification"), out=out)
    context.__exit__(None, None, None)
    seen = []
    from distill.train import stages

    real = stages._run_stage
    monkeypatch.setattr(stages, "_run_stage", lambda r, spec, *a, **k: seen.append(spec.name) or real(r, spec, *a, **k))
    train_recipe(recipe("classification"), out)
    assert seen == ["teacher", "inner", "prediction"][["teacher", "inner", "prediction"].index(stage) :]
    assert weights(out) == weights(trained)
    assert [(entry["stage"], entry["step"]) for entry in log(out)] == [(entry["stage"], entry["step"]) for entry in log(trained)]


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("classification", {"train.gradient_accumulation": 4}),
        ("spans", {"data.stride": 8}),
        ("spans", {"data.answer_unit": "character"}),
    ],
)
def test_a_teacher_is_trained_again_when_what_trains_it_changes(kind, change, tmp_path, train_recipe):
    """In the same folder as in a new one."""
    tree = recipe(kind)
    tree["teacher"]["finetune"] = {"epochs": 1, **QUICK}
    tree["stages"] = [{"losses": ["kl_divergence"], "max_steps": 1, **QUICK}]
    train_recipe(tree, tmp_path / "run")
    before = keys(tmp_path / "run")["finetune"]
    for name, value in change.items():
        part, key = name.split(".")
        tree[part] = {**tree[part], key: value}
    with pytest.raises(UserError, match="force"):
        distill.run(tree, out=tmp_path / "run")
    train_recipe(tree, tmp_path / "run", force=True)
    assert keys(tmp_path / "run")["finetune"] != before
    train_recipe(tree, tmp_path / "new")
    file = "teacher/model.safetensors"
    assert sha256_file(tmp_path / "run" / file) == sha256_file(tmp_path / "new" / file)


def test_words_without_spaces_are_other_data(place, tmp_path, train_recipe):
    """Neither the run's own stages nor the shared cache of what the teacher said take one for the other."""
    rng = np.random.default_rng(0)
    rows = rng.choice(list("0123456789"), (80, 6)).tolist()
    text = "\n\n".join("\n".join(f"{c}\t{'O' if n else 'B-x'}" for n, c in enumerate(row)) for row in rows)
    (tmp_path / "digits.conll").write_text(f"{text}\n", "utf-8")
    tiny.write_classifier(tmp_path / "teacher", ("B-x", "O"), layers=3, auto_class=CLASSES["tokens"])
    tree = recipe("tokens", teacher={"model": str(tmp_path / "teacher"), "max_length": 64})
    tree["stages"] = [{"losses": ["kl_divergence"], "max_steps": 2, **QUICK}]
    tree["data"] = {"train": str(tmp_path / "digits.conll"), "dev": {"share": 0.2}}
    train_recipe(tree, tmp_path / "run")
    apart = weights(tmp_path / "run")
    tree["data"] = {**tree["data"], "joined_words": True}
    train_recipe(tree, tmp_path / "run", force=True)
    train_recipe(tree, tmp_path / "cached")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISTILL_CACHE", str(tmp_path / "empty"))
        train_recipe(tree, tmp_path / "new")
    assert weights(tmp_path / "run") == weights(tmp_path / "cached") == weights(tmp_path / "new") != apart
