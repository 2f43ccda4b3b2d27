"""Losses between inner states equal the pure losses on what two models say of themselves, and train the student alone."""

from __future__ import annotations

import inner
import pytest
import tiny
import torch
from listening import PROJECTED, compare, expected, listen, outside, spec, student_of
from torch import nn

from distill.errors import UserError
from distill.losses.attention import attention_kl, attention_mse
from distill.losses.ckd import layer_pair, layer_triple, word_pair, word_triple
from distill.losses.hidden import hidden_mse
from distill.losses.minilm import minilm_v1, minilm_v2
from distill.recipe_convention import map_notes
from distill.recipe_losses import INNER
from distill.train.inner import InnerTeacher
from distill.train.textbrewer_terms import _looks_everywhere


@pytest.mark.parametrize(
    ("name", "hidden"), [(name, hidden) for name in sorted(INNER) for hidden in (32, 48) if (name, hidden) != ("fsp", 48)]
)
def test_each_loss_is_the_pure_loss_summed_over_the_matched_layers(name, hidden):
    student, teacher, batch = student_of(hidden), inner.fresh("bert"), inner.features()
    assert not batch["attention_mask"].all()
    losses = listen(student, name, teacher=teacher)
    found = compare(student, losses, batch)
    losses.close()
    mapped = losses.projections["shared"] if hidden == 48 and name in PROJECTED else nn.Identity()
    wanted = expected(name, outside(student, batch), outside(teacher, batch), batch["attention_mask"], mapped)
    assert list(found) == [name]
    assert float(wanted.detach()) > 1e-6
    torch.testing.assert_close(found[name], wanted, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("loss", "change"),
    [
        ({"name": "ckd_word", "triple": 0, "pair": 3}, lambda a, b, m: 3 * word_pair(a, b, m)),
        ({"name": "ckd_word", "pair": 0, "window": 3}, lambda a, b, m: word_triple(a, b, m, window=3)),
        ({"name": "ckd_word", "pair": 0, "window": None}, lambda a, b, m: word_triple(a, b, m, window=None)),
    ],
)
def test_the_parts_and_the_window_of_word_relations(loss, change):
    student, teacher, batch = student_of(), inner.fresh("bert"), inner.features()
    ours, theirs = outside(student, batch).hidden, outside(teacher, batch).hidden
    found = compare(student, listen(student, loss, teacher=teacher), batch)["ckd_word"]
    wanted = sum(change(ours[s], theirs[t], batch["attention_mask"]) for s, t in ((0, 0), (1, 2), (2, 4)))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("pair", "triple"), [(2.0, 0.0), (0.0, 0.5)])
def test_the_parts_of_layer_relations(pair, triple):
    student, teacher, batch = student_of(), inner.fresh("bert"), inner.features()
    ours, theirs = outside(student, batch).hidden, outside(teacher, batch).hidden
    found = compare(student, listen(student, {"name": "ckd_layer", "pair": pair, "triple": triple}, teacher=teacher), batch)
    a, b, mask = torch.stack(ours), torch.stack([theirs[0], theirs[2], theirs[4]]), batch["attention_mask"]
    wanted = pair * layer_pair(a, b, mask) + triple * layer_triple(a, b, mask)
    torch.testing.assert_close(found["ckd_layer"], wanted, rtol=1e-4, atol=1e-7)


def test_layer_and_heads_of_minilm_v2():
    student, teacher, batch = student_of(48), inner.fresh("bert"), inner.features()
    loss = {"name": "minilm_v2", "relation_heads": 8, "teacher_layer": 1}
    ours, theirs = outside(student, batch), outside(teacher, batch)
    found = compare(student, listen(student, loss, teacher=teacher), batch)["minilm_v2"]
    sides = [(states.queries[n], states.keys[n], states.values[n]) for states, n in ((ours, 1), (theirs, 1))]
    torch.testing.assert_close(found, minilm_v2(*sides, batch["attention_mask"], relation_heads=8), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("layer_map", "pairs"), [("top", ((2, 0), (3, 1))), ("last", ((3, 1),)), ([[0, 1]], ((0, 1),))])
def test_the_map_of_the_stage_is_followed(layer_map, pairs):
    student, teacher, batch = student_of(), inner.fresh("bert"), inner.features()
    ours, theirs = outside(student, batch).hidden, outside(teacher, batch).hidden
    losses = listen(student, "hidden_mse", teacher=teacher, layer_map=layer_map)
    wanted = sum(hidden_mse(ours[s + 1], theirs[t + 1], batch["attention_mask"]) for t, s in pairs)
    torch.testing.assert_close(compare(student, losses, batch)["hidden_mse"], wanted)


def test_the_map_is_told_in_words(capsys):
    listen(student_of(), "hidden_mse", name="first")
    told = capsys.readouterr()
    assert "stage 'first': student layers (of 2) learn from teacher layers (of 4): 1 from 2, 2 from 4" in told.out + told.err


@pytest.mark.parametrize(
    ("losses", "matched", "told"),
    [
        (["minilm_v2"], ((3, 1),), "2 from 4"),
        ([{"name": "minilm_v2", "teacher_layer": 1}], ((1, 1),), "2 from 2"),
        (["minilm_v1", "hidden_mse"], ((1, 0), (3, 1)), "1 from 2, 2 from 4"),
        ([{"name": "minilm_v2", "teacher_layer": 0}, "hidden_mse"], ((1, 0), (3, 1), (0, 1)), "1 from 2, 2 from 4, 2 from 1"),
        (["embedding_layer_mse"], (), None),
    ],
)
def test_only_layers_that_are_compared_are_told(losses, matched, told, capsys):
    """MiniLM's losses are between two layers of their own, the embedding loss between none."""
    student = student_of(48)
    listening = listen(student, *losses, name="first")
    assert listening.matched == matched
    said = capsys.readouterr().err
    assert (f"(of 4): {told}\n" in said) if told else "learn from" not in said
    assert all(float(value.detach()) > 0 for value in compare(student, listening).values())


def test_minilm_needs_no_map():
    """A student that is deeper than its teacher has no uniform map, and these losses ask for none."""
    deep = tiny.sentence_transformer(layers=6, hidden=32, seed=3)[0].auto_model
    found = compare(deep, listen(deep, "minilm_v2", "embedding_layer_mse"))
    assert found.keys() == {"minilm_v2", "embedding_layer_mse"}
    with pytest.raises(UserError, match="more layers than its teacher"):
        listen(student_of(), "hidden_mse", teacher=tiny.sentence_transformer(layers=1, hidden=32)[0].auto_model)


@pytest.mark.parametrize("losses", [["minilm_v2"], ["embedding_layer_mse"], ["embedding_cosine"], ["kl_divergence"]])
def test_a_map_that_nothing_goes_by_is_told(losses):
    (told,) = map_notes([spec("hidden_mse", layer_map="top"), spec(*losses), spec(*losses, layer_map="top")])
    assert told.startswith("stages.2.layer_map: no loss of this stage goes by a layer map")
    assert losses[0] in told


@pytest.mark.parametrize("name", ["attention_kl", "minilm_v1", "attention_mse"])
def test_where_a_local_layer_does_not_look_there_is_nothing_to_learn(name):
    """ModernBERT: layers 1 and 2 of 4 see 4 tokens to each side. By hand: eager probabilities, 0 beyond."""
    student, teacher, batch = student_of(48, "modernbert"), inner.fresh("modernbert"), inner.features("modernbert")
    assert batch["input_ids"].shape[1] > 10
    mask = batch["attention_mask"]
    twins = [inner.eager(model) for model in (student, teacher)]
    with torch.no_grad():
        ours, theirs = (twin(**batch, output_attentions=True).attentions for twin in twins)
    assert (theirs[1] == 0).sum() > (theirs[3] == 0).sum()
    values = {} if name == "minilm_v1" else {"layer_map": [[1, 1], [3, 0]]}
    losses = listen(student, name, teacher=teacher, **values)
    student(**batch)
    losses.run_teacher(batch)
    states = [capture.take() for capture in losses.captures]
    found = losses._loss(losses.specs[0], *states, mask)
    if name == "attention_kl":
        wanted = sum(attention_kl(ours[s].log(), theirs[t].log(), mask) for t, s in ((1, 1), (3, 0)))
    elif name == "minilm_v1":  # the teacher's last layer looks everywhere
        scores = [side.attention_scores[n] for side, n in zip(states, (1, 3), strict=True)]
        wanted = minilm_v1(*scores, states[0].values[1], states[1].values[3], mask)
    else:
        near = (theirs[1] > 0).float()
        local = attention_mse(states[0].attention_scores[1] * near, states[1].attention_scores[1] * near, mask)
        wanted = local + attention_mse(states[0].attention_scores[0], states[1].attention_scores[3], mask)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)
    found.backward()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in student.parameters())


@pytest.mark.parametrize("convention", ["distill", "textbrewer"])
def test_a_match_of_a_local_layer(convention):
    """By our convention scores where the teacher's layer looks; by TextBrewer's probabilities, as its users have them."""
    student, teacher, batch = student_of(48, "modernbert"), inner.fresh("modernbert"), inner.features("modernbert")
    mask = batch["attention_mask"]
    with torch.no_grad():
        ours, theirs = (inner.eager(model)(**batch, output_attentions=True).attentions for model in (student, teacher))
    match = {"name": "match", "feature": "attention", "loss": "attention_mse", "layer_T": 1, "layer_S": 1, "weight": 2}
    losses = listen(student, match, teacher=teacher, convention=convention)
    if convention == "distill":
        with pytest.raises(UserError, match="near ones alone"):
            _looks_everywhere(losses)
        named = listen(student_of(48, "modernbert"), "attention_mse", teacher=inner.fresh("modernbert"), layer_map=[[1, 1]])
        wanted = compare(named.captures[0].encoder, named, batch)["attention_mse"]
    else:
        _looks_everywhere(losses)
        wanted = attention_mse(ours[1], theirs[1], mask)
    found = compare(student, losses, batch)
    torch.testing.assert_close(found["attention_mse_1_1"], 2 * wanted, rtol=1e-4, atol=1e-7)


def test_weights_and_schedules():
    student = student_of()
    plain = compare(student, listen(student, "hidden_mse", "attention_mse", "nst"))
    student = student_of()
    losses = listen(
        student,
        {"name": "hidden_mse", "weight": 3},
        {"name": "attention_mse", "weight": 0.5, "weight_schedule": "linear_decay"},
        {"name": "nst", "weight": 2, "weight_schedule": "linear_growth"},
    )
    for progress in (0.0, 0.25, 1.0):
        found = compare(student, losses, progress=progress)
        factors = {"hidden_mse": 3, "attention_mse": 0.5 * (1 - progress), "nst": 2 * progress}
        for name, factor in factors.items():
            torch.testing.assert_close(found[name], factor * plain[name])


def test_a_stage_without_such_losses_has_none():
    teacher = InnerTeacher(inner.fresh("bert"))
    assert teacher.losses(student_of(), spec("embedding_cosine"), 0) is None
    assert teacher.masked(student_of(), spec("embedding_cosine", "hidden_mse"), 0) is None
