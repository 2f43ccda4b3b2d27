"""Weights written once, whatever they are called, and loaded back."""

from __future__ import annotations

import pytest
import safetensors.torch
import tiny
import torch
from torch import nn
from transformers import AutoModelForMaskedLM

from distill.recipe_stages import StageSpec
from distill.train.inner import InnerTeacher
from distill.train.objective import EmbeddingObjective
from distill.train.states import load_state, state_of, without_twins


class Tied(nn.Module):
    """A word table that is the decoder too."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(5, 3)
        self.decoder = nn.Linear(3, 5)
        self.decoder.weight = self.words.weight


def test_a_tied_weight_is_kept_under_its_first_name():
    assert list(state_of(Tied())) == ["words.weight", "decoder.bias"]


def test_equal_weights_that_are_not_tied_are_all_kept():
    module = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3)})
    module["b"].load_state_dict(module["a"].state_dict())
    assert sorted(state_of(module)) == ["a.bias", "a.weight", "b.bias", "b.weight"]


def test_views_of_one_tensor_that_differ_are_all_kept():
    """The first row of a table, and its transpose, start at the same address as the table."""
    whole = torch.arange(9.0).reshape(3, 3)
    found = without_twins({"whole": whole, "row": whole[0], "turned": whole.T, "again": whole})
    assert list(found) == ["whole", "row", "turned"]
    assert torch.equal(found["turned"], whole.T)
    assert found["turned"].is_contiguous()


def test_every_state_can_be_written(tmp_path):
    """safetensors refuses tensors that share memory."""
    whole = torch.arange(9.0).reshape(3, 3)
    safetensors.torch.save_file(without_twins({"whole": whole, "row": whole[0], "turned": whole.T}), tmp_path / "a.safetensors")
    found = safetensors.torch.load_file(tmp_path / "a.safetensors")
    assert torch.equal(found["row"], whole[0])
    assert torch.equal(found["turned"], whole.T)


def test_empty_tensors_are_no_twins():
    assert list(without_twins({"a": torch.empty(0), "b": torch.empty(0)})) == ["a", "b"]


def test_saved_once_and_loaded_back(tmp_path):
    one, other = Tied(), Tied()
    safetensors.torch.save_file(state_of(one), tmp_path / "a.safetensors")
    load_state(other, safetensors.torch.load_file(tmp_path / "a.safetensors"))
    assert torch.equal(other.decoder.weight, one.words.weight)
    assert torch.equal(other.decoder.bias, one.decoder.bias)
    assert other.decoder.weight is other.words.weight


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda state: state.pop("decoder.bias"), "missing ['decoder.bias']"),
        (lambda state: state.update(more=torch.ones(1)), "unknown ['more']"),
    ],
)
def test_weights_of_another_model_are_refused(change, told):
    state = state_of(Tied())
    change(state)
    with pytest.raises(RuntimeError) as found:
        load_state(Tied(), state)
    assert told in str(found.value)


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_an_objective_with_projections_and_a_masked_lm_head(tmp_path, family):
    """The student is there twice, by itself and under the head; its word table a third time, as the decoder."""

    def objective(seed):
        torch.manual_seed(seed)
        whole = AutoModelForMaskedLM.from_config(tiny._config(family, 4, 32, 4, 64, len(tiny.tokenizer(family))))
        student = tiny.sentence_transformer(family, layers=2, seed=seed)
        stage = StageSpec.model_validate({"losses": [{"name": "mlm"}, {"name": "hidden_mse", "projection": "shared"}]})
        teacher = InnerTeacher(whole.base_model, head=whole, tokenizer=tiny.tokenizer(family))
        losses, masked = teacher.losses(student, stage, seed), teacher.masked(student, stage, seed)
        for weight in (*losses.parameters(), *masked.parameters()):
            weight.data += seed
        return EmbeddingObjective(student, None, stage.losses, teacher_normalizes=True, inner=losses, masked=masked), whole

    (one, _), (other, teacher) = objective(1), objective(2)
    kept = {name: value.clone() for name, value in teacher.state_dict().items()}
    state = state_of(one)
    assert len({value.data_ptr() for value in state.values()}) == len(state)
    trained = list(one.parameters())
    assert sum(value.numel() for value in state.values()) == sum(weight.numel() for weight in trained) + buffers(one)
    safetensors.torch.save_file(state, tmp_path / "a.safetensors")
    load_state(other, safetensors.torch.load_file(tmp_path / "a.safetensors"))
    for name, value in one.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, kept[name]), name
    words = other.student[0].auto_model.get_input_embeddings().weight
    assert other.masked.model.get_output_embeddings().weight is words


def buffers(module):
    """Numbers in buffers that are saved, each once."""
    names = set(dict(module.named_parameters(remove_duplicate=False)))
    found = {value.data_ptr(): value.numel() for name, value in module.state_dict().items() if name not in names}
    return sum(found.values())
