"""Dotted overrides end up where they point."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.errors import RecipeError, UserError
from distill.recipe_load import load_recipe
from distill.recipe_overrides import apply_overrides, read_overrides


def loaded(*overrides):
    return load_recipe("quickstart", overrides)


def test_a_plain_path():
    assert loaded("student.layers=2").student.layers == 2
    assert loaded("seed=7", "seed=8").seed == 8


def test_a_source_is_replaced_by_a_bare_name():
    (source,) = loaded("data.train=mine.txt").data.train
    assert (source.source, source.limit) == ("mine.txt", None)


def test_a_list_of_one_needs_no_number():
    (source,) = loaded("data.train.limit=50").data.train
    assert (source.source, source.limit) == ("python-docs", 50)
    assert loaded("data.train=[a.txt, b.txt]", "data.train.1.limit=5").data.train[1].limit == 5


def test_an_evaluation_set_is_made():
    recipe = loaded("data.evaluate.sts.source=sts.csv", "data.evaluate.sts.columns=[0, 1, 2]", "data.evaluate.other=b.csv")
    assert recipe.data.evaluate["sts"].columns == (0, 1, 2)
    assert recipe.data.evaluate["other"].source == "b.csv"


def test_losses_by_bare_names():
    (stage,) = loaded("stages.0.losses=[embedding_mse, {name: pair_order, margin: 0.1}]").stages
    assert [loss.name for loss in stage.losses] == ["embedding_mse", "pair_order"]
    assert stage.losses[1].margin == 0.1


def test_train_values_reach_every_stage():
    two = {"stages": [{"name": "a", "losses": ["embedding_cosine"]}, {"name": "b", "losses": ["embedding_mse"]}]}
    recipe = load_recipe("quickstart", {**two, "train.epochs": 9, "train.learning_rate": 1e-5, "train.max_steps": 3})
    assert [(stage.epochs, stage.learning_rate, stage.max_steps) for stage in recipe.stages] == [(9, 1e-5, 3)] * 2
    assert loaded("train.learning_rate=1e-5").stages[0].learning_rate == 1e-5
    assert loaded("train.patience=null").train.patience is None


def test_python_values_and_paths():
    recipe = load_recipe("quickstart", {"data.train": Path("a") / "b.txt", "student.layers": (0, 5), "teacher.model": Path("/m")})
    assert recipe.data.train[0].source == "a/b.txt"
    assert recipe.student.layers == (0, 5)
    assert recipe.teacher.model == "/m"


def test_the_tree_given_is_not_changed():
    tree = {"stages": [{"name": "a", "epochs": 1}], "data": {"train": ["x"]}}
    changed, problems = apply_overrides(tree, read_overrides(["stages.0.epochs=2", "data.train.0.limit=3"]))
    assert tree == {"stages": [{"name": "a", "epochs": 1}], "data": {"train": ["x"]}}
    assert problems == []
    assert changed["stages"][0]["epochs"] == 2
    assert changed["data"]["train"] == [{"source": "x", "limit": 3}]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("stages.3.epochs=1", ["stages.3.epochs", "has no entry 3"]),
        ("seed.x=1", ["seed.x", "no keys", "42"]),
        ("student.layrs=2", ["did you mean 'layers'"]),
        ("studnet.layers=2", ["did you mean 'student'"]),
        ("nonsense", ["not an override", "nonsense"]),
        ("=2", ["not an override"]),
        ("a..b=2", ["not an override"]),
        ("student.layers=[1", ["student.layers", "YAML"]),
    ],
)
def test_paths_that_lead_nowhere(override, words):
    with pytest.raises(RecipeError) as caught:
        loaded(override)
    assert all(word in str(caught.value) for word in words)


def test_a_list_of_two_needs_a_number():
    with pytest.raises(RecipeError, match="2 entries") as caught:
        loaded("stages.0.losses=[embedding_cosine, pair_order]", "stages.0.losses.weight=1")
    assert "stages.0.losses.0.weight" in str(caught.value)


def test_all_bad_paths_are_told_together():
    with pytest.raises(RecipeError, match="3 problems"):
        loaded("stages.3.epochs=1", "seed.x=1", "train.epochs=-1")


@given(
    st.text(st.characters(codec="ascii", exclude_characters="="), min_size=1).filter(lambda path: all(path.split("."))),
    st.integers(),
)
def test_any_path_gives_a_tree_or_an_error_of_ours(path, value):
    with contextlib.suppress(UserError):
        load_recipe("quickstart", [f"{path}={value}"])


@given(
    st.lists(
        st.sampled_from(["data", "train", "dev", "evaluate", "stages", "0", "losses", "student", "layers", "x"]),
        min_size=1,
        max_size=5,
    ),
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.text(), st.lists(st.integers()), st.dictionaries(st.text(), st.integers())
    ),
)
def test_any_value_anywhere_gives_a_recipe_or_an_error_of_ours(parts, value):
    with contextlib.suppress(UserError):
        load_recipe("quickstart", {".".join(parts): value})
