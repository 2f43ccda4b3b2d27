"""Where recipes come from, and what a bad place gets."""

from __future__ import annotations

import pytest

from distill.errors import RecipeError, UserError
from distill.recipe import Recipe
from distill.recipe_load import load_recipe, recipe_text, to_yaml


def test_by_name_path_mapping_and_object(tmp_path):
    by_name = load_recipe("quickstart")
    assert isinstance(by_name, Recipe)
    file = tmp_path / "mine.yaml"
    file.write_text(recipe_text("quickstart"))
    assert load_recipe(file) == load_recipe(str(file)) == load_recipe(by_name) == load_recipe(by_name.to_dict()) == by_name
    assert load_recipe(by_name, {"seed": 1}).seed == 1


def test_a_file_in_the_folder_goes_before_a_shipped_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").write_text(to_yaml(load_recipe("sbert-half")))
    assert load_recipe("quickstart").name == "sbert-half"


def test_short_spellings():
    recipe = load_recipe(
        {
            "name": "x",
            "teacher": "some/model",
            "data": {"train": "a.txt", "dev": "b.txt"},
            "student": {"layers": 2},
            "stages": [{"losses": ["embedding_mse"]}],
        }
    )
    assert recipe.teacher.model == "some/model"
    assert [source.source for source in recipe.data.train] == ["a.txt"]
    assert recipe.data.dev.source == "b.txt"
    assert recipe.stages[0].losses[0].weight == 1.0


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("quickstrat", None, ["did you mean 'quickstart'"]),
        ("nothing-like-it", None, ["quickstart, sbert-half, sbert-mini"]),
        ("sub/mine.yaml", None, ["no such recipe file", "mine.yaml"]),
        ("near.yaml", None, ["did you mean 'nearby.yaml'"]),
        ("folder", "", ["folder"]),
        ("a.yaml", b"name: \xff\n", ["not UTF-8"]),
        ("a.yaml", b"", ["a recipe is a mapping", "nothing"]),
        ("a.yaml", b"- a\n- b\n", ["a recipe is a mapping"]),
        ("a.yaml", b"name: [\n", ["YAML", "line"]),
        ("a.yaml", b"name: x\nname: y\n", ["twice", "line 2"]),
        ("a.yaml", b"#" * 1_000_001, ["too large"]),
    ],
)
def test_bad_places_and_files(tmp_path, monkeypatch, name, content, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "nearby.yaml").write_text("x")
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_recipe(name)
    assert caught.value.exit_code == 2
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_run_folder_hints_at_its_recipe(tmp_path):
    (tmp_path / "recipe.yaml").write_text("x")
    with pytest.raises(UserError, match=r"recipe\.yaml"):
        load_recipe(tmp_path)


def test_the_recipe_is_frozen():
    recipe = load_recipe("quickstart")
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 3


def test_errors_name_the_recipe(tmp_path):
    with pytest.raises(RecipeError, match="recipe 'quickstart'"):
        load_recipe("quickstart", ["seed=x"])
    file = tmp_path / "mine.yaml"
    file.write_text("name: x\n")
    with pytest.raises(RecipeError, match=r"mine\.yaml"):
        load_recipe(file)
