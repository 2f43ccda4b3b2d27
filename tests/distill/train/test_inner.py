"""Losses between inner states equal the pure losses on what two models say of themselves, and train the student alone."""

from __future__ import annotations

import copy
import functools
import math
from types import SimpleNamespace

import inner
import pytest
import tiny
import torch
from torch import nn

from distill.errors import DistillError, UserError
from distill.losses.attention import attention_kl, attention_mse
from distill.losses.ckd import layer_pair, layer_triple, word_pair, word_triple
from distill.losses.gram import fsp, nst
from distill.losses.hidden import hidden_cosine, hidden_mse, pkd
from distill.losses.minilm import minilm_v1, minilm_v2
from distill.recipe_convention import map_notes
from distill.recipe_losses import INNER
from distill.recipe_stages import StageSpec
from distill.train.inner import InnerTeacher
from distill.train.objective import EmbeddingObjective, set_dropout
from distill.train.textbrewer_terms import _looks_everywhere
from teachers.capture import Capture, Wanted

PAIRS = ((1, 0), (3, 1))  # uniform, of 4 layers and 2: (teacher, student)
HIDDEN = {"hidden_mse": hidden_mse, "hidden_cosine": hidden_cosine, "pkd": pkd}
PROJECTED = (*HIDDEN, "embedding_layer_mse")
PAIRED_WIDTH = {"fsp"}


@functools.cache
def built(hidden, family):
    return tiny.sentence_transformer(family, layers=2, hidden=hidden, seed=3)[0].auto_model


def student_of(hidden=32, family="bert"):
    return copy.deepcopy(built(hidden, family))


def spec(*losses, **values):
    return StageSpec.model_validate({"losses": [{"name": x} if isinstance(x, str) else x for x in losses], **values})


def listen(student, *losses, teacher=None, ids=None, seed=0, **values):
    teacher = inner.fresh("bert") if teacher is None else teacher
    made = InnerTeacher(teacher, ids).losses(student, spec(*losses, **values), seed)
    assert made is not None
    return made


def compare(student, losses, batch=None, progress=0.0):
    batch = inner.features() if batch is None else batch
    student(**batch)
    return losses(batch, progress)


@torch.no_grad()
def outside(model, batch):
    """What a BERT says of itself, from its outputs and its weights: nothing is captured, and nobody listens."""
    twin = inner.eager(model).eval()
    found = twin(**batch, output_hidden_states=True, output_attentions=True)
    queries, keys, values = [], [], []
    for layer, before in zip(twin.encoder.layer, found.hidden_states, strict=False):
        own = layer.attention.self
        split = [getattr(own, name)(before).unflatten(-1, (4, -1)).transpose(1, 2) for name in ("query", "key", "value")]
        for kept, part in zip((queries, keys, values), split, strict=True):
            kept.append(part)
    scores = [q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) for q, k in zip(queries, keys, strict=True)]
    blocked = (batch["attention_mask"] == 0)[:, None, None, :]
    for raw, probabilities in zip(scores, found.attentions, strict=True):
        torch.testing.assert_close(raw.masked_fill(blocked, -torch.inf).softmax(-1), probabilities)
    return SimpleNamespace(
        hidden=found.hidden_states, probabilities=found.attentions, scores=scores, queries=queries, keys=keys, values=values
    )


def expected(name, ours, theirs, mask, mapped):
    """The loss by hand; hidden[0] are the embeddings, hidden[n + 1] is the output of layer n."""
    layers = [(mapped(ours.hidden[s + 1]), theirs.hidden[t + 1]) for t, s in PAIRS]
    plain = [(ours.hidden[0], theirs.hidden[0])] + [(ours.hidden[s + 1], theirs.hidden[t + 1]) for t, s in PAIRS]
    if name in HIDDEN:
        return sum(HIDDEN[name](a, b, mask) for a, b in layers)
    if name == "attention_mse":
        return sum(attention_mse(ours.scores[s], theirs.scores[t], mask) for t, s in PAIRS)
    if name == "attention_kl":  # the logarithm of a probability is a score, up to a constant a row
        return sum(attention_kl(ours.probabilities[s].log(), theirs.probabilities[t].log(), mask) for t, s in PAIRS)
    if name == "embedding_layer_mse":
        return hidden_mse(mapped(ours.hidden[0]), theirs.hidden[0], mask)
    if name == "minilm_v1":
        return minilm_v1(ours.scores[-1], theirs.scores[-1], ours.values[-1], theirs.values[-1], mask)
    if name == "minilm_v2":
        heads = math.gcd(ours.hidden[0].shape[-1], 32)
        last = [(states.queries[-1], states.keys[-1], states.values[-1]) for states in (ours, theirs)]
        return minilm_v2(*last, mask, relation_heads=heads)
    if name == "ckd_word":
        return sum(word_pair(a, b, mask) + word_triple(a, b, mask, window=21) for a, b in plain)
    if name == "ckd_layer":
        a, b = (torch.stack(side) for side in zip(*plain, strict=True))
        return layer_pair(a, b, mask) + layer_triple(a, b, mask)
    if name == "nst":
        return sum(nst(a, b, mask) for a, b in plain[1:])
    return fsp(plain[1][0], plain[2][0], plain[1][1], plain[2][1], mask)


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


# Projections.


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
