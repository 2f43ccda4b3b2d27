"""The objective of each labelled task against torch's own functions, row by row."""

from __future__ import annotations

from types import SimpleNamespace

import inner
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from distill.losses.temperature import cwsm, flsw
from distill.recipe_losses import OF_TASK
from distill.recipe_stages import StageSpec
from distill.train.inner import InnerTeacher
from distill.train.task import TaskObjective, hard_label, model_logits, token_rows
from teachers.capture import Capture, Wanted

LENGTHS = (5, 3, 1)
TASKS = ("classification", "multilabel", "regression", "tokens", "spans")
CLASSES = 4


class Says(nn.Module):
    """A task model that has said it all before: its logits are its weights."""

    def __init__(self, *logits):
        super().__init__()
        self.logits = nn.ParameterList(nn.Parameter(part.clone()) for part in logits)

    def forward(self, input_ids, attention_mask):
        if len(self.logits) == 2:
            return SimpleNamespace(start_logits=self.logits[0], end_logits=self.logits[1])
        return SimpleNamespace(logits=self.logits[0])


def losses_of(*losses):
    return StageSpec.model_validate({"losses": [{"name": x} if isinstance(x, str) else x for x in losses]}).losses


def random(*shape, seed):
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch_of(task, lengths=LENGTHS):
    """Mask, gold, and the logits of student and teacher; what stands in padding is large."""
    rows, width = len(lengths), max(lengths)
    mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).long()
    features = {"input_ids": mask.clone(), "attention_mask": mask}
    if task == "spans":
        ours = tuple(random(rows, width, seed=n) + 50 * (1 - mask) for n in (1, 2))
        theirs = torch.stack([random(rows, width, seed=n) for n in (3, 4)], 1).masked_fill(~mask.bool()[:, None], -1e4)
        features["start_positions"] = torch.zeros(rows, dtype=torch.long)
        features["end_positions"] = torch.tensor(lengths) - 1
        return Says(*ours), theirs, features
    shape = {"tokens": (rows, width, CLASSES), "regression": (rows, 1)}.get(task, (rows, CLASSES))
    ours, theirs = random(*shape, seed=1), random(*shape, seed=2)
    if task == "tokens":
        ours, theirs = ours + 50 * (1 - mask)[..., None], theirs * mask[..., None]
        labels = torch.randint(0, CLASSES, (rows, width), generator=torch.Generator().manual_seed(3))
        features["labels"] = labels.masked_fill(mask == 0, -100)
    elif task == "classification":
        features["labels"] = torch.tensor([3, 0, 1])[:rows]
    elif task == "multilabel":
        features["labels"] = (random(rows, CLASSES, seed=4) > 0).float()
    else:
        features["labels"] = random(rows, seed=4)
    return Says(ours), theirs, features


def rows_of(task, student, theirs, features):
    """Student and teacher as plain rows [n, C] without anything padded; of spans a list, one a question and side."""
    if task == "spans":
        lengths = features["attention_mask"].sum(1).tolist()
        sides = list(student.logits)
        ours = [sides[side][row, :count] for row, count in enumerate(lengths) for side in (0, 1)]
        return ours, [theirs[row, side, :count] for row, count in enumerate(lengths) for side in (0, 1)]
    ours = student.logits[0]
    if task == "tokens":
        real = features["attention_mask"].bool()
        return list(ours[real]), list(theirs[real])
    return list(ours), list(theirs)


def by_hand(name, task, ours, theirs, temperature=1.0):
    """The mean over rows, by torch's own functions."""
    t = temperature
    functions = {
        "soft_cross_entropy": lambda s, q: t * t * F.cross_entropy((s / t)[None], (q / t).softmax(-1)[None]),
        "kl_divergence": lambda s, q: (
            t * t * F.kl_div((s / t).log_softmax(-1), (q / t).log_softmax(-1), log_target=True, reduction="sum")
        ),
        "soft_binary_cross_entropy": lambda s, q: t * t * F.binary_cross_entropy_with_logits(s / t, (q / t).sigmoid()),
        "logits_mse": F.mse_loss,
        "logits_cosine": lambda s, q: 1 - F.cosine_similarity(s, q, dim=-1),
    }
    if task == "spans" and name == "logits_mse":  # one mean over every real position, long contexts weigh more
        return F.mse_loss(torch.cat(ours), torch.cat(theirs))
    return torch.stack([functions[name](s, q) for s, q in zip(ours, theirs, strict=True)]).mean()


SOFT = [(task, name) for task in TASKS for name in sorted(OF_TASK[task] - {"hard_label"})]


@pytest.mark.parametrize(("task", "name"), SOFT)
def test_each_loss_against_the_teacher_by_hand(task, name):
    student, theirs, features = batch_of(task)
    found = TaskObjective(student, losses_of(name), task)(theirs, **features)
    wanted = by_hand(name, task, *rows_of(task, student, theirs, features))
    assert float(wanted.detach()) > 1e-3
    torch.testing.assert_close(found[name], wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found["loss"], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("task", "name"), [(task, name) for task, name in SOFT if not name.startswith("logits")])
def test_temperatures(task, name):
    student, theirs, features = batch_of(task)
    found = TaskObjective(student, losses_of({"name": name, "temperature": 4}), task)(theirs, **features)
    wanted = by_hand(name, task, *rows_of(task, student, theirs, features), temperature=4.0)
    torch.testing.assert_close(found[name], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("schedule", ["flsw", "cwsm"])
@pytest.mark.parametrize("task", ["classification", "tokens", "spans"])
def test_temperature_schedules_warm_each_row_by_itself(task, schedule):
    """By hand: the temperatures of the rows as they are without padding."""
    student, theirs, features = batch_of(task)
    spec = {"name": "kl_divergence", "temperature": 3, "temperature_schedule": schedule, "beta": 2, "gamma": 0.5}
    found = TaskObjective(student, losses_of(spec), task)(theirs, **features)["kl_divergence"]
    ours, targets = rows_of(task, student, theirs, features)
    if schedule == "flsw":
        alike = [(s @ q / ((s.norm() + 1e-4) * (q.norm() + 1e-4))).clamp(max=1) for s, q in zip(ours, targets, strict=True)]
        hardness = torch.stack([(1 - cosine) ** 0.5 for cosine in alike])
    else:
        hardness = torch.stack([1 / (s.softmax(-1).max() + 1e-3) for s in ours])
    warmth = (3 + 2 * (hardness.mean() - hardness)).clamp(min=0.1)
    assert warmth.max() - warmth.min() > 0.1
    wanted = torch.stack(
        [by_hand("kl_divergence", task, [s], [q], float(t)) for s, q, t in zip(ours, targets, warmth, strict=True)]
    ).mean()
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_temperature_schedules_are_those_of_the_losses():
    student, theirs, features = batch_of("classification")
    ours = student.logits[0]
    for name, warmth in (("flsw", flsw(ours, theirs, 2.0, 1.5, 2.0)), ("cwsm", cwsm(ours, theirs, 2.0, 1.5))):
        spec = {"name": "soft_cross_entropy", "temperature": 2, "temperature_schedule": name, "beta": 1.5, "gamma": 2}
        found = TaskObjective(student, losses_of(spec), "classification")(theirs, **features)["loss"]
        rows = [
            by_hand("soft_cross_entropy", "classification", [s], [q], float(t))
            for s, q, t in zip(ours, theirs, warmth, strict=True)
        ]
        torch.testing.assert_close(found, torch.stack(rows).mean())


# Gold labels.


@pytest.mark.parametrize("task", TASKS)
def test_hard_labels_by_hand(task):
    student, _, features = batch_of(task)
    found = TaskObjective(student, losses_of("hard_label"), task)(**features)["hard_label"]
    ours, _ = rows_of(task, student, torch.zeros(3, 2, 5) if task == "spans" else student.logits[0], features)
    if task == "spans":
        gold = torch.stack([features["start_positions"], features["end_positions"]], 1).flatten()
        wanted = torch.stack([F.cross_entropy(row[None], label[None]) for row, label in zip(ours, gold, strict=True)]).mean()
    elif task == "multilabel":
        wanted = F.binary_cross_entropy_with_logits(torch.stack(ours), features["labels"])
    elif task == "regression":
        wanted = F.mse_loss(torch.stack(ours)[:, 0], features["labels"])
    else:
        gold = features["labels"]
        wanted = F.cross_entropy(torch.stack(ours), gold[gold != -100])
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


def test_a_regression_is_not_broadcast():
    """[B, 1] against [B] would be a table of every pair: here that mean would be 2, the right one is 0."""
    logits = torch.tensor([[1.0], [3.0]])
    assert hard_label(logits, {"labels": torch.tensor([1.0, 3.0])}, "regression") == 0
    with pytest.raises(ValueError, match="equal"):
        TaskObjective(Says(logits), losses_of("logits_mse"), "regression")(
            torch.tensor([1.0, 3.0]), input_ids=torch.ones(2, 1), attention_mask=torch.ones(2, 1)
        )


@pytest.mark.parametrize("task", TASKS)
def test_a_row_without_a_label_does_not_count(task):
    student, _, features = batch_of(task)
    missing = {"classification": -100, "tokens": -100, "multilabel": torch.nan, "regression": torch.nan}
    names = ("start_positions", "end_positions") if task == "spans" else ("labels",)
    for name in names:
        features[name][1] = missing.get(task, -100)
    objective = TaskObjective(student, losses_of("hard_label"), task)
    found = objective(**features)["loss"]
    kept = torch.tensor([0, 2])
    alone = Says(*(part.detach()[kept] for part in student.logits))
    wanted = TaskObjective(alone, losses_of("hard_label"), task)(**{name: value[kept] for name, value in features.items()})[
        "loss"
    ]
    torch.testing.assert_close(found, wanted)
    found.backward()
    assert all(part.grad.isfinite().all() and not part.grad[1].any() for part in student.logits)
    for name in names:
        features[name][:] = missing.get(task, -100)
    none = objective(**features)["loss"]
    assert none == 0
    none.backward()


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression", "spans"])
def test_a_row_without_a_label_still_follows_the_teacher(task):
    student, theirs, features = batch_of(task)
    plain = TaskObjective(student, losses_of("logits_mse"), task)(theirs, **features)["loss"]
    for name in ("labels", "start_positions", "end_positions"):
        if name in features:
            features[name] = torch.full_like(features[name], torch.nan if features[name].is_floating_point() else -100)
    assert TaskObjective(student, losses_of("logits_mse"), task)(theirs, **features)["loss"] == plain


# Tokens and spans.


def test_tokens_that_count():
    """A tagged sentence: the words' first tokens; an untagged one: every token that is not padding."""
    features = {
        "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]),
        "labels": torch.tensor([[-100, 2, -100, 0], [-100, -100, -100, -100]]),
    }
    assert token_rows(features).tolist() == [[False, True, False, True], [True, True, True, False]]
    del features["labels"]
    assert torch.equal(token_rows(features), features["attention_mask"].bool())


@pytest.mark.parametrize("name", sorted(OF_TASK["tokens"] - {"hard_label"}))
def test_only_tagged_words_follow_the_teacher(name):
    student, theirs, features = batch_of("tokens")
    features["labels"] = torch.full_like(features["labels"], -100)
    features["labels"][0, 1], features["labels"][0, 3] = 2, 0
    found = TaskObjective(student, losses_of(name), "tokens")(theirs, **features)["loss"]
    ours = student.logits[0]
    counted = [(0, 1), (0, 3), (1, 0), (1, 1), (1, 2), (2, 0)]
    wanted = by_hand(name, "tokens", [ours[place] for place in counted], [theirs[place] for place in counted])
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


def test_answers_are_never_chosen_among_padding():
    student, _, features = batch_of("spans")
    found = model_logits(student, features, "spans")
    assert found.shape == (3, 2, 5)
    assert found.dtype == torch.float32
    chosen = found.softmax(-1)
    assert (chosen.masked_select(~features["attention_mask"].bool()[:, None]) == 0).all()
    for row, count in enumerate(LENGTHS):
        assert (found[row].argmax(-1) < count).all()
        for side in (0, 1):
            torch.testing.assert_close(found[row, side, :count], student.logits[side][row, :count])
    TaskObjective(student, losses_of("hard_label"), "spans")(**features)["loss"].backward()
    for part in student.logits:
        assert not part.grad[features["attention_mask"] == 0].any()


@pytest.mark.parametrize("task", [task for task in TASKS if task != "spans"])
def test_logits_come_in_float32(task):
    student, _, features = batch_of(task)
    found = model_logits(student.half(), features, task)
    assert found.dtype == torch.float32
    assert found.shape == student.logits[0].shape


TEMPERED = {"soft_cross_entropy", "kl_divergence"}


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(TASKS), st.lists(st.integers(1, 6), min_size=2, max_size=3), st.integers(0, 9), st.data())
def test_padding_never_changes_a_loss(task, lengths, more, data):
    """Rows padded further, with anything in the padding, have the loss and the gradient that they had."""
    name = data.draw(st.sampled_from(sorted(OF_TASK[task])))
    schedule = data.draw(st.sampled_from(["constant", "flsw", "cwsm"]))
    spec = {"name": name, "temperature": 2, "temperature_schedule": schedule} if name in TEMPERED else {"name": name}
    student, theirs, features = batch_of(task, tuple(lengths))
    plain = TaskObjective(student, losses_of(spec), task)(theirs, **features)["loss"]
    plain.backward()
    junk = 1e3
    wide = {
        part: F.pad(value, (0, more)) if part in ("input_ids", "attention_mask") else value for part, value in features.items()
    }
    if task == "tokens":
        wide["labels"] = F.pad(features["labels"], (0, more), value=-100)
        other, targets = Says(F.pad(student.logits[0].detach(), (0, 0, 0, more), value=junk)), F.pad(theirs, (0, 0, 0, more))
    elif task == "spans":
        other = Says(*(F.pad(part.detach(), (0, more), value=junk) for part in student.logits))
        targets = F.pad(theirs, (0, more), value=-1e4)
    else:
        other, targets = Says(student.logits[0].detach()), theirs
    found = TaskObjective(other, losses_of(spec), task)(targets, **wide)["loss"]
    found.backward()
    torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-5)
    for before, after in zip(student.logits, other.logits, strict=True):
        if task in ("tokens", "spans"):
            width = max(lengths)
            assert not after.grad[:, width:].any()
            torch.testing.assert_close(after.grad[:, :width], before.grad, rtol=1e-4, atol=1e-5)


# The sum.


def test_weights_schedules_and_the_sum():
    student, theirs, features = batch_of("classification")
    plain = TaskObjective(student, losses_of("logits_mse", "hard_label", "logits_cosine"), "classification")(theirs, **features)
    objective = TaskObjective(
        student,
        losses_of(
            {"name": "logits_mse", "weight": 2},
            {"name": "hard_label", "weight": 3, "weight_schedule": "linear_decay"},
            {"name": "logits_cosine", "weight_schedule": "linear_growth"},
        ),
        "classification",
    )
    for step in (0, 3, 10, 12):
        objective.step, objective.steps = step, 10
        share = min(1.0, step / 10)
        factors = {"logits_mse": 2, "hard_label": 3 * (1 - share), "logits_cosine": share}
        found = objective(theirs, **features)
        assert found.keys() == {"loss", *factors}
        for name, factor in factors.items():
            torch.testing.assert_close(found[name], factor * plain[name])
            assert not found[name].requires_grad
        torch.testing.assert_close(found["loss"], sum(factor * plain[name] for name, factor in factors.items()))
    objective.judging = True
    torch.testing.assert_close(
        objective(theirs, **features)["loss"], 2 * plain["logits_mse"] + 3 * plain["hard_label"] + plain["logits_cosine"]
    )


def test_losses_between_inner_states_are_added():
    from transformers import AutoModelForSequenceClassification

    def model(layers, seed):
        config = inner.fresh("bert").config
        config.num_hidden_layers, config.num_labels = layers, CLASSES
        torch.manual_seed(seed)
        return AutoModelForSequenceClassification.from_config(config).eval()

    student, teacher, batch = model(2, 1), model(4, 2), inner.features()
    stage = StageSpec.model_validate({"losses": [{"name": "hidden_mse", "weight": 2}, {"name": "kl_divergence"}]})
    objective = TaskObjective(student, stage.losses, "classification", InnerTeacher(teacher).losses(student, stage, 0))
    with torch.no_grad():
        theirs = teacher(**batch).logits
        states = [m.base_model(**batch, output_hidden_states=True).hidden_states for m in (student, teacher)]
    found = objective(theirs, **batch)
    real = batch["attention_mask"].bool()
    hidden = sum(F.mse_loss(states[0][s][real], states[1][t][real]) for t, s in ((2, 1), (4, 2)))
    torch.testing.assert_close(found["hidden_mse"], 2 * hidden)
    torch.testing.assert_close(found["loss"], found["hidden_mse"] + found["kl_divergence"])
    objective.close()
    Capture(student, Wanted(embeddings=True)).close()  # another may listen
