"""A task run of two stages, killed anywhere and started again, ends with the weights, bit for bit, of one that never was."""

from __future__ import annotations

import json

import pytest
import tiny
import torch
import toytask
from torch import nn
from transformers import AutoModelForMaskedLM

from distill.errors import UserError
from distill.recipe import Recipe, normalise
from distill.train import stages as rooms
from distill.train import trainer
from distill.train.engine import TrainingData, train_student
from distill.train.inner import InnerTeacher
from students.build import build_student
from students.spec import LayersSpec

STAGES = [
    {
        "name": "inner",
        "epochs": 1.5,
        "losses": [
            {"name": "hidden_mse", "projection": "per_layer"},
            {"name": "embedding_layer_mse", "weight_schedule": "linear_decay"},
            "attention_mse",
            "ckd_word",
        ],
    },
    {
        "name": "predict",
        "epochs": 1.5,
        "losses": [{"name": "kl_divergence", "temperature": 2, "temperature_schedule": "cwsm"}, "hard_label"],
    },
]  # 15 steps each, a checkpoint after every 5


class Killed(BaseException):
    """As sudden as a signal: nothing catches it on the way out."""


def train(folder):
    """Every run has models of its own, as every process has; the student is wider than its teacher and has dropout."""
    return toytask.train(folder, STAGES, student=toytask.classifier(2, hidden=48, seed=1), teacher=toytask.classifier(4, seed=7))


def killed(folder, stage, step, train=train):
    """Train, and die at the end of an optimizer step, before it is judged or saved."""
    before = trainer.StageCallback.on_step_end

    def die(self, args, state, control, **kwargs):
        before(self, args, state, control, **kwargs)
        if state.global_step == step and args.output_dir.endswith(stage):
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.StageCallback, "on_step_end", die)
        with pytest.raises(Killed):
            train(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    found = train(tmp_path_factory.mktemp("whole"))
    assert {module.p for module in found.student.modules() if isinstance(module, nn.Dropout)} == {0.1}  # else this is easy
    return found


def assert_same(one, other):
    assert one.weights.keys() == other.weights.keys()
    assert [name for name in one.weights if not torch.equal(one.weights[name], other.weights[name])] == []
    assert one.log == other.log
    for name in ("steps", "best_step", "best_value", "select_by", "stopped"):
        assert [stage[name] for stage in one.facts["stages"]] == [stage[name] for stage in other.facts["stages"]]


@pytest.mark.parametrize(
    ("stage", "step", "resumed"),
    [("inner", 3, None), ("inner", 8, 5), ("inner", 12, 10), ("predict", 4, None), ("predict", 13, 10)],
)
def test_a_killed_run_ends_as_if_it_never_was(whole, tmp_path, stage, step, resumed):
    killed(tmp_path, stage, step)
    again = train(tmp_path)
    assert {found["name"]: found["resumed_at"] for found in again.facts["stages"]}[stage] == resumed
    assert_same(whole, again)


def test_killed_in_both_stages(whole, tmp_path):
    killed(tmp_path, "inner", 8)
    killed(tmp_path, "predict", 8)
    assert_same(whole, train(tmp_path))


def test_a_finished_stage_is_not_trained_again(whole, tmp_path):
    killed(tmp_path, "predict", 8)
    trained = []
    run_stage = rooms._run_stage
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            rooms, "_run_stage", lambda recipe, stage, *a, **k: trained.append(stage.name) or run_stage(recipe, stage, *a, **k)
        )
        again = train(tmp_path)
        assert trained == ["predict"]
        assert_same(whole, again)
        once_more = train(tmp_path)
        assert trained == ["predict"]
        assert_same(whole, once_more)


def test_the_teacher_is_in_no_checkpoint(tmp_path):
    """Weights of the student and of the projections, each once."""
    import safetensors.torch

    killed(tmp_path, "predict", 3)
    found = safetensors.torch.load_file(tmp_path / "work" / "inner" / "final" / "model.safetensors")
    student = toytask.classifier(2, hidden=48)
    maps = ("hidden_mse_0", "hidden_mse_1", "shared")
    projections = {f"inner.projections.{name}.{part}" for name in maps for part in ("weight", "bias")}
    assert found.keys() == {f"student.{name}" for name in student.state_dict()} | projections


def train_masked(folder):
    """DistilBERT's triple loss on a sentence encoder: masked tokens, the teacher's predictions, the last hidden states."""
    torch.manual_seed(3)
    whole = AutoModelForMaskedLM.from_config(tiny._config("bert", 4, 32, 4, 64, len(tiny.tokenizer()))).eval()
    student = build_student(
        LayersSpec(layers=2),
        tiny.sentence_transformer(seed=5),
        teacher_dim=32,
        teacher_normalizes=True,
        teacher_prompt="",
        max_length=64,
        seed=0,
    )
    stage = {"losses": ["mlm", {"name": "mlm_kl", "temperature": 2}, "hidden_cosine"], "layer_map": "last", "max_steps": 12}
    recipe = Recipe.model_validate(
        normalise(
            {
                "name": "toy",
                "teacher": "unused",
                "data": {"train": "unused.txt"},
                "student": {"layers": 2},
                "stages": [{"batch_size": 16, "learning_rate": 1e-3, **stage}],
                "train": {"precision": "fp32", "patience": None, "evaluate_every": 5, "dropout": None},
            }
        )
    )
    vectors = tiny.sentence_transformer().encode(toytask.DEV, show_progress_bar=False)
    facts = train_student(
        recipe,
        student,
        TrainingData(toytask.TRAIN, toytask.DEV, lambda rows: pytest.fail("no loss asks for vectors"), vectors),
        teacher_normalizes=True,
        work=folder / "work",
        log=folder / "log.jsonl",
        inner=InnerTeacher(whole.base_model, head=whole, tokenizer=tiny.tokenizer()),
    )
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]
    return toytask.Trained(facts, student.model, log, dict(student.model.state_dict()))


def test_masked_tokens_are_the_same_ones_after_a_restart(tmp_path):
    """The word table, the student's under two names and the decoder's, goes through checkpoints as one."""
    whole = train_masked(tmp_path / "whole")
    killed(tmp_path / "killed", "main", 8, train_masked)
    again = train_masked(tmp_path / "killed")
    assert again.facts["stages"][0]["resumed_at"] == 5
    assert_same(whole, again)
    logged = [line["losses"] for line in whole.log if "losses" in line]
    assert all(part.keys() == {"mlm", "mlm_kl", "hidden_cosine"} for part in logged)
    assert logged[-1]["mlm_kl"] < logged[0]["mlm_kl"]


def train_stored(folder):
    """The same on stored inner states, each run in a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISTILL_CACHE", str(folder / "cache"))
        student, teacher = toytask.classifier(2, hidden=48, seed=1), toytask.classifier(4, seed=7)
        return toytask.train(folder, STAGES, student=student, teacher=teacher, store_states="fp32")


def test_stored_states_are_the_same_ones_after_a_restart(tmp_path):
    whole = train_stored(tmp_path / "whole")
    killed(tmp_path / "killed", "inner", 8, train_stored)
    again = train_stored(tmp_path / "killed")
    assert again.facts["stages"][0]["resumed_at"] == 5
    assert again.facts["stages"][0]["stored_states"]["computed"] == 0
    assert_same(whole, again)


def train_budget(folder):
    """Batches of 160 tokens, 8 rows of them at most."""
    stage = {"name": "main", "batch_tokens": 160, "batch_size": 8, "epochs": 1, "losses": ["hard_label"]}
    return toytask.train(folder, [stage], student=toytask.classifier(2, seed=1))


def test_batches_of_so_many_tokens_are_the_same_ones_after_a_restart(tmp_path):
    whole = train_budget(tmp_path / "whole")
    assert whole.facts["stages"][0]["epochs"] == 1
    assert whole.facts["stages"][0]["steps"] > 160 / 8  # the longer rows come fewer at a time
    killed(tmp_path / "killed", "main", 8, train_budget)
    again = train_budget(tmp_path / "killed")
    assert again.facts["stages"][0]["resumed_at"] == 5
    assert_same(whole, again)


def test_a_budget_below_two_rows_is_told(tmp_path):
    with pytest.raises(UserError, match="batch_tokens"):
        toytask.train(tmp_path, [{"batch_tokens": 16}], student=toytask.classifier(2, seed=1))
