import contextlib
import copy
import math
import weakref
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from inner import ALL, EVERY, LAYERS, TEXTS, built, eager, features, fresh, run
from torch import nn
from transformers import AutoModel, AutoModelForSequenceClassification, GPT2Config, GPT2Model

from distill.errors import DistillError, ModelError
from teachers.capture import Capture, Wanted, attention_probabilities, encoder_of, shape_of


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_capture_changes_no_output_not_even_with_dropout(family: str) -> None:
    model, batch = fresh(family), features(family)
    for module in model.modules():  # ALBERT and ModernBERT come without dropout
        if isinstance(module, nn.Dropout):
            module.p = 0.2
        elif isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.2
    for training in (False, True):
        model.train(training)
        torch.manual_seed(1)
        expected = model(**batch).last_hidden_state
        torch.manual_seed(1)
        with Capture(model, ALL):
            got = model(**batch).last_hidden_state
        torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-6)
    assert not torch.allclose(model(**batch).last_hidden_state, expected)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_closed_capture_leaves_nothing_behind(family: str, tmp_path: Path) -> None:
    model = fresh(family)
    hooks = [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in model.modules()]
    held = [dict(module.__dict__) for module in model.modules()]
    names = list(model.state_dict())
    capture = Capture(model, ALL)
    assert list(model.state_dict()) == names
    assert sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()) > sum(map(sum, hooks))
    model(**features(family))
    capture.close()
    capture.close()
    assert [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in model.modules()] == hooks
    for module, before in zip(model.modules(), held, strict=True):
        assert module.__dict__.keys() == before.keys()
        assert module.__dict__.get("config") is before.get("config")
    model.save_pretrained(tmp_path)
    assert "observed" not in (tmp_path / "config.json").read_text()
    again = copy.deepcopy(model)
    torch.testing.assert_close(again(**features(family)).last_hidden_state, model(**features(family)).last_hidden_state)
    with pytest.raises(DistillError, match="has not been run"):
        capture.take()


def test_models_that_share_a_config_do_not_switch() -> None:
    config = copy.deepcopy(built("bert").config)
    first, second = AutoModel.from_config(config).eval(), AutoModel.from_config(config).eval()
    assert first.config is second.config
    with Capture(first, ALL) as capture:
        assert first.config is config
        assert config._attn_implementation == "sdpa"
        assert all(module.config is config for module in second.modules() if hasattr(module, "config"))
        second(**features())
        with pytest.raises(DistillError, match="has not been run"):
            capture.take()
        with Capture(second, Wanted(qkv=frozenset({1}))) as other:
            first(**features())
            second(**features())
            assert set(other.take().queries) == {1}
        assert len(capture.take().attention_scores) == LAYERS


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_only_what_is_wanted_is_kept(family: str) -> None:
    model = fresh(family)
    states = run(model, Wanted(attention_scores=frozenset({2})))
    assert states.embeddings is None
    assert set(states.attention_scores) == {2}
    assert not any((states.hidden_states, states.queries, states.keys, states.values))
    whole = run(model)
    torch.testing.assert_close(states.attention_scores[2], whole.attention_scores[2])
    states = run(model, Wanted(hidden_states=frozenset({1, 3})) | Wanted(embeddings=True) | Wanted(qkv=frozenset({0})))
    assert states.embeddings is not None
    assert (set(states.hidden_states), set(states.queries), set(states.keys), set(states.values)) == ({1, 3}, {0}, {0}, {0})
    assert not states.attention_scores
    torch.testing.assert_close(states.hidden_states[3], whole.hidden_states[3])
    torch.testing.assert_close(states.queries[0], whole.queries[0])


def test_layers_that_are_not_wanted_are_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    model, products, fused = fresh("bert"), [], []
    fast, matmul = nn.functional.scaled_dot_product_attention, torch.matmul
    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", lambda *a, **k: fused.append(1) or fast(*a, **k))
    monkeypatch.setattr(torch, "matmul", lambda *a, **k: products.append(1) or matmul(*a, **k))
    with Capture(model, Wanted(True, EVERY)):
        assert all(layer.attention.self.config is model.config for layer in model.encoder.layer)
        model(**features())
    assert (len(fused), len(products)) == (LAYERS, 0)
    with Capture(model, Wanted(attention_scores=frozenset({1}), qkv=frozenset({3}))):
        untouched = [layer.attention.self.config is model.config for layer in model.encoder.layer]
        model(**features())
    assert untouched == [True, False, True, False]
    assert (len(fused), len(products)) == (2 * LAYERS, 1)
    before = [len(layer._forward_hooks) for layer in model.encoder.layer]
    with Capture(model, Wanted(hidden_states=frozenset({1}))):
        assert [len(layer._forward_hooks) - old for layer, old in zip(model.encoder.layer, before, strict=True)] == [0, 1, 0, 0]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_gradients_flow_through_what_is_captured(family: str) -> None:
    model = fresh(family).train()
    for name in ("embeddings", "hidden_states", "attention_scores", "queries", "keys", "values"):
        model.zero_grad()
        states = getattr(run(model), name)
        (states if name == "embeddings" else states[1]).pow(2).sum().backward()
        table = model.get_input_embeddings().weight.grad
        assert table is not None, name
        assert table.abs().sum() > 0, name
    model.zero_grad()
    run(model, Wanted(hidden_states=frozenset({0}))).hidden_states[0].sum().backward()
    if family != "albert":  # its layers are one and the same
        layers = next(module for module in model.modules() if isinstance(module, nn.ModuleList) and len(module) == LAYERS)
        assert all(weight.grad is None for weight in layers[1].parameters())
    with torch.no_grad():
        assert not run(model).attention_scores[0].requires_grad


def test_the_gradient_of_scores_is_that_of_the_formula() -> None:
    model, batch = fresh("bert"), features()
    run(model, Wanted(attention_scores=frozenset({0})), batch).attention_scores[0].pow(2).sum().backward()
    attention = model.encoder.layer[0].attention.self
    got = attention.query.weight.grad.clone()
    model.zero_grad()
    seen = model.embeddings(batch["input_ids"], batch["token_type_ids"])
    parts = [layer(seen).unflatten(-1, (4, 8)) for layer in (attention.query, attention.key)]
    torch.einsum("bihd,bjhd->bhij", *parts).div(math.sqrt(8)).pow(2).sum().backward()
    torch.testing.assert_close(got, attention.query.weight.grad)


@pytest.mark.parametrize("family", ["bert", "mpnet", "deberta-v2"])
def test_scores_are_taken_before_dropout(family: str) -> None:
    model = fresh(family).train()
    for module in model.modules():
        if isinstance(module, nn.Dropout) and module is not getattr(model.embeddings, "dropout", None):
            module.p = 0.0
    model.embeddings.dropout.p = 0.0
    calm = run(model, Wanted(attention_scores=frozenset({0}))).attention_scores[0]
    layer = model.encoder.layer[0].attention
    (layer.attn if family == "mpnet" else layer.self).dropout.p = 0.9
    torch.testing.assert_close(run(model, Wanted(attention_scores=frozenset({0}))).attention_scores[0], calm)


def test_a_forward_pass_forgets_the_last_one() -> None:
    model = fresh("albert")
    with Capture(model, ALL) as capture:
        model(**features("albert", TEXTS[1:]))
        model(**features("albert", TEXTS[:1]))
        states = capture.take()
        torch.testing.assert_close(
            states.hidden_states[3], run(built("albert"), ALL, features("albert", TEXTS[:1])).hidden_states[3]
        )
        with pytest.raises(DistillError, match="embeddings, hidden_states of layer 0"):
            capture.take()


def test_a_pass_that_breaks_off_gives_nothing() -> None:
    model = fresh("mpnet")

    def broken(*_: Any) -> None:
        raise KeyboardInterrupt

    with Capture(model, ALL) as capture:
        with model.encoder.layer[2].attention.attn.k.register_forward_hook(broken), contextlib.suppress(KeyboardInterrupt):
            model(**features("mpnet", TEXTS[1:]))
        with pytest.raises(DistillError, match="hidden_states of layer 2") as caught:
            capture.take()
        assert "layer 1" not in str(caught.value)
        model(**features("mpnet"))
        again = capture.take()
    torch.testing.assert_close(again.queries[2], run(built("mpnet")).queries[2])


@pytest.mark.parametrize("family", ["bert", "mpnet", "deberta-v2"])
def test_taken_states_are_not_held(family: str) -> None:
    model = fresh(family)
    with Capture(model, ALL) as capture, torch.no_grad():
        model(**features(family))
        states = capture.take()
        references = [weakref.ref(tensor) for tensor in (states.attention_scores[0], states.values[1], states.hidden_states[2])]
        del states
        assert [reference() for reference in references] == [None] * 3


@pytest.mark.parametrize("family", ["bert", "mpnet", "deberta-v2", "albert"])
def test_a_copy_made_while_captured_does_not_disturb(family: str) -> None:
    model, batch = fresh(family), features(family)
    with Capture(model, Wanted(attention_scores=EVERY)) as capture:
        other = copy.deepcopy(model)
        for weight in other.parameters():
            weight.data *= 1.5
        other(**batch)
        with pytest.raises(DistillError, match="has not been run"):
            capture.take()
        model(**batch)
        expected = eager(built(family))
        for weight in expected.parameters():
            weight.data *= 1.5
        torch.testing.assert_close(other(**batch).last_hidden_state, expected(**batch).last_hidden_state, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(capture.take().attention_scores[2], run(built(family)).attention_scores[2])


@pytest.mark.parametrize("family", ["bert", "distilbert", "modernbert", "mpnet", "deberta-v2"])
def test_the_encoder_inside_a_task_model(family: str) -> None:
    torch.manual_seed(0)
    task = AutoModelForSequenceClassification.from_config(copy.deepcopy(built(family).config)).eval()
    task.base_model.load_state_dict(built(family).state_dict(), strict=False)
    assert encoder_of(task) is task.base_model
    assert shape_of(task) == shape_of(task.base_model)
    for model in (task, task.base_model):
        with Capture(model, ALL) as capture:
            logits = task(**features(family)).logits
            states = capture.take()
        torch.testing.assert_close(logits, task(**features(family)).logits)
        torch.testing.assert_close(states.attention_scores[3], run(built(family)).attention_scores[3])


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_encoder_inside_a_sentence_transformer(family: str) -> None:
    whole = tiny.sentence_transformer(family, layers=LAYERS)
    expected = whole.encode(TEXTS)
    for model in (whole, whole[0].auto_model):
        with Capture(model, ALL) as capture:
            got = whole.encode(TEXTS, batch_size=8)
            states = capture.take()
        assert (got == expected).all()
        assert states.embeddings is not None
        assert states.embeddings.shape[0] == 3
        assert len(states.attention_scores) == LAYERS
    features_of = whole.preprocess(TEXTS)
    with Capture(whole, ALL) as capture:
        whole(features_of)
        scores = capture.take().attention_scores[0]
    batch = {name: value for name, value in features_of.items() if name in features(family)}
    torch.testing.assert_close(scores, run(built(family), ALL, batch).attention_scores[0])


def test_mistakes_are_told() -> None:
    other = GPT2Model(GPT2Config(n_layer=1, n_embd=8, n_head=2, vocab_size=9))
    with pytest.raises(ModelError, match="model_type gpt2"):
        Capture(other, ALL)
    for nothing in (nn.Linear(2, 2), nn.Sequential()):
        with pytest.raises(ModelError, match="no transformers encoder"):
            shape_of(nothing)
    model = fresh("bert")
    for layers in ({4}, {-1}):
        with pytest.raises(ModelError, match="layers 0 to 3: it has 4"):
            Capture(model, Wanted(qkv=frozenset(layers)))
    with Capture(model, ALL), pytest.raises(ModelError, match="another capture"):
        Capture(model, ALL)
    run(model)  # neither mistake has left a mark


def test_gradient_checkpointing_is_refused_in_training_alone() -> None:
    model = fresh("bert")
    model.gradient_checkpointing_enable()
    run(model)
    model.train()
    with pytest.raises(ModelError, match="gradient checkpointing"):
        run(model)


def test_probabilities_by_hand() -> None:
    scores = torch.tensor([[[[0.0, math.log(3.0), 9.0]] * 3]])
    got = attention_probabilities(scores, torch.tensor([[1, 1, 0]]))
    torch.testing.assert_close(got[0, 0], torch.tensor([[0.25, 0.75, 0.0]] * 3))
    assert (got[..., 2] == 0).all()
    near = attention_probabilities(scores, torch.tensor([[1, 1, 1]]), window=0)
    torch.testing.assert_close(near[0, 0], torch.eye(3))
    empty = attention_probabilities(scores, torch.tensor([[0, 0, 0]]))
    torch.testing.assert_close(empty, torch.full_like(empty, 1 / 3))
    with pytest.raises(ValueError, match=r"\(1, 1, 3, 3\).*\(1, 2\)"):
        attention_probabilities(scores, torch.tensor([[1, 1]]))
