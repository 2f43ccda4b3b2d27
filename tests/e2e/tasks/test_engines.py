"""TextBrewer behind the same recipe."""

from __future__ import annotations

import json

import pytest
from artefacts import keys, log
from taskruns import QUICK, recipe

import distill
from distill.errors import UserError
from students.heads import load_head_student
from teachers.heads import CLASSES


@pytest.mark.slow
def test_the_other_engine_trains_the_same_student(train_recipe, tmp_path):
    """TextBrewer behind the same recipe: the same start, the same batches, the same losses to 1e-5."""
    stages = [
        {"name": "inner", "losses": ["attention_mse", "hidden_mse", "embedding_layer_mse"], "max_steps": 3, **QUICK},
        {"name": "prediction", "losses": ["soft_cross_entropy", "hard_label"], "max_steps": 3, **QUICK},
    ]
    found = {}
    for engine in ("trainer", "textbrewer"):
        settings = {"precision": "fp32", "evaluate_every": 1.0, "engine": engine, "patience": None}
        teacher = {"model": "encoder", "max_length": 64, "finetune": {"epochs": 0.5, **QUICK}}
        out = tmp_path / engine
        train_recipe(recipe("classification", stages=stages, train=settings, teacher=teacher), out)
        assert not [path for path in out.rglob("*") if path.suffix in (".pkl", ".bin", ".pt")]
        found[engine] = (log(out), load_head_student(out / "student", CLASSES["classification"])[0].state_dict())
    (lines, ours), (other_lines, theirs) = found["trainer"], found["textbrewer"]
    first, second = ([line for line in side if "losses" in line] for side in (lines, other_lines))
    assert [(line["stage"], line["step"]) for line in first] == [(line["stage"], line["step"]) for line in second]
    assert {name for line in first for name in line["losses"]} == {name for stage in stages for name in stage["losses"]}
    for one, two in zip(first, second, strict=True):
        assert one["losses"] == pytest.approx(two["losses"], abs=1e-5)
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) < 1e-5


def test_a_textbrewer_configuration_trains_a_student(train_recipe, tmp_path):
    """Read from its file, refused by file and key where the models have no such layer, and not needed again."""
    file = tmp_path / "distill_config.json"
    match = {"layer_T": 4, "layer_S": 2, "feature": "hidden", "loss": "hidden_mse", "weight": 1}
    teacher = {"model": "encoder", "max_length": 64, "finetune": {"epochs": 0.5, **QUICK}}
    asked = recipe("classification", stages=[{"losses_from": str(file), "max_steps": 2, **QUICK}], teacher=teacher)
    file.write_text(json.dumps({"temperature": 8, "intermediate_matches": [match]}), "utf-8")
    with pytest.raises(UserError, match=r"distill_config.json: intermediate_matches.0.layer_T") as caught:
        distill.run(asked, out=tmp_path / "refused")
    assert caught.value.exit_code == 2
    file.write_text(json.dumps({"temperature": 8, "intermediate_matches": [match | {"layer_T": 3}]}), "utf-8")
    train_recipe(asked, tmp_path / "run")
    assert [set(line["losses"]) for line in log(tmp_path / "run") if "losses" in line] == [
        {"soft_cross_entropy", "hidden_mse_2_3"}
    ] * 2
    file.unlink()
    before = keys(tmp_path / "run")
    train_recipe(tmp_path / "run" / "recipe.yaml", tmp_path / "run")
    assert keys(tmp_path / "run") == before
