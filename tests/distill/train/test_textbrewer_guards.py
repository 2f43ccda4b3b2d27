"""What TextBrewer does not define, or defines otherwise, is refused by name; what both define passes."""

from __future__ import annotations

from typing import Any

import pytest

from distill.errors import UserError
from distill.recipe_losses import INNER, OF_TASK
from distill.recipe_stages import StageSpec, TrainSpec
from distill.train.textbrewer_guards import DEFINED, check_stage


def stage_of(*losses: str | dict[str, Any]) -> StageSpec:
    return StageSpec.model_validate({"losses": [{"name": loss} if isinstance(loss, str) else loss for loss in losses]})


@pytest.mark.parametrize("name", sorted((INNER | OF_TASK["classification"] | {"soft_binary_cross_entropy"}) - DEFINED))
def test_losses_that_textbrewer_has_not_are_refused(name):
    task = "multilabel" if name == "soft_binary_cross_entropy" else "classification"
    with pytest.raises(UserError, match=f"cannot train with {name}") as caught:
        check_stage(stage_of(name), "tiny", task, where="stages.0")
    assert caught.value.where == "stages.0.losses"
    assert caught.value.expected.endswith("attention_mse, embedding_layer_mse, fsp, hard_label, hidden_cosine, hidden_mse, "
        "logits_mse, nst, pkd" + ("" if task == "multilabel" else ", soft_cross_entropy"))  # fmt: skip


@pytest.mark.parametrize(
    ("losses", "kind", "words"),
    [
        ([{"name": "soft_cross_entropy", "temperature_schedule": "flsw"}], "tiny", "temperature_schedule flsw"),
        ([{"name": "soft_cross_entropy", "temperature_schedule": "cwsm"}], "tiny", "temperature_schedule cwsm"),
        ([{"name": "hidden_mse", "weight_schedule": "linear_decay"}], "tiny", "weight_schedule linear_decay"),
        (["soft_cross_entropy", "logits_mse"], "tiny", "logits_mse and soft_cross_entropy"),
        (["hidden_mse"], "bilstm", "no inner states"),
    ],
)
def test_settings_of_losses_that_textbrewer_has_not_are_refused(losses, kind, words):
    with pytest.raises(UserError, match=words):
        check_stage(stage_of(*losses), kind, "classification", where="stages.0")


@pytest.mark.parametrize("task", sorted(OF_TASK.keys() - {"embedding"}))
@pytest.mark.parametrize("name", sorted(DEFINED))
def test_losses_that_both_define_pass(name, task):
    if name in OF_TASK[task] | INNER:
        check_stage(stage_of(name), "tiny", task, where="stages.0", train=TrainSpec())


def test_embeddings_are_refused():
    with pytest.raises(UserError, match="tasks with predictions"):
        check_stage(stage_of("hidden_mse"), "layers", "embedding", where="stages.0")


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ({"precision": "bf16"}, "precision"),
        ({"gradient_accumulation": 2}, "gradient_accumulation"),
        ({"report_to": ["wandb"]}, "report_to"),
    ],
)
def test_settings_that_textbrewer_has_not_are_refused(setting, name):
    with pytest.raises(UserError, match=f"cannot train with this {name}") as caught:
        check_stage(stage_of("hard_label"), "tiny", "classification", where="stages.0", train=TrainSpec.model_validate(setting))
    assert caught.value.where == f"train.{name}"
