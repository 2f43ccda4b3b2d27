"""export.budget: one rule, of a preset that is asked for, of data that is there."""

from __future__ import annotations

import pytest

from distill.errors import RecipeError
from distill.recipe import ExportSpec
from distill.recipe_load import load_recipe

SEARCHED = "export.presets=[fp32, searched]"


def test_a_budget_is_read():
    recipe = load_recipe("sbert-half", [SEARCHED, "export.budget.min_cosine=0.999"])
    assert recipe.export.budget.min_cosine == 0.999
    assert recipe.to_dict()["export"]["budget"] == {"metric_drop": None, "min_cosine": 0.999}
    assert load_recipe("sbert-half", [SEARCHED]).export.budget is None
    assert ExportSpec().presets == ("fp32", "fast", "faithful")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["export.budget.min_cosine=0.99"], "add it to export.presets"),
        ([SEARCHED, "export.budget={min_cosine: 0.99, metric_drop: 0.01}"], "one of them"),
        ([SEARCHED, "export.budget={}"], "one of them"),
        ([SEARCHED, "export.budget.min_cosine=1.5"], "min_cosine"),
        ([SEARCHED, "export.budget.metric_drop=1"], "metric_drop"),
        ([SEARCHED, "export.budget.metric_drop=-0.1"], "metric_drop"),
        ([SEARCHED, "export.budget.metric_drop=0.005"], "needs an sts set in data.select"),
        ([SEARCHED, "export.budget.cosine=0.99"], "cosine"),
        (["export.presets=[fp32, fp16, fp16]"], "named twice"),
        (["export.presets=[searched]"], "must hold 'fp32'"),
    ],
)
def test_mistakes_are_named(overrides, words):
    with pytest.raises(RecipeError, match=words):
        load_recipe("sbert-half", overrides)


def test_a_metric_needs_labelled_dev_rows(tmp_path):
    (tmp_path / "dev.tsv").write_text("sentence1\tsentence2\tscore\na\tb\t1\n", "utf-8")
    select = f"data.select.source={tmp_path / 'dev.tsv'}"
    assert load_recipe("sbert-half", [SEARCHED, select, "export.budget.metric_drop=0.005"]).export.budget.metric_drop == 0.005
