"""Losses between inner states: projections, who learns and who does not, what both models read, and the objective."""

from __future__ import annotations

import copy

import inner
import pytest
import tiny
import torch
from listening import PAIRED_WIDTH, PAIRS, PROJECTED, compare, expected, listen, outside, spec, student_of
from torch import nn

from distill.errors import DistillError, UserError
from distill.losses.hidden import hidden_mse
from distill.recipe_losses import INNER
from distill.train.inner import InnerTeacher
from distill.train.objective import EmbeddingObjective, set_dropout
from teachers.capture import Capture, Wanted


@pytest.mark.parametrize(
    ("projection", "hidden", "names"),
    [
        ("auto", 32, []),
        ("none", 32, []),
        ("auto", 48, ["shared"]),
        ("shared", 32, ["shared"]),
        ("per_layer", 48, ["embedding_layer_mse_embeddings", "hidden_mse_0", "hidden_mse_1", "pkd_0", "pkd_1"]),
    ],
)
def test_which_projections_there_are(projection, hidden, names):
    losses = listen(
        student_of(hidden),
        *({"name": name, "projection": projection} for name in ("hidden_mse", "pkd", "embedding_layer_mse")),
        "ckd_word",
        "nst",
    )
    assert sorted(losses.projections) == names
    assert sorted(losses.state_dict()) == sorted(f"projections.{name}.{part}" for name in names for part in ("weight", "bias"))
    assert all(linear.weight.shape == (32, hidden) for linear in losses.projections.values())


def test_each_layer_goes_through_its_own_projection():
    student, teacher, batch = student_of(48), inner.fresh("bert"), inner.features()
    ours, theirs = outside(student, batch).hidden, outside(teacher, batch).hidden
    losses = listen(student, {"name": "hidden_mse", "projection": "per_layer"}, teacher=teacher)
    found = compare(student, losses, batch)["hidden_mse"]
    maps = [losses.projections[f"hidden_mse_{s}"] for s in (0, 1)]
    assert not torch.equal(maps[0].weight, maps[1].weight)
    wanted = sum(hidden_mse(maps[s](ours[s + 1]), theirs[t + 1], batch["attention_mask"]) for t, s in PAIRS)
    torch.testing.assert_close(found, wanted)


def test_between_equal_widths_a_projection_starts_as_the_identity():
    student = student_of()
    plain = compare(student, listen(student, "hidden_mse"))["hidden_mse"]
    student = student_of()
    losses = listen(student, {"name": "hidden_mse", "projection": "shared"})
    assert torch.equal(losses.projections["shared"].weight, torch.eye(32))
    torch.testing.assert_close(compare(student, losses)["hidden_mse"], plain)


def test_between_other_widths_it_starts_orthogonal_by_the_seed_alone():
    def start(seed, noise):
        torch.manual_seed(noise)
        linear = listen(student_of(48), "hidden_mse", seed=seed).projections["shared"]
        assert not linear.bias.any()
        return linear.weight

    one = start(5, noise=1)
    torch.testing.assert_close(one @ one.T, torch.eye(32), rtol=0, atol=1e-5)
    assert torch.equal(one, start(5, noise=2))
    assert not torch.equal(one, start(6, noise=1))


# Who learns, and who does not.


@pytest.mark.parametrize("hidden", [32, 48])
def test_gradients_reach_student_and_projections_and_never_the_teacher(hidden):
    student, teacher = student_of(hidden).train(), inner.fresh("bert")
    losses = listen(
        student,
        *sorted(INNER - PAIRED_WIDTH - set(PROJECTED)),
        *({"name": n, "projection": "shared"} for n in PROJECTED),
        teacher=teacher,
    )
    sum(compare(student, losses).values()).backward()
    for number, layer in enumerate(student.encoder.layer):
        assert any(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in layer.parameters()), number
    assert student.embeddings.word_embeddings.weight.grad.abs().sum() > 0
    for name, weight in losses.named_parameters():
        assert weight.grad.abs().sum() > 0, name
    assert all(weight.grad is None for weight in teacher.parameters())
    assert not any(name.startswith("_teacher") for name, _ in losses.named_modules())


def test_the_teacher_stays_in_eval_mode_and_its_dropout_is_off():
    """The student's own dropout is set to 0, so that only the teacher's could change the loss."""
    student, teacher = student_of(), inner.fresh("bert").train()
    set_dropout(student, 0.0)
    losses = listen(student, *sorted(INNER), teacher=teacher)
    calm = compare(student.eval(), losses)
    for _ in range(2):
        student.train()
        losses.train()
        assert not teacher.training
        found = compare(student, losses)
        for name, value in calm.items():
            torch.testing.assert_close(found[name], value)
    teacher.train()  # whoever does that
    torch.testing.assert_close(compare(student, losses)["hidden_mse"], calm["hidden_mse"])
    assert not any(module.training for module in teacher.modules())


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_student_that_is_its_teacher_has_no_loss(family):
    teacher = inner.fresh(family)
    losses = listen(copy.deepcopy(teacher), *sorted(INNER), teacher=teacher)
    found = compare(losses.captures[0].encoder, losses, inner.features(family))
    assert found.keys() == INNER
    for name, value in found.items():
        assert value.abs() < 1e-5, name


@pytest.mark.parametrize("family", ["mpnet", "modernbert", "distilbert", "deberta-v2"])
def test_close_leaves_both_models_as_they_were(family):
    student, teacher = student_of(48, family), inner.fresh(family)
    batch = inner.features(family)
    before = [footprint(model, batch) for model in (student, teacher)]
    losses = listen(student, *sorted(INNER - PAIRED_WIDTH), teacher=teacher)
    compare(student, losses, batch)
    losses.close()
    assert [footprint(model, batch) for model in (student, teacher)] == before
    for model in (student, teacher):
        Capture(model, Wanted(embeddings=True)).close()  # another may listen


def footprint(model, batch):
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    configs = [id(m.config) for m in model.modules() if hasattr(m, "config")]
    own = [sorted(name for name in vars(m) if not name.startswith("_")) for m in model.modules() if m is not model]
    with torch.no_grad():
        output = model.eval()(**batch).last_hidden_state
    return hooks, configs, own, output.tolist()


def test_a_teacher_that_cannot_be_listened_to_leaves_the_student_free():
    student, teacher = student_of(), inner.fresh("bert")
    with Capture(teacher, Wanted(embeddings=True)), pytest.raises(DistillError, match="another capture"):
        listen(student, "hidden_mse", teacher=teacher)
    listen(student, "hidden_mse", teacher=teacher).close()


def test_what_does_not_fit_is_refused_and_leaves_both_free():
    student, teacher = student_of(48), inner.fresh("bert")
    for loss, values in (("fsp", {}), ("hidden_mse", {"layer_map": [[4, 0]]})):
        with pytest.raises(UserError) as found:
            listen(student, loss, teacher=teacher, name="first", **values)
        assert found.value.where.startswith("stages.first.")
    listen(student, "hidden_mse", teacher=teacher).close()


# What both read.


def test_a_trimmed_student_sends_the_teacher_its_own_ids():
    """The student has every second piece of the teacher's: with the map of ids the two read the same words."""
    teacher = inner.fresh("bert")
    kept = torch.cat([torch.arange(5), torch.arange(5, teacher.config.vocab_size, 2)])
    student = copy.deepcopy(teacher)
    student.embeddings.word_embeddings = nn.Embedding.from_pretrained(
        teacher.embeddings.word_embeddings.weight[kept].clone(), padding_idx=0
    )
    student.config.vocab_size = len(kept)
    batch = {"input_ids": torch.tensor([[2, 30, 9, 77, 3], [2, 50, 3, 0, 0]])}
    batch |= {"attention_mask": (batch["input_ids"] > 0).long(), "token_type_ids": torch.zeros_like(batch["input_ids"])}
    losses = listen(student, *sorted(INNER), teacher=teacher, ids=kept)
    assert all(value.abs() < 1e-5 for value in compare(student, losses, batch).values())
    losses.close()
    assert compare(student, listen(student, "hidden_mse", teacher=teacher), batch)["hidden_mse"] > 0.01


@pytest.mark.parametrize("hidden", [32, 48])
def test_padding_never_changes_a_loss(hidden):
    student, teacher, batch = student_of(hidden), inner.fresh("bert"), inner.features()
    losses = listen(student, *sorted(INNER if hidden == 32 else INNER - PAIRED_WIDTH), teacher=teacher)
    plain = compare(student, losses, batch)
    wider = {name: nn.functional.pad(value, (0, 9)) for name, value in batch.items()}
    wider["input_ids"][:, -9:] = torch.arange(20, 29)  # whatever stands there
    for name, value in compare(student, losses, wider).items():
        torch.testing.assert_close(value, plain[name], rtol=1e-4, atol=1e-6, msg=lambda told, name=name: f"{name}: {told}")


# With the embedding objective.


def sentence_features(student):
    return {name: value for name, value in student.preprocess(inner.TEXTS).items() if torch.is_tensor(value)}


@pytest.mark.parametrize("with_vectors", [True, False])
def test_inner_losses_of_a_sentence_encoder(with_vectors):
    student = tiny.sentence_transformer(layers=2, seed=3)
    teacher = tiny.sentence_transformer()
    features = sentence_features(student)
    stage = spec("hidden_mse", {"name": "attention_kl", "weight": 2}, *(["embedding_cosine"] if with_vectors else []))
    losses = InnerTeacher(teacher).losses(student, stage, 0)
    objective = EmbeddingObjective(student, None, stage.losses, teacher_normalizes=True, inner=losses)
    vectors = teacher(dict(features))["sentence_embedding"].detach() if with_vectors else None
    found = objective(vectors, **features)
    objective.close()
    encoders = [model[0].auto_model for model in (student, teacher)]
    ours, theirs = (outside(encoder, features) for encoder in encoders)
    wanted = {
        "hidden_mse": expected("hidden_mse", ours, theirs, features["attention_mask"], nn.Identity()),
        "attention_kl": 2 * expected("attention_kl", ours, theirs, features["attention_mask"], nn.Identity()),
    }
    if with_vectors:
        shipped = student(dict(features))["sentence_embedding"]
        wanted["embedding_cosine"] = (1 - nn.functional.cosine_similarity(shipped, vectors)).mean()
    assert found.keys() == {"loss", *wanted}
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found["loss"], sum(wanted.values()), rtol=1e-4, atol=1e-6)
    found["loss"].backward()
    assert encoders[0].encoder.layer[0].attention.self.query.weight.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in teacher.parameters())


def test_the_schedule_follows_the_steps_of_the_objective():
    student = tiny.sentence_transformer(layers=2, seed=3)
    stage = spec({"name": "hidden_mse", "weight_schedule": "linear_decay"})
    losses = InnerTeacher(tiny.sentence_transformer()).losses(student, stage, 0)
    objective = EmbeddingObjective(student, None, stage.losses, teacher_normalizes=True, inner=losses)
    features = sentence_features(student)
    first = objective(**features)["loss"]
    objective.step, objective.steps = 3, 4
    torch.testing.assert_close(objective(**features)["loss"], first / 4)
