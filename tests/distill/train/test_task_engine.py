"""Task models through the stages of a recipe: they learn, from the right rows, and are judged by the right number."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny
import torch
import toystudent
import toytask
from torch import nn

from distill.data.examples import TextExamples
from distill.data.features import TaskCollator, TextFeatures
from distill.errors import GateError
from distill.evaluate.scoring import Scorer, make_collator
from distill.recipe_stages import StageSpec
from distill.train import task_engine
from distill.train.inner import InnerTeacher
from distill.train.memory import SAMPLE
from distill.train.task import BLOCKED, TaskObjective, model_logits
from distill.train.task_engine import FirstRows, TaskJudge, stage_metric, with_teacher

QUICKLY = {"epochs": 3, "learning_rate": 1e-2}
INNER = {"name": "inner", "losses": ["hidden_mse", "attention_mse"], "epochs": 1}


def dev_metrics(found, stage="main"):
    return {line["step"]: line["dev"] for line in found.log if "dev" in line and line["stage"] == stage}


def accuracy(student, texts=toytask.DEV):
    batch = dict(tiny.tokenizer()(texts, padding=True, return_tensors="pt"))
    with torch.no_grad():
        return float((student.eval()(**batch).logits.argmax(-1).numpy() == toytask.gold(texts)).mean())


@pytest.mark.parametrize("losses", [["hard_label"], ["kl_divergence"], ["logits_mse", "logits_cosine"]])
def test_a_small_classifier_learns_a_separable_set(tmp_path, losses):
    student = toytask.classifier(seed=1)
    assert 0.2 < accuracy(student) < 0.8
    found = toytask.train(tmp_path, [{"losses": losses, **QUICKLY}], student=student)
    assert accuracy(student) >= 0.95
    assert not student.training
    facts = found.facts["stages"][0]
    assert facts["select_by"] == "task_metric"
    assert facts["best_value"] == accuracy(student) == dev_metrics(found)[facts["best_step"]]["task_metric"]
    assert all(set(metrics) == {"task_metric"} for metrics in dev_metrics(found).values())


def test_two_stages_inner_states_first(tmp_path):
    """TinyBERT's order; the first stage is judged by its dev loss, the second by accuracy, and the weights go on."""
    teacher = toytask.classifier(4, seed=7)
    found = toytask.train(tmp_path, [INNER, {"name": "predict", "losses": ["soft_cross_entropy"], **QUICKLY}], teacher=teacher)
    first, second = found.facts["stages"]
    assert (first["select_by"], second["select_by"]) == ("loss", "task_metric")
    losses = {step: metrics["loss"] for step, metrics in dev_metrics(found, "inner").items()}
    assert first["best_step"] == min(losses, key=losses.get)
    assert first["best_value"] == min(losses.values())
    assert losses[10] < losses[5]
    assert accuracy(found.student) >= 0.95
    parts = [line["losses"].keys() for line in found.log if "losses" in line and line["stage"] == "inner"]
    assert all(names == {"hidden_mse", "attention_mse"} for names in parts)
    assert all(weight.grad is None for weight in teacher.parameters())


@pytest.mark.parametrize(
    ("losses", "select_by", "expected"),
    [
        (["hidden_mse"], "task_metric", "loss"),
        (["hidden_mse", "hard_label"], "task_metric", "task_metric"),
        (["kl_divergence"], "loss", "loss"),
    ],
)
def test_what_a_stage_is_judged_by(losses, select_by, expected):
    recipe = toytask.recipe([{"losses": losses}], select_by=select_by)
    assert stage_metric(recipe, recipe.stages[0]) == expected


def judge_of():
    plain = make_collator("classification", tiny.tokenizer())
    scorer = Scorer(
        "classification",
        TextExamples(toytask.DEV, labels=toytask.gold(toytask.DEV)),
        toytask.features("dev"),
        toytask.LABELS,
    )
    return TaskJudge(scorer, with_teacher(plain, toytask.signal(toytask.DEV)), plain, with_loss=True)


def objective_of(*losses, student=None):
    stage = StageSpec.model_validate({"losses": [{"name": x} if isinstance(x, str) else x for x in losses]})
    student = toytask.classifier(seed=1) if student is None else student
    inner = InnerTeacher(toytask.classifier(4, seed=7)).losses(student, stage, 0)
    return TaskObjective(student, stage.losses, "classification", inner).eval()


def judged(objective):
    with torch.no_grad():
        return judge_of()(objective, torch.device("cpu"), "here")


def test_the_dev_loss_is_the_mean_over_rows():
    objective = objective_of("kl_divergence", {"name": "logits_mse", "weight": 0.5})
    batch = dict(tiny.tokenizer()(toytask.DEV, padding=True, return_tensors="pt"))
    with torch.no_grad():
        wanted = objective(torch.from_numpy(np.stack(toytask.signal(toytask.DEV))), **batch)["loss"]
    assert judged(objective)["loss"] == pytest.approx(float(wanted), rel=1e-5)


@pytest.mark.parametrize("name", ["hidden_mse", "kl_divergence"])
def test_schedules_of_weights_do_not_choose_the_checkpoint(name):
    """A loss that fades out would make the last checkpoint the best, one that grows the first, whatever was learnt."""
    plain = judged(objective_of(name))["loss"]
    for schedule in ("linear_decay", "linear_growth"):
        objective = objective_of({"name": name, "weight_schedule": schedule})
        objective.steps = 10
        for step in (0, 5, 10):
            objective.step = step
            assert judged(objective)["loss"] == pytest.approx(plain)
        assert objective.progress == 1.0  # training goes on with its schedule


# Which rows, and what the teacher said of them.


class Watched:
    """Training examples that remember who was asked for."""

    def __init__(self, rows):
        self.rows, self.lengths, self.asked = rows, rows.lengths, []

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        self.asked.append(index)
        return self.rows[index]


@pytest.mark.parametrize(("data", "labelled", "rows"), [("train", 48, 160), ("labelled", 48, 48), ("labelled", None, 160)])
def test_which_rows_a_stage_trains_on(tmp_path, data, labelled, rows):
    watched = Watched(toytask.features("train", labelled))
    stage = {"data": data, "losses": ["hard_label", "kl_divergence"], "epochs": 1}
    found = toytask.train(tmp_path, [stage], rows=watched, labelled=labelled)
    assert sorted(watched.asked[SAMPLE:]) == list(range(rows))  # the first tell how much memory it will take
    assert found.facts["stages"][0]["steps"] == rows / 16


def test_first_rows():
    rows = toytask.features("train")
    first = FirstRows(rows, 7)
    assert len(first) == 7
    assert list(first.lengths) == list(rows.lengths[:7])
    assert first[3]["row"] == 3


def test_stored_logits_meet_their_own_rows(tmp_path, monkeypatch):
    """Batches are shuffled and sorted by length; each row's logits are told by a number that no other has."""
    words, seen, signal = tiny.tokenizer(), {}, toytask.signal(toytask.TRAIN)
    known = {tuple(words(text)["input_ids"]): said for text, said in zip(toytask.TRAIN, signal, strict=True)}
    assert len({tuple(value) for value in known.values()}) == len(toytask.TRAIN)
    forward = TaskObjective.forward

    def watch(self, teacher_logits=None, **features):
        for ids, mask, said in zip(features["input_ids"], features["attention_mask"], teacher_logits, strict=True):
            seen[tuple(ids[mask.bool()].tolist())] = said.numpy()
        return forward(self, teacher_logits, **features)

    monkeypatch.setattr(TaskObjective, "forward", watch)
    toytask.train(tmp_path, [{"losses": ["kl_divergence"], "epochs": 1}])
    assert seen.keys() == known.keys()
    assert all(np.array_equal(seen[ids], known[ids]) for ids in known)


@pytest.mark.parametrize("task", ["tokens", "spans"])
def test_stored_logits_of_tokens_are_padded_as_the_students(task):
    lengths = [3, 5, 2]
    items = [{"input_ids": np.arange(count), "row": row} for row, count in enumerate(lengths)]
    shapes = [(count, 4) if task == "tokens" else (2, count) for count in lengths]
    logits = [np.full(shape, row + 1, np.float32) for row, shape in enumerate(shapes)]
    batch = with_teacher(TaskCollator(0, False, task), logits)([items[2], items[0], items[1]])
    found = batch["teacher_logits"]
    assert found.shape == ((3, 5, 4) if task == "tokens" else (3, 2, 5))
    for place, row in enumerate((2, 0, 1)):
        real = found[place, : lengths[row]] if task == "tokens" else found[place, :, : lengths[row]]
        rest = found[place, lengths[row] :] if task == "tokens" else found[place, :, lengths[row] :]
        assert (real == row + 1).all()
        assert (rest == (0 if task == "tokens" else BLOCKED)).all()


@pytest.mark.parametrize("task", ["tokens", "spans"])
def test_logits_of_another_number_of_tokens_are_refused(task):
    items = [{"input_ids": np.arange(count), "row": row} for row, count in enumerate((4, 4))]
    logits = [np.zeros((count, 4) if task == "tokens" else (2, count), np.float32) for count in (4, 5)]
    with pytest.raises(ValueError, match=r"logits are of \[4, 5\] tokens, the student's rows have \[4, 4\]"):
        with_teacher(TaskCollator(0, False, task), logits)(items)


# What goes wrong.


def test_outputs_that_are_no_numbers_stop_the_training(tmp_path):
    """The head breaks in eval mode alone: the loss looks well and the dev outputs do not."""
    student = toytask.classifier(seed=1)
    student.classifier.register_forward_hook(lambda module, _, output: output if module.training else output * torch.nan)
    with pytest.raises(GateError) as found:
        toytask.train(tmp_path, student=student)
    assert "the student's outputs are not finite numbers" in str(found.value)
    assert found.value.where == "training stage 'main', step 5"
    assert "learning_rate" in found.value.hint


@pytest.mark.parametrize("at_once", [("cpu",), ()], ids=["at once", "with the next log line"])
def test_a_loss_that_is_no_number_names_stage_step_and_rows(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr("distill.train.trainer.LOOKED_AT_ONCE", at_once)
    logits = toytask.signal(toytask.TRAIN)
    logits[0] = np.full(2, np.nan, np.float32)
    with pytest.raises(GateError, match="the loss is not a finite number") as found:
        toytask.train(tmp_path, [{"losses": ["logits_mse"], "epochs": 1}], logits=logits)
    assert found.value.where.startswith("training stage 'main', step ")
    rows = json.loads(found.value.hint[found.value.hint.index("[") : found.value.hint.index("]") + 1])
    assert 0 in rows
    assert len(rows) == 16


class Flat(nn.Module):
    """A regression that says the same of everything."""

    def __init__(self):
        super().__init__()
        self.value = nn.Parameter(torch.ones(1))

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        return type("Output", (), {"logits": self.value.expand(len(input_ids), 1)})


@pytest.mark.parametrize("with_loss", [False, True])
def test_a_metric_that_is_no_number_is_told_not_dropped(with_loss):
    """Equal outputs have no correlation. Where the loss decides, outputs need not say anything yet."""
    examples = TextExamples(toytask.DEV, labels=np.linspace(0, 1, len(toytask.DEV)))
    rows = TextFeatures(examples, tiny.tokenizer(), 64)
    plain = make_collator("regression", tiny.tokenizer())
    scorer = Scorer("regression", examples, rows, toytask.LABELS)
    judge = TaskJudge(scorer, plain, plain, with_loss=with_loss)
    stage = StageSpec.model_validate({"losses": [{"name": "hard_label"}]})
    objective = TaskObjective(Flat(), stage.losses, "regression")
    if with_loss:
        assert judge(objective, torch.device("cpu"), "here")["loss"] == pytest.approx(0.338, abs=0.01)
        return
    with pytest.raises(GateError, match="dev task_metric is not a finite number") as found:
        judge(objective, torch.device("cpu"), "training stage 'main', step 5")
    assert found.value.where == "training stage 'main', step 5"


def test_a_teacher_is_free_again_when_training_breaks_off(tmp_path, monkeypatch):
    teacher = toytask.classifier(4, seed=7)
    with monkeypatch.context() as patch:
        patch.setattr(task_engine.TaskJudge, "__call__", lambda *_: (_ for _ in ()).throw(GateError("stop")))
        with pytest.raises(GateError, match="stop"):
            toytask.train(tmp_path / "a", [INNER], teacher=teacher)
    toytask.train(tmp_path / "b", [{**INNER, "max_steps": 1}], teacher=teacher)


@pytest.mark.parametrize("precision", ["auto", "bf16"])
def test_inner_losses_in_other_precisions(tmp_path, precision):
    """Tried out before the first step, with the teacher beside; every logged number is one."""
    teacher = toytask.classifier(4, seed=7)
    losses = ["hidden_mse", "attention_kl", "minilm_v2", "ckd_layer", "kl_divergence"]
    found = toytask.train(tmp_path, [{"losses": losses, "max_steps": 5}], teacher=teacher, precision=precision)
    assert found.facts["precision"] in (("fp32", "bf16") if precision == "auto" else ("bf16",))
    logged = [line["losses"] for line in found.log if "losses" in line]
    assert logged
    assert all(part.keys() == set(losses) for part in logged)
    assert all(np.isfinite(list(part.values())).all() for part in logged)


# Dropout, and logits.


@pytest.mark.parametrize(("asked", "expected"), [(0.0, 0.0), (None, 0.1), (0.3, 0.3)])
def test_the_recipe_decides_on_the_students_dropout(tmp_path, asked, expected):
    teacher = toytask.classifier(4, seed=7)
    found = toytask.train(tmp_path, [{**INNER, "max_steps": 1}], teacher=teacher, dropout=asked)
    assert {module.p for module in found.student.modules() if isinstance(module, nn.Dropout)} == {expected}
    assert {module.p for module in teacher.modules() if isinstance(module, nn.Dropout)} == {0.1}


def test_logits_of_a_real_model_do_not_depend_on_padding():
    student = toytask.classifier(seed=1)
    batch = dict(tiny.tokenizer()(toytask.DEV[:3], padding=True, return_tensors="pt"))
    alone = dict(tiny.tokenizer()(toytask.DEV[:1], return_tensors="pt"))
    with torch.no_grad():
        many, one = (model_logits(student, part, "classification") for part in (batch, alone))
    torch.testing.assert_close(many[:1], one, rtol=1e-4, atol=1e-5)


def test_what_a_stage_of_embeddings_is_judged_by():
    """A stage without a loss on vectors by its loss; the others as the recipe says."""
    from distill.train.engine import chosen_by

    stages = [{"name": str(n), "losses": losses} for n, losses in enumerate((["minilm_v2"], ["hidden_mse", "embedding_cosine"]))]
    for asked, expected in (("agreement_cosine", ["loss", "agreement_cosine"]), ("loss", ["loss", "loss"])):
        found = toystudent.recipe(2, stages, select_by=asked)
        assert [chosen_by(found, stage) for stage in found.stages] == expected
