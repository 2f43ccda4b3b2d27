"""Trying out a precision leaves no trace, and the faster one wins by a margin."""

from __future__ import annotations

import copy

import pytest
import tiny
import torch

from distill.recipe import EmbeddingCosine
from distill.train import precision
from distill.train.objective import EmbeddingObjective
from distill.train.precision import choose_precision, step_seconds


@pytest.fixture
def objective():
    student = tiny.sentence_transformer(layers=1)
    return EmbeddingObjective(student, None, [EmbeddingCosine(name="embedding_cosine")], teacher_normalizes=True).train()


@pytest.fixture
def batch():
    chance = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 200, (4, 9), generator=chance)
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "teacher_embedding": torch.randn(4, 32, generator=chance),
    }


@pytest.mark.parametrize("bf16", [False, True])
def test_a_trial_leaves_the_model_and_the_random_state_as_they_were(objective, batch, bf16):
    before = copy.deepcopy(objective.state_dict())
    state = torch.random.get_rng_state()
    assert step_seconds(objective, batch, bf16, repeats=1) > 0
    assert torch.equal(torch.random.get_rng_state(), state)
    after = objective.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(weight.grad is None for weight in objective.parameters())
    assert objective.training


def test_the_choice_leaves_no_trace_either(objective, batch):
    before = copy.deepcopy(objective.state_dict())
    state = torch.random.get_rng_state()
    chosen, words = choose_precision(objective, batch)
    assert chosen in ("fp32", "bf16")
    assert "fp32" in words
    assert "bf16" in words
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(before[name], weight) for name, weight in objective.state_dict().items())
    assert all(weight.grad is None for weight in objective.parameters())


@pytest.mark.parametrize(("fp32", "bf16", "expected"), [(0.010, 0.005, "bf16"), (0.010, 0.0095, "fp32"), (0.010, 0.020, "fp32")])
def test_bf16_is_taken_where_it_is_clearly_faster(monkeypatch, fp32, bf16, expected):
    monkeypatch.setattr(precision, "step_seconds", lambda objective, batch, half, repeats: bf16 if half else fp32)
    chosen, words = choose_precision(None, {})
    assert chosen == expected
    assert words == f"a step takes {fp32 * 1000:.0f} ms in fp32, {bf16 * 1000:.0f} ms in bf16"
