"""The part of a recipe that says what is timed."""

from __future__ import annotations

import pytest

from distill.errors import RecipeError
from distill.recipe_check import check_recipe
from distill.recipe_load import load_recipe


def test_a_recipe_that_says_nothing_measures_as_before():
    spec = load_recipe("sbert-half").measure
    assert (spec.batch, spec.sequence, spec.threads, spec.min_runs, spec.min_seconds) == ((1, 32), (32, 128), (1,), 30, 1.0)
    assert (spec.scenarios, spec.scope, spec.text, spec.compiled) == (("single_stream",), "model", None, False)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["measure.scenarios=[offline]"], "must hold 'single_stream'"),
        (["measure.scenarios=[single_stream, single_stream]"], "named twice"),
        (["measure.scenarios=[single_stream, server]", "measure.loads=[]"], "needs rates, or loads"),
        (["measure.scenario=[server]"], "scenario"),
    ],
)
def test_what_does_not_fit(overrides, words):
    with pytest.raises(RecipeError, match=words):
        load_recipe("quickstart", overrides)


@pytest.mark.parametrize(("content", "words"), [(None, "cannot be read"), ("\n", "is empty")])
def test_the_text_is_looked_at_before_a_run(tmp_path, content, words):
    path = tmp_path / "mine.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RecipeError, match=r"measure\.text") as caught:
        check_recipe("quickstart", [f"measure.text={path}"])
    assert words in str(caught.value)
    path.write_text("a sentence\n")
    check_recipe("quickstart", [f"measure.text={path}"])
