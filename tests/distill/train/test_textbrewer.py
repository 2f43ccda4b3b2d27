"""One recipe through TextBrewer's loop and through the trainer: the same losses, the same weights, and no trace left."""

from __future__ import annotations

import functools
import tempfile

import numpy as np
import pytest
import textbrewer
import torch
from engines import ENGINES, assert_same_steps, flat, model, run
from safetensors.torch import load_file

from distill.errors import GateError, UserError
from distill.recipe_losses import OF_TASK
from distill.train.textbrewer_guards import DEFINED
from distill.train.textbrewer_terms import nst_by_width
from teachers.capture import Capture, Wanted


@pytest.fixture
def train(tmp_path):
    """train(engine, losses or stages, task="classification", teacher_width=48, ...) -> Trained."""
    return functools.partial(run, tmp_path)


SOFT = {"name": "soft_cross_entropy", "temperature": 4, "weight": 0.7}
HARD = {"name": "hard_label", "weight": 0.3}
EVERYTHING = [
    SOFT,
    HARD,
    {"name": "attention_mse", "weight": 0.2},
    {"name": "hidden_mse", "weight": 1.5},
    "embedding_layer_mse",
    {"name": "hidden_cosine", "projection": "per_layer"},
    {"name": "pkd", "weight": 3},
    {"name": "nst", "weight": 0.01},
]
EQUAL_WIDTHS = ["fsp", {"name": "hidden_mse", "projection": "shared"}, "hidden_cosine", "attention_mse"]


@pytest.mark.parametrize(
    ("losses", "width"),
    [(EVERYTHING, 48), (["logits_mse", HARD, "hidden_mse"], 48), (EQUAL_WIDTHS, 32), (["hard_label"], 48)],
    ids=["everything", "logits_mse", "equal widths", "labels alone"],
)
def test_one_step_has_the_same_losses(train, losses, width):
    both = [train(engine, [{"losses": losses}], width=width) for engine in ENGINES]
    assert len(both[0].steps()[0]["losses"]) == len(losses)
    assert_same_steps(*both)
    assert {line["step"] for line in both[0].log} == {1}


@pytest.mark.parametrize("task", sorted(OF_TASK.keys() - {"classification", "embedding"}))
def test_one_step_of_every_task(train, task):
    possible = [DEFINED & OF_TASK[task] - {"logits_mse"}, DEFINED & OF_TASK[task] - {"soft_cross_entropy"}]
    for losses in {frozenset(some) for some in possible}:
        stage = {"losses": [{"name": name, "weight": 0.5} for name in sorted(losses | {"hidden_mse"})]}
        both = [train(engine, [stage], task=task, folder=f"{engine} {len(losses)}") for engine in ENGINES]
        assert len(both[0].steps()[0]["losses"]) == len(losses) + 1
        assert_same_steps(*both)


def test_several_steps_have_the_same_weights(train):
    """Two epochs and a part of a third, with a schedule, warmup, weight decay, and gradients that are always clipped.

    Rounding is all that may differ: both add the same float32 terms up in another order, which moves a gradient by some
    1e-7 of its size and, through AdamW, a weight by as much of the rate at each step: well below 12 x 1e-3 x 1e-3.
    Projections are compared as well: clipped by themselves, or not at all, they would differ by far more.
    """
    stage = {"losses": EVERYTHING, "max_steps": 12, "warmup": 0.25, "schedule": "cosine"}
    both = [train(engine, [stage], max_grad_norm=0.5, weight_decay=0.1, evaluate_every=12) for engine in ENGINES]
    assert_same_steps(*both)
    assert min(line["grad_norm"] for line in both[0].steps()) > 1
    weights = [load_file(trained.work / "s0" / "final" / "model.safetensors") for trained in both]
    assert weights[0].keys() == weights[1].keys() > {"inner.projections.shared.weight", "student.classifier.bias"}
    start = model("classification", 2, 32, 2).state_dict()
    moved = [float((ours - weights[0][f"student.{name}"]).abs().max()) for name, ours in start.items()]
    assert np.median(moved) > 2e-3
    assert max(float((ours - weights[1][name]).abs().max()) for name, ours in weights[0].items()) < 1e-5
    told = [dict(trained.facts["stages"][0]) for trained in both]
    for facts in told:
        assert facts.pop("seconds") > 0
    assert told[1].pop("distiller") == "GeneralDistiller"
    assert told[0] == told[1]
    assert both[0].facts.keys() == both[1].facts.keys()


@pytest.mark.parametrize("task", sorted(OF_TASK.keys() - {"embedding"}))
def test_several_teachers_take_the_same_steps(train, task):
    """Its distiller averages three teachers at each step; the trainer has a mean that was made before."""
    compared = {"name": "logits_mse"}
    if task in ("classification", "tokens", "spans"):
        compared = SOFT | {"probability_shift": True, "weight_schedule": "linear_decay"}
    stage = {"losses": [compared, HARD], "max_steps": 4}
    both = [train(engine, [stage], task=task, teachers=3) for engine in ENGINES]
    assert_same_steps(*both)
    assert both[1].facts["stages"][0]["distiller"] == "MultiTeacherDistiller"
    assert both[1].teacher.training is False
    alone = train("textbrewer", [stage], task=task, folder="one")
    assert flat(alone.log) != pytest.approx(flat(both[1].log), rel=1e-3)


def test_dropout_falls_alike(train):
    stage = {"losses": EVERYTHING, "max_steps": 8, "warmup": 0}
    both = [train(engine, [stage], dropout=0.1) for engine in ENGINES]
    assert_same_steps(*both)
    assert flat(both[0].log) != pytest.approx(flat(train("textbrewer", [stage], folder="none").log), rel=1e-3)


def test_two_stages_schedules_and_labelled_rows(train):
    """TinyBERT's two stages: inner states, chosen by their loss; then predictions on the rows with labels, ending early."""
    first = {"losses": EVERYTHING[2:5], "max_steps": 6, "schedule": "constant"}
    second = {
        "losses": [
            {"name": "soft_cross_entropy", "temperature": 2, "weight": 3, "weight_schedule": "linear_growth"},
            {"name": "hard_label", "weight_schedule": "linear_decay"},
        ],
        "max_steps": 16,
        "data": "labelled",
    }
    both = [train(engine, [first, second], labelled=20, patience=2) for engine in ENGINES]
    assert_same_steps(*both)
    told = [
        [{k: v for k, v in stage.items() if k not in ("seconds", "distiller")} for stage in trained.facts["stages"]]
        for trained in both
    ]
    for ours, theirs in zip(*told, strict=True):
        assert ours.pop("best_value") == pytest.approx(theirs.pop("best_value"), rel=1e-5)
        assert ours == theirs
    assert told[1][0]["select_by"] == "loss"
    assert told[1][1]["stopped"] == "early"
    # The best weights are back, not the last: they judge as the best step did.
    left = [trained.student.state_dict() for trained in both]
    assert max(float((ours - left[1][name]).abs().max()) for name, ours in left[0].items()) < 1e-5


def test_nothing_of_textbrewer_is_left(train, tmp_path, monkeypatch, capfd):
    """No pickle, no events, no folder of its own, no bar; both models as they were but for the student's weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(torch, "save", None)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    presets = set(textbrewer.presets.KD_LOSS_MAP), list(textbrewer.FEATURES)
    before, trained = [], []

    def touch(student, teacher):
        before.append({name: weight.clone() for name, weight in teacher.state_dict().items()})
        before.append([sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in x.modules()) for x in (student, teacher)])
        teacher.register_forward_hook(lambda *_: pytest.fail("the whole teacher runs, where its encoder is enough"))
        handle = teacher.base_model.register_forward_hook(lambda module, *_: trained.append(module.training))
        before.append(handle)

    done = train("textbrewer", [{"losses": EVERYTHING, "max_steps": 5}], touch=touch)
    before[2].remove()
    assert trained
    assert not any(trained)
    teacher, student = done.teacher, done.student
    assert all(torch.equal(weight, before[0][name]) for name, weight in teacher.state_dict().items())
    assert not any(module.training for side in (teacher, student) for module in side.modules())
    assert all(weight.requires_grad for side in (teacher, student) for weight in side.parameters())
    assert all(weight.grad is None for weight in teacher.parameters())
    left = [sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in x.modules()) for x in (student, teacher)]
    assert left == [before[1][0], before[1][1] + 1]
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    final = "textbrewer/work/s0/final"
    assert files == {"textbrewer/log.jsonl", f"{final}/model.safetensors", f"{final}/facts.json", f"{final}/complete.json"}
    assert not list((tmp_path / "temporary").iterdir())
    assert presets == (set(textbrewer.presets.KD_LOSS_MAP), list(textbrewer.FEATURES))
    assert "it/s" not in capfd.readouterr().err


def test_a_finished_stage_is_not_trained_twice(train):
    stages = [{"losses": EVERYTHING[2:4], "max_steps": 2}, {"losses": [HARD], "max_steps": 2}]
    first = train("textbrewer", stages)
    again = train("textbrewer", stages)
    assert again.facts == first.facts
    assert again.log == first.log
    weights = first.student.state_dict()
    assert all(torch.equal(weight, weights[name]) for name, weight in again.student.state_dict().items())
    (first.work / "s1" / "final" / "complete.json").unlink()  # cut off in the second stage: that one starts again
    third = train("textbrewer", stages)
    assert third.facts["stages"][0] == first.facts["stages"][0]
    assert flat(third.log) == flat(first.log)


@pytest.mark.parametrize("side", ["student", "teacher"])
def test_a_loss_that_is_no_number_stops(train, side):
    models = []

    def touch(student, teacher):
        models.extend([student, teacher])
        with torch.no_grad():
            (student if side == "student" else teacher).base_model.embeddings.LayerNorm.bias[3] = torch.nan

    with pytest.raises(GateError, match="not a finite number") as caught:
        train("textbrewer", [{"losses": EVERYTHING[:4]}], touch=touch)
    assert "step 0" in str(caught.value)
    assert "hidden_mse" in str(caught.value)
    for one in models:
        assert all(weight.requires_grad for weight in one.parameters())
        with Capture(one, Wanted(embeddings=True)):  # refused if another one still listens
            pass


def test_a_refusal_comes_before_the_first_step(train, tmp_path):
    with pytest.raises(UserError, match="precision"):
        train("textbrewer", [{"losses": [SOFT]}], precision="bf16")
    with pytest.raises(UserError, match="kl_divergence"):
        train("textbrewer", [{"losses": [HARD]}, {"losses": ["kl_divergence"]}])
    assert not (tmp_path / "textbrewer" / "log.jsonl").exists()


def test_precision_auto_is_fp32(train):
    assert train("textbrewer", [{"losses": [HARD]}], precision="auto").facts["precision"] == "fp32"


def test_nst_has_the_width_for_a_divisor_with_a_mask_and_without():
    """Student 1 / width, teacher 0: the Gram matrices are ones and zeros, the loss 1; TextBrewer's own has (width / length)^2."""
    student = [torch.ones(2, 6, 3)] * 2
    teacher = [torch.zeros(2, 6, 5)] * 2
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [1] * 6])
    assert float(nst_by_width(student, teacher)) == pytest.approx(1)
    assert float(nst_by_width(student, teacher, mask)) == pytest.approx(1)
    assert float(textbrewer.MATCH_LOSS_MAP["nst"](student, teacher, mask)) == pytest.approx(0.25)
