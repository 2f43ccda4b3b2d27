"""Dropout while training, in every family: off, as the recipe says, or the model's own."""

from __future__ import annotations

import pytest
import tiny
import torch

from distill.train.objective import set_dropout


def two_passes(model):
    features = model.preprocess(tiny.SENTENCES[:3])
    torch.manual_seed(1)
    model.train()
    with torch.no_grad():
        first, second = (model(dict(features))["sentence_embedding"] for _ in range(2))
        calm = model.eval()(dict(features))["sentence_embedding"]
    return first, second, calm


@pytest.mark.parametrize("family", tiny.CUTTABLE)
def test_switched_off_a_training_pass_is_an_evaluation_pass(family):
    model = tiny.sentence_transformer(family, layers=2)
    set_dropout(model, 0.0)
    first, second, calm = two_passes(model)
    assert torch.equal(first, second)
    torch.testing.assert_close(first, calm)


@pytest.mark.parametrize("family", tiny.CUTTABLE)
def test_switched_on_two_passes_differ(family):
    model = tiny.sentence_transformer(family, layers=2)
    set_dropout(model, 0.5)
    first, second, _ = two_passes(model)
    assert (first - second).abs().max() > 1e-3


@pytest.mark.parametrize(("asked", "expected"), [(0.0, 0.0), (None, 0.1), (0.3, 0.3)])
def test_the_recipe_decides_while_the_config_keeps_its_own(train, asked, expected):
    found = train(stages=[{"max_steps": 1}], dropout=asked)
    assert {module.p for module in found.student.model.modules() if isinstance(module, torch.nn.Dropout)} == {expected}
    assert found.student.model[0].auto_model.config.hidden_dropout_prob == 0.1
