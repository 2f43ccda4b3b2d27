import copy
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from distill.errors import ModelError
from distill.positions import position_limit
from students.layers import choose_layers, cut_layers, layer_stack

LONG = " ".join(tiny.SENTENCES[:4])  # longer than ModernBERT's window of 8 tokens


@pytest.mark.parametrize(
    ("available", "layers", "expected"),
    [
        (6, 3, [0, 2, 5]),
        (12, 6, [0, 2, 4, 7, 9, 11]),
        (12, 3, [0, 6, 11]),
        (12, 4, [0, 4, 7, 11]),
        (6, 2, [0, 5]),
        (6, 1, [0]),
        (4, 4, [0, 1, 2, 3]),
        (12, (1, 5, 9), [1, 5, 9]),
        (3, [2], [2]),
    ],
)
def test_choices_by_hand(available: int, layers: Any, expected: list[int]) -> None:
    assert choose_layers(available, layers) == expected


@given(available=st.integers(2, 60), data=st.data())
def test_a_number_of_layers_is_spread_evenly(available: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(2, available))
    chosen = choose_layers(available, count)
    assert len(chosen) == count
    assert (chosen[0], chosen[-1]) == (0, available - 1)
    gaps = np.diff(chosen)
    assert gaps.min() >= 1
    assert gaps.max() - gaps.min() <= 2
    ideal = np.linspace(0, available - 1, count)
    assert np.abs(np.array(chosen) - ideal).max() <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (7, "at most 6"),
        ((0, 6), "0 to 5"),
        (0, "at least 1"),
        ((), "rise"),
        ((2, 2), "rise"),
        ((3, 1), "rise"),
        ((-1, 2), "rise"),
    ],
)
def test_impossible_choices_name_both_numbers(layers: Any, words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        choose_layers(6, layers)
    assert caught.value.exit_code == 2


class Skipped(nn.Module):
    """A layer that runs, so that its kind of output is known, and hands on what it was given."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.layer, name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        given_states = args[0] if args else kwargs["hidden_states"]
        out = self.layer(*args, **kwargs)
        return (given_states, *out[1:]) if isinstance(out, tuple) else given_states


@pytest.mark.parametrize("family", tiny.CUTTABLE)
def test_a_cut_model_is_the_whole_one_without_some_layers(family: str) -> None:
    whole = tiny.sentence_transformer(family, layers=5)
    before = copy.deepcopy(whole.state_dict())
    kept = [0, 2, 3]
    cut = cut_layers(whole, kept)
    texts = [*tiny.SENTENCES[:6], LONG]
    got = cut.encode(texts)
    untouched = whole.encode(texts)
    _, _, layers = layer_stack(whole.transformers_model)
    assert len(layers) == 5
    assert len(layer_stack(cut.transformers_model)[2]) == 3
    for index in (1, 4):
        layers[index] = Skipped(layers[index])
    np.testing.assert_allclose(got, whole.encode(texts), atol=1e-6)
    assert np.abs(got - untouched).max() > 1e-2
    assert cut.transformers_model.config.num_hidden_layers == 3
    with torch.no_grad():
        for weight in cut.parameters():
            weight.zero_()
    for index in (1, 4):
        layers[index] = layers[index].layer
    after = whole.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert whole.transformers_model.config.num_hidden_layers == 5


def test_albert_and_strangers_are_refused_with_a_reason() -> None:
    with pytest.raises(ModelError, match="share one set of weights"):
        cut_layers(tiny.sentence_transformer("albert"), [0])
    model = tiny.sentence_transformer()
    model.transformers_model.config.model_type = "squeezenet"
    with pytest.raises(ModelError, match=r"(?s)squeezenet.*deberta-v2"):
        layer_stack(model.transformers_model)


def test_modernbert_keeps_its_first_layer_and_its_pattern() -> None:
    model = tiny.sentence_transformer("modernbert", layers=6)
    full, sliding = "full_attention", "sliding_attention"
    assert model.transformers_model.config.layer_types == [full, sliding, sliding, full, sliding, sliding]
    cut = cut_layers(model, [0, 3, 4])
    assert cut.transformers_model.config.layer_types == [full, full, sliding]
    assert model.transformers_model.config.layer_types == [full, sliding, sliding, full, sliding, sliding]
    with pytest.raises(ModelError, match="first layer must be kept"):
        cut_layers(model, [1, 3])


@pytest.mark.parametrize(
    ("family", "limit"), [("bert", 64), ("roberta", 65), ("mpnet", 64), ("modernbert", 64), ("deberta-v2", 64)]
)
def test_the_longest_input_is_known(family: str, limit: int) -> None:
    assert position_limit(tiny.sentence_transformer(family).transformers_model) == limit


def test_a_shared_cut_has_the_same_weights_and_copies_none():
    whole = tiny.sentence_transformer(layers=3)
    copied, shared = cut_layers(whole, [0, 2]), cut_layers(whole, [0, 2], shared=True)
    assert (shared.encode(tiny.SENTENCES[:5]) == copied.encode(tiny.SENTENCES[:5])).all()
    ours = {weight.data_ptr() for weight in whole.parameters()}
    assert {weight.data_ptr() for weight in shared.parameters()} < ours
    assert not {weight.data_ptr() for weight in copied.parameters()} & ours
    assert shared.tokenizer is whole.tokenizer
    assert len(whole.transformers_model.encoder.layer) == 3
