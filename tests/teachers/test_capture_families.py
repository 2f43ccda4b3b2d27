import math
from typing import Any

import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from inner import ALL, LAYERS, built, eager, features, fresh, run
from torch import Tensor
from transformers import AutoConfig, AutoModel

from teachers.capture import States, Wanted, attention_probabilities, shape_of

OUTPUT = {  # the module that gets softmax(scores) @ values, heads joined
    "distilbert": "transformer.layer.{}.attention.out_lin",
    "modernbert": "layers.{}.attn.Wo",
    "mpnet": "encoder.layer.{}.attention.attn.o",
}


def real(tensor: Tensor, mask: Tensor) -> Tensor:
    """The rows [*, H, L] of [B, H, L, L] that belong to real queries."""
    return tensor.transpose(1, 2)[mask.bool()]


MASKS_QUERIES = ("deberta", "deberta-v2", "modernbert")
"""Families that mask queries too, or look from afar: rows of padding differ."""


def check(model: Any, batch: dict[str, Tensor]) -> States:
    """Probabilities, hidden states and embeddings against what transformers itself reports of the eager model."""
    shape, mask = shape_of(model), batch["attention_mask"]
    every = frozenset(range(shape.layers))
    states = run(model, Wanted(True, every, every, every), batch)
    with torch.no_grad():
        expected = eager(model)(**batch, output_attentions=True, output_hidden_states=True)
    assert len(expected.attentions) == shape.layers
    for layer, probabilities in enumerate(expected.attentions):
        got = attention_probabilities(states.attention_scores[layer], mask, shape.windows[layer])
        if getattr(model.config, "talking_head", False):  # what is reported is mixed once more, behind the softmax
            mix = model.encoder.layer[layer].attention.self.head_weights_proj
            got = mix(got.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        torch.testing.assert_close(real(got, mask), real(probabilities, mask), atol=1e-5, rtol=1e-5)
        if shape.model_type not in MASKS_QUERIES:
            torch.testing.assert_close(got, probabilities, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(states.embeddings, expected.hidden_states[0])
    hidden = [states.hidden_states[layer] for layer in range(shape.layers)]
    if shape.model_type == "modernbert":
        hidden[-1] = model.final_norm(hidden[-1])
    for got, wanted in zip(hidden, expected.hidden_states[1:], strict=True):
        torch.testing.assert_close(got[mask.bool()], wanted[mask.bool()], atol=1e-5, rtol=1e-5)
    return states


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_states_are_those_of_eager_attention(family: str) -> None:
    batch = features(family)
    assert batch["attention_mask"].sum(1).unique().numel() == 3  # two of the three texts are padded
    check(fresh(family), batch)


VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "albert: two groups": ("albert", {"num_hidden_groups": 2}),
    "albert: two layers a group": ("albert", {"inner_group_num": 2}),
    "bert: eager": ("bert", {"attn_implementation": "eager"}),
    "camembert": ("camembert", {}),
    "deberta: convolution": ("deberta-v2", {"conv_kernel_size": 3, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]}),
    "deberta: shared keys": ("deberta-v2", {"share_att_key": True, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]}),
    "deberta: one term": ("deberta-v2", {"relative_attention": True, "pos_att_type": ["p2c"], "norm_rel_ebd": "layer_norm"}),
    "deberta: no positions": ("deberta-v2", {"relative_attention": False}),
    "deberta v1": ("deberta", {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "type_vocab_size": 0}),
    "deberta v1: one term": ("deberta", {"relative_attention": True, "pos_att_type": ["c2p"], "type_vocab_size": 0}),
    "deberta v1: no positions": ("deberta", {"type_vocab_size": 0}),
    "deberta v1: talking heads": (
        "deberta",
        {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "talking_head": True, "type_vocab_size": 0},
    ),
    "electra: narrow embeddings": ("electra", {"embedding_size": 16}),
    "modernbert: eager": ("modernbert", {"attn_implementation": "eager", "local_attention": 6}),
}


def of(family: str, **options: Any) -> Any:
    """A random model of a family with unusual settings."""
    common: dict[str, Any] = {"vocab_size": 246, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4}
    common |= {"intermediate_size": 64, "max_position_embeddings": 66, "initializer_range": 0.3, "pad_token_id": 0}
    if family == "modernbert":
        common |= {"cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
    torch.manual_seed(0)
    attention = options.pop("attn_implementation", None)
    config = AutoConfig.for_model(family, **{**common, **options})
    return AutoModel.from_config(config, attn_implementation=attention).eval()


@pytest.mark.parametrize("name", VARIANTS)
def test_unusual_settings_of_a_family(name: str) -> None:
    family, options = VARIANTS[name]
    model = of(family, **options)
    check(model, features())
    assert shape_of(model).layers == (8 if "inner_group_num" in options else 4)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_queries_keys_and_values_are_what_attention_works_with(family: str) -> None:
    model, batch = fresh(family), features(family)
    shape, mask = shape_of(model), batch["attention_mask"]
    contexts: list[Tensor] = []
    default = "encoder.albert_layer_groups.0.albert_layers.0.attention.dense" if family == "albert" else ""
    path = OUTPUT.get(family, default or "encoder.layer.{}.attention.output.dense")
    for name in dict.fromkeys(path.format(layer) for layer in range(LAYERS)):
        model.get_submodule(name).register_forward_pre_hook(lambda _, args: contexts.append(args[0]))
    states = run(model)
    assert len(contexts) == LAYERS
    for layer in range(LAYERS):
        queries, keys, values = states.queries[layer], states.keys[layer], states.values[layer]
        assert queries.shape == keys.shape == values.shape == (3, shape.heads, mask.shape[1], shape.head_dim)
        plain = queries @ keys.transpose(-1, -2) / math.sqrt(shape.head_dim)
        if family == "mpnet":
            plain = plain + model.encoder.compute_position_bias(states.embeddings)
        if family == "deberta-v2":  # two terms of positions beside that of contents, all scaled alike
            attention = model.encoder.layer[layer].attention.self
            flat = [part.reshape(-1, *part.shape[2:]) for part in (queries, keys)]
            bias = attention.disentangled_attention_bias(*flat, None, model.encoder.get_rel_embedding(), 3)
            plain = plain / math.sqrt(3) + bias.view_as(plain)
        torch.testing.assert_close(states.attention_scores[layer], plain, atol=1e-5, rtol=1e-5)
        joined = attention_probabilities(states.attention_scores[layer], mask, shape.windows[layer]) @ values
        joined = joined.transpose(1, 2).flatten(2)
        torch.testing.assert_close(joined[mask.bool()], contexts[layer][mask.bool()], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_shape_is_what_the_states_have(family: str) -> None:
    shape, states = shape_of(built(family)), run(built(family))
    assert (shape.model_type, shape.layers, shape.hidden) == (family, LAYERS, 32)
    assert states.embeddings is not None
    assert states.embeddings.shape[-1] == states.hidden_states[0].shape[-1] == shape.hidden
    assert (shape.heads, shape.head_dim) == (states.queries[0].shape[1], states.queries[0].shape[3]) == (4, 8)
    assert shape.vocabulary == built(family).get_input_embeddings().num_embeddings
    assert shape.windows == ((None, 4, 4, None) if family == "modernbert" else (None,) * 4)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_it_works_under_autocast(family: str) -> None:
    model = fresh(family)
    with torch.no_grad():
        exact = run(model)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = run(model)
    assert half.queries[0].dtype == torch.bfloat16
    for layer in (0, LAYERS - 1):
        got, expected = half.attention_scores[layer].float(), exact.attention_scores[layer]
        assert (got - expected).abs().max() < 0.1 * expected.abs().max()


@settings(deadline=None, max_examples=15)
@given(
    family=st.sampled_from(tiny.FAMILIES),
    texts=st.lists(st.sampled_from(tiny.SENTENCES) | st.text("abc .", max_size=20), min_size=2, max_size=4),
)
def test_padding_changes_no_state_of_a_real_token(family: str, texts: list[str]) -> None:
    model = built(family)
    together = run(model, ALL, features(family, texts))
    for row, text in enumerate(texts):
        alone = run(model, ALL, features(family, [text]))
        length = alone.embeddings.shape[1]  # type: ignore[union-attr]
        for layer in range(LAYERS):
            scores = together.attention_scores[layer][row, :, :length, :length]
            torch.testing.assert_close(scores, alone.attention_scores[layer][0], atol=1e-4, rtol=1e-4)
            hidden = together.hidden_states[layer][row, :length]
            torch.testing.assert_close(hidden, alone.hidden_states[layer][0], atol=1e-4, rtol=1e-4)
