"""Stages toward the start model: what they train and are judged by, and how the bridge follows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from distill.recipe import Recipe, normalise
from distill.train import engine, judges, trainer
from distill.train.engine import TrainingData, train_student
from students.build import build_student
from students.spec import LayersSpec

SENTENCES, DEV = tiny.SENTENCES[:96], tiny.SENTENCES[200:232]  # as in conftest
COPY, MAP = {"name": "copy", "toward": "start", "max_steps": 8}, {"name": "map", "max_steps": 6}


class Killed(BaseException):
    """As sudden as a signal."""


def recipe(stages, **train):
    stage = {"losses": ["embedding_cosine"], "batch_size": 96, "learning_rate": 1e-3}
    tree = {
        "name": "tiny",
        "teacher": "unused",
        "data": {"train": "unused.txt", "select": "unused.csv"},
        "student": {"layers": 2, "from": "start"},
        "stages": [stage | extra for extra in stages],
        "train": {"precision": "fp32", "patience": None, "evaluate_every": 4, **train},
    }
    return Recipe.model_validate(normalise(tree))


class Run:
    """One training; notes which rows were asked for, and what the bridge was when it was fitted."""

    def __init__(self, folder: Path, start, teacher_vectors, stages, projection="keep", normalize=True, **train):
        self.asked: list[str] = []
        self.fitted: list[dict[str, torch.Tensor]] = []
        self.student = build_student(
            LayersSpec(layers=2, projection=projection),
            start,
            teacher_dim=48,
            teacher_normalizes=True,
            teacher_prompt="",
            max_length=64,
            seed=42,
        )
        self.begin = self.weights()
        start_vectors = [start.encode(texts, show_progress_bar=False) for texts in (SENTENCES, DEV)]

        def data(name, vectors):
            def rows(index):
                self.asked.append(name)
                return vectors[0][index]

            return TrainingData(SENTENCES, DEV, rows, vectors[1])

        def before_teacher():
            self.fitted.append(self.weights())
            self.student.start_bridge(SENTENCES, teacher_vectors[0])

        self.facts = train_student(
            recipe(stages, **train),
            self.student,
            data("teacher", teacher_vectors),
            teacher_normalizes=True,
            work=folder / "work",
            log=folder / "log.jsonl",
            start=data("start", start_vectors),
            start_normalizes=normalize,
            before_teacher=before_teacher,
        )

    def weights(self):
        found = {name: weight.clone() for name, weight in self.student.model.state_dict().items()}
        if self.student.bridge is not None:
            found |= {f"bridge.{name}": weight.clone() for name, weight in self.student.bridge.state_dict().items()}
        return found

    def bridge(self, weights):
        place = self.student.bridge_place()
        return weights["bridge.weight" if place is None else f"{place}.linear.weight"]


@pytest.fixture
def go(tmp_path, start, vectors):
    def run(folder, stages, **options):
        return Run(tmp_path / folder, start, vectors, stages, **options)

    return run


@pytest.mark.parametrize("projection", ["keep", "drop"])
def test_the_bridge_waits_until_the_copy_is_done(go, projection):
    run = go("a", [COPY, MAP], projection=projection)
    assert len(run.fitted) == 1
    (copied,) = run.fitted
    assert torch.equal(run.bridge(copied), run.bridge(run.begin))
    assert not torch.equal(run.bridge(run.weights()), run.bridge(run.begin))
    word = next(name for name in copied if name.endswith("word_embeddings.weight"))
    assert not torch.equal(copied[word], run.begin[word])
    assert [(stage["name"], stage["steps"]) for stage in run.facts["stages"]] == [("copy", 8), ("map", 6)]


def test_the_bridge_is_fitted_once_however_many_stages_follow(go):
    """A second fit would throw away what the stage before has trained."""
    assert len(go("a", [COPY, MAP, MAP | {"name": "more", "max_steps": 2}]).fitted) == 1


def test_each_stage_learns_from_its_own_goal(go):
    run = go("a", [COPY, MAP])
    assert run.asked == ["start"] * 9 + ["teacher"] * 7  # the first of each tells how much memory it will take


@pytest.mark.parametrize("normalize", [True, False])
def test_the_first_loss_is_that_to_the_start_models_vectors(go, start, tmp_path, normalize):
    """Worked out from the untrained student's own vectors; 2 - 2 cos where lengths are 1."""
    if not normalize:
        del start[-1]
    run = go("a", [COPY | {"losses": ["embedding_mse"]}, MAP], normalize=normalize)
    ours = build_student(
        LayersSpec(layers=2),
        start,
        teacher_dim=32,
        teacher_normalizes=normalize,
        teacher_prompt="",
        max_length=64,
        seed=0,
    ).model.encode(SENTENCES, show_progress_bar=False)
    wanted = start.encode(SENTENCES, show_progress_bar=False)
    assert (np.linalg.norm(wanted, axis=1) == pytest.approx(1, abs=1e-4)) == normalize
    assert run.facts["stages"][0]["steps"] == 8
    first = json.loads((tmp_path / "a" / "log.jsonl").read_text("utf-8").splitlines()[0])
    assert (first["stage"], first["loss"]) == ("copy", pytest.approx(((ours - wanted) ** 2).sum(1).mean(), rel=1e-4))


def test_the_copy_comes_closer_to_the_start_model(go, start):
    run = go("a", [COPY | {"max_steps": 40, "learning_rate": 3e-3}, MAP], evaluate_every=20)
    wanted = start.encode(DEV, show_progress_bar=False)

    def agreement(weights):
        run.student.model.load_state_dict({name: value for name, value in weights.items() if not name.startswith("bridge.")})
        found = run.student.below_bridge(normalize=True).encode(DEV, show_progress_bar=False)
        return float((found * wanted).sum(1).mean())

    assert agreement(run.fitted[0]) > agreement(run.begin) + 0.02


def test_the_best_copy_is_what_the_bridge_is_fitted_to(go, monkeypatch):
    """Not the last one: the weights are put back before the second stage begins."""
    seen, values = [], iter([0.9, 0.2, 0.5, 0.6])

    def judge(student, teacher):
        seen.append(student.copy())
        return {
            "agreement_spearman": next(values),
            "agreement_cosine": 0.5,
            "similarity_spread": 1.0,
            "teacher_spread": 1.0,
        }

    monkeypatch.setattr(judges, "quick_agreement", judge)
    run = go("a", [COPY, MAP])
    assert [stage["best_step"] for stage in run.facts["stages"]] == [4, 6]
    assert [vectors.shape[1] for vectors in seen] == [32, 32, 48, 48]
    last = run.weights()
    run.student.model.load_state_dict(run.fitted[0])
    found = run.student.below_bridge(normalize=True).encode(DEV, batch_size=64, show_progress_bar=False)
    assert np.abs(found - seen[0]).max() < 1e-6
    assert np.abs(found - seen[1]).max() > 1e-4
    run.student.model.load_state_dict(last)


def test_labelled_pairs_judge_the_finished_student_alone():
    found = recipe([COPY, MAP], select_by="sts_spearman")
    assert [engine.chosen_by(found, stage) for stage in found.stages] == ["agreement_spearman", "sts_spearman"]
    found = recipe([COPY, MAP], select_by="agreement_cosine")
    assert [engine.chosen_by(found, stage) for stage in found.stages] == ["agreement_cosine", "agreement_cosine"]


@pytest.mark.parametrize(("stage", "step"), [("copy", 6), ("map", 2), ("map", 5)])
def test_killed_and_started_again_it_ends_as_if_it_never_was(go, tmp_path, monkeypatch, stage, step):
    whole = go("whole", [COPY, MAP])
    before = trainer.StageCallback.on_step_end

    def die(self, args, state, control, **kwargs):
        before(self, args, state, control, **kwargs)
        if state.global_step == step and args.output_dir.endswith(stage):
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(trainer.StageCallback, "on_step_end", die)
        with pytest.raises(Killed):
            go("killed", [COPY, MAP])
    again = go("killed", [COPY, MAP])
    ours, theirs = whole.weights(), again.weights()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    assert (tmp_path / "whole" / "log.jsonl").read_bytes() == (tmp_path / "killed" / "log.jsonl").read_bytes()
