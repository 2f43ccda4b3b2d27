"""Every shipped recipe goes through the real parser and says what to expect of it."""

from __future__ import annotations

from importlib import resources

import pytest
import yaml

from distill.recipe_check import check_recipe
from distill.recipe_load import load_recipe, recipe_names, recipe_text, to_yaml

FILES = sorted((resources.files("distill") / "recipes").glob("*.yaml"))


def test_three_are_shipped():
    assert [file.stem for file in FILES] == recipe_names() == ["quickstart", "sbert-half", "sbert-mini"]


@pytest.mark.parametrize("name", recipe_names())
def test_it_is_valid_and_called_as_its_file(name):
    assert load_recipe(name).name == name
    check_recipe(name)


@pytest.mark.parametrize("name", recipe_names())
def test_its_head_tells_command_result_time_and_memory(name):
    head = [line.lstrip("# ") for line in recipe_text(name).split("\n\n")[0].splitlines()]
    told = {line.partition(":")[0]: line.partition(":")[2].strip() for line in head[2:] if ":" in line}
    assert told["command"].startswith(f"distill run {name}")
    assert all(told[key] for key in ("expected", "time", "memory"))
    assert head[0].endswith(".")


@pytest.mark.parametrize("name", recipe_names())
def test_the_commands_in_its_head_parse(name):
    head = recipe_text(name).split("\n\nname:")[0]
    commands = [line.partition("distill run ")[2].split() for line in head.splitlines() if "distill run " in line]
    assert len(commands) >= 2
    for recipe, *overrides in commands:
        assert load_recipe(recipe, overrides).name == name


@pytest.mark.parametrize("name", recipe_names())
def test_the_resolved_form_is_complete_and_gives_itself(name):
    recipe = load_recipe(name)
    tree = yaml.safe_load(to_yaml(recipe))
    assert load_recipe(tree) == recipe
    assert tree == recipe.to_dict()
    assert set(tree) == {"name", "seed", "task", "teacher", "data", "student", "stages", "train", "export", "measure", "report"}


def test_the_quickstart_is_quick_and_needs_nothing_but_this_machine():
    recipe = load_recipe("quickstart")
    assert check_recipe(recipe) == []
    assert recipe.measure.sequence == (32,)
    assert recipe.data.train[0].source == "python-docs"
    assert recipe.teacher.model.startswith("package:")


def test_the_mini_student_answers_in_the_teachers_space():
    recipe = load_recipe("sbert-mini")
    assert recipe.student.projection == "keep"
    assert recipe.student.from_ != "teacher"
