"""What transformers is told of a stage."""

from __future__ import annotations

from transformers import TrainingArguments

from distill.recipe_load import load_recipe
from distill.train.arguments import Length, trainer_arguments


def made(tmp_path):
    recipe = load_recipe("quickstart")
    return trainer_arguments(recipe, recipe.stages[0], "fp32", tmp_path, Length(10, 20, 5), "agreement_spearman")


def test_one_gpu_is_used_where_several_are_visible_and_it_is_told(tmp_path, monkeypatch, capsys):
    """torch's DataParallel runs replicas, to which nothing listens."""
    monkeypatch.setattr(TrainingArguments, "n_gpu", property(lambda self: 1 if self._n_gpu == 1 else 4))
    assert made(tmp_path).n_gpu == 1
    assert "4 GPUs are visible and one is used" in capsys.readouterr().err


def test_nothing_is_told_of_no_gpu(tmp_path, capsys):
    assert made(tmp_path).n_gpu <= 1
    assert "GPU" not in capsys.readouterr().err
