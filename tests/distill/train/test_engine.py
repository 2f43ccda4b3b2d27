"""A stage of training as a whole: what it logs, which weights it keeps, when it stops."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from distill.errors import GateError, UserError
from distill.files import remembered
from distill.train import arguments, engine, judges, stages, trainer

SENTENCES, DEV = tiny.SENTENCES[:96], tiny.SENTENCES[200:232]  # as in conftest
STEPS = 12
"""Optimizer steps of an epoch: 96 sentences in batches of 8."""


def scripted(monkeypatch, spearman, cosine=None):
    """Let the dev metric take these values, one an evaluation; returns the dev vectors that were judged."""
    seen = []
    cosine = cosine or [0.5] * len(spearman)

    def judge(student, teacher):
        number = len(seen)
        seen.append(student.copy())
        return {
            "agreement_spearman": spearman[number],
            "agreement_cosine": cosine[number],
            "similarity_spread": 1.0,
            "teacher_spread": 1.0,
        }

    monkeypatch.setattr(judges, "quick_agreement", judge)
    return seen


def dev_vectors(student):
    return student.model.encode(DEV, batch_size=64, show_progress_bar=False)


@pytest.mark.parametrize(("batch_size", "accumulation", "steps"), [(8, 1, 12), (8, 5, 3), (7, 3, 5)])
def test_the_logged_total_is_the_sum_of_the_logged_parts(train, batch_size, accumulation, steps):
    """Also where batches are gathered into one step, and where the last step of an epoch has fewer of them."""
    losses = ["embedding_cosine", {"name": "similarity_matrix", "weight": 4.0}, {"name": "pair_order", "weight": 2.0}]
    stage = {"losses": losses, "epochs": 1, "batch_size": batch_size}
    found = train(stages=[stage], gradient_accumulation=accumulation, evaluate_every=2)
    logged = [entry for entry in found.log if "loss" in entry]
    assert [entry["step"] for entry in logged] == list(range(1, steps + 1))
    for entry in logged:
        assert list(entry["losses"]) == ["embedding_cosine", "similarity_matrix", "pair_order"]
        assert entry["loss"] == pytest.approx(sum(entry["losses"].values()), abs=1e-5)
        assert entry["grad_norm"] > 0
    assert found.facts["stages"][0]["steps"] == steps


def test_every_batch_of_a_step_has_a_number(train, monkeypatch):
    """What is drawn at random for a batch goes by it, so that batches of one step are not alike."""
    seen, forward = [], engine.EmbeddingObjective.forward

    def watched(self, *args, **kwargs):
        if self.training:
            seen.append((self.step, self.part))
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(engine.EmbeddingObjective, "forward", watched)
    train(stages=[{"losses": ["embedding_cosine"], "max_steps": 2, "batch_size": 8}], gradient_accumulation=3)
    assert seen[-6:] == [(step, part) for step in (0, 1) for part in range(3)]


def test_the_total_is_the_sum_where_several_steps_share_a_line(train, monkeypatch):
    monkeypatch.setattr(arguments, "LOG_LINES", 4)
    found = train(stages=[{"epochs": 1}], evaluate_every=6)
    logged = [entry for entry in found.log if "loss" in entry]
    assert [entry["step"] for entry in logged] == [3, 6, 9, 12]
    for entry in logged:
        assert entry["loss"] == pytest.approx(sum(entry["losses"].values()), abs=1e-5)


def test_the_first_logged_loss_is_that_of_the_untrained_student(train, vectors):
    """Without dropout and with one batch an epoch the number can be worked out from the student's own vectors."""
    before = []

    def still(student):
        for module in student.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        before.append(student.bridge(torch.from_numpy(student.model.encode(SENTENCES, show_progress_bar=False))))

    stage = {"losses": [{"name": "embedding_cosine", "weight": 3.0}], "epochs": 1, "batch_size": 96}
    found = train(stages=[stage], touch=still)
    cosine = torch.nn.functional.cosine_similarity(before[0], torch.from_numpy(vectors[0]), dim=-1)
    assert found.log[0]["loss"] == pytest.approx(3 * (1 - float(cosine.mean())), abs=1e-5)


def test_training_comes_closer_to_the_teacher(train):
    found = train(stages=[{"epochs": 4, "learning_rate": 2e-3}], evaluate_every=STEPS)
    logged = [entry["loss"] for entry in found.log if "loss" in entry]
    assert np.mean(logged[-5:]) < 0.7 * np.mean(logged[:5])
    dev = [entry["dev"]["agreement_spearman"] for entry in found.log if "dev" in entry]
    assert found.facts["stages"][0]["best_value"] == max(dev) > dev[0] - 1e-9


def test_the_best_checkpoint_is_kept_and_not_the_last(train, monkeypatch):
    seen = scripted(monkeypatch, [0.2, 0.9, 0.5, 0.3])
    found = train(stages=[{"epochs": 1}], evaluate_every=3)
    assert len(seen) == 4
    kept = dev_vectors(found.student)
    assert np.abs(kept - seen[1]).max() < 1e-6
    assert np.abs(kept - seen[3]).max() > 1e-3
    stage = found.facts["stages"][0]
    assert (stage["best_step"], stage["best_value"], stage["steps"], stage["stopped"]) == (6, 0.9, 12, "planned end")


@pytest.mark.parametrize(("accumulation", "rows"), [(1, 8), (2, 16)])
def test_a_gradient_that_is_not_finite_stops_before_the_step(train, monkeypatch, accumulation, rows):
    """The loss is finite still: the next step's would name other rows, and the weights would be lost."""
    before = []

    def broken(self, logs, start_time=None):
        before.append({name: weight.clone() for name, weight in self.model.named_parameters()})
        weight = next(weight for weight in self.model.parameters() if weight.requires_grad)
        weight.register_hook(lambda gradient: gradient * float("nan"))

    with monkeypatch.context() as patch:
        patch.setattr(trainer.DistillTrainer, "log", broken)
        with pytest.raises(GateError, match="the gradient is not a finite number") as caught:
            train(stages=[{"epochs": 1}], gradient_accumulation=accumulation, touch=before.append)
    student = before[0]
    assert "step 1" in caught.value.where
    assert len(caught.value.hint.split("[")[1].split("]")[0].split(",")) == rows
    weights = dict(student.model.named_parameters())
    assert all(torch.equal(before[1][f"student.{name}"], weight) for name, weight in weights.items())
    assert all(weight.isfinite().all() for weight in weights.values())


def test_a_cosine_between_different_widths_is_refused_before_training(train, tmp_path):
    """The student ships 32 numbers, the teacher 48: the bridge is dropped."""
    with pytest.raises(UserError, match=r"train\.select_by.*\n.*widths 32 and 48"):
        train(select_by="agreement_cosine")
    assert not (tmp_path / "a").exists()


def test_precision_is_tried_where_the_student_is(tmp_path, monkeypatch):
    """A model that was loaded onto another device gets its batch there."""
    seen = []
    monkeypatch.setattr(stages, "choose_precision", lambda model, batch: (seen.append(batch), ("fp32", "measured"))[1])
    assert stages._remember(tmp_path / "p.json", torch.nn.Linear(2, 2, device="meta"), {"input_ids": torch.zeros(1, 2)}) == "fp32"
    assert seen[0]["input_ids"].device.type == "meta"


def test_the_recipe_chooses_the_metric(train, monkeypatch):
    seen = scripted(monkeypatch, [0.2, 0.9, 0.5, 0.3], cosine=[0.1, 0.2, 0.8, 0.4])
    found = train(stages=[{"epochs": 1}], evaluate_every=3, select_by="agreement_cosine", projection="keep")
    stage = found.facts["stages"][0]
    assert (stage["best_step"], stage["best_value"], stage["select_by"]) == (9, 0.8, "agreement_cosine")
    assert np.abs(dev_vectors(found.student) - seen[2]).max() < 1e-6


def test_training_stops_early(train, monkeypatch):
    seen = scripted(monkeypatch, [0.5, 0.9, 0.8, 0.85, 0.99, 0.99])
    found = train(stages=[{"epochs": 1}], evaluate_every=2, patience=2)
    assert len(seen) == 4
    stage = found.facts["stages"][0]
    assert (stage["steps"], stage["planned_steps"], stage["stopped"], stage["best_step"]) == (8, 12, "early", 4)
    assert np.abs(dev_vectors(found.student) - seen[1]).max() < 1e-6


@pytest.mark.parametrize(("every", "expected"), [(5, [5, 7]), (0.25, [3, 6, 7]), (7, [7]), (50, [7]), (1, [7])])
def test_the_last_step_is_judged_whatever_the_rhythm(train, every, expected):
    """`evaluate_every` counts epochs up to 1 and steps above."""
    found = train(stages=[{"max_steps": 7}], evaluate_every=every)
    assert [entry["step"] for entry in found.log if "dev" in entry] == expected


def test_a_collapsed_student_stops_training(train):
    """The last layer norm gives the same vector for every token: all sentences are alike, and stay so."""

    def collapse(student):
        last = student.model[0].auto_model.encoder.layer[-1].output.LayerNorm
        with torch.no_grad():
            last.weight.zero_()
            last.bias.copy_(torch.linspace(-1, 1, 32))

    with pytest.raises(GateError, match="collapsed") as caught:
        train(stages=[{"learning_rate": 1e-6}], touch=collapse)
    assert caught.value.exit_code == 1
    assert "stage 'main', step 5" in caught.value.where
    assert "learning_rate" in caught.value.hint


def test_a_metric_that_is_not_a_number_is_a_collapse(train, monkeypatch):
    scripted(monkeypatch, [float("nan")])
    with pytest.raises(GateError, match="collapsed"):
        train(stages=[{"epochs": 1}])


def test_a_loss_that_is_not_finite_names_the_rows(train, vectors):
    broken = vectors[0].copy()
    broken[37] = np.nan
    asked = []

    def rows(index):
        asked.append(index.tolist())
        return broken[index]

    with pytest.raises(GateError, match="not a finite number") as caught:
        train(rows=rows)
    assert caught.value.exit_code == 1
    batch = next(batch for batch in asked if 37 in batch)
    assert f"training rows {batch}" in caught.value.hint
    assert "embedding_cosine" in str(caught.value)


def test_checkpoints_hold_no_pickled_arguments(train, monkeypatch):
    """What torch.load would run code from is not there; what is there can be read with weights_only."""
    seen = []
    seal = trainer.seal

    def look(folder):
        seen.append({file.name for file in Path(folder).iterdir()})
        torch.load(folder / "optimizer.pt", weights_only=True)
        torch.load(folder / "scheduler.pt", weights_only=True)
        seal(folder)

    monkeypatch.setattr(trainer, "seal", look)
    train(stages=[{"epochs": 1}], evaluate_every=6)
    assert len(seen) == 2
    for names in seen:
        assert {"model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json"} <= names
        assert "training_args.bin" not in names
        assert not {name for name in names if name.endswith((".bin", ".pkl", ".pickle"))}


def test_after_a_stage_its_checkpoints_are_gone(train, tmp_path):
    train(stages=[{"epochs": 1}])
    assert sorted(item.name for item in (tmp_path / "a" / "work" / "main").iterdir()) == ["final"]
    assert not list(tmp_path.rglob("training_args.bin"))


def test_the_start_model_is_left_alone(train, start):
    before = copy.deepcopy(start.state_dict())
    found = train(stages=[{"epochs": 1}])
    assert not start.training
    assert not found.student.model.training
    assert all(weight.grad is None for weight in start.parameters())
    assert all(torch.equal(before[name], weight) for name, weight in start.state_dict().items())


def test_the_student_is_judged_without_dropout_and_trained_with_it(train, monkeypatch):
    modes = []
    forward = engine.EmbeddingObjective.embed

    def watch(self, features):
        modes.append((self.training, torch.is_grad_enabled()))
        return forward(self, features)

    monkeypatch.setattr(engine.EmbeddingObjective, "embed", watch)
    train(stages=[{"max_steps": 2}], evaluate_every=2)
    assert modes == [(True, True)] * 3 + [(False, False)]  # the first tells how much memory it will take


def test_a_second_stage_goes_on_from_the_first(train):
    two = [{"name": "cosine", "epochs": 1}, {"name": "order", "epochs": 1, "losses": ["pair_order"], "learning_rate": 1e-5}]
    found = train(stages=two)
    alone = train("alone", stages=two[:1])
    assert [(entry["name"], entry["steps"]) for entry in found.facts["stages"]] == [("cosine", 12), ("order", 12)]
    assert [entry["stage"] for entry in found.log if "loss" in entry] == ["cosine"] * 12 + ["order"] * 12
    word = next(name for name in found.weights if name.endswith("word_embeddings.weight"))
    moved = (found.weights[word] - alone.weights[word]).abs().max()
    assert 0 < moved < 1e-3


def test_a_precision_that_was_tried_out_is_used_again(train, tmp_path, monkeypatch):
    """Timing again after an interruption could choose otherwise, and the run would not be the same."""
    folder = tmp_path / "a" / "work" / "main"
    folder.mkdir(parents=True)
    remembered(folder / "precision.json", lambda: "bf16")
    monkeypatch.setattr(stages, "choose_precision", lambda *a: pytest.fail("tried again"))
    found = train(stages=[{"max_steps": 3}, {"name": "next", "max_steps": 2}], precision="auto")
    assert found.facts["precision"] == "bf16"
    assert [stage["precision"] for stage in found.facts["stages"]] == ["bf16", "bf16"]
