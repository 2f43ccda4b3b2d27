"""Every shipped recipe goes through the real parser and says what to expect of it."""

from __future__ import annotations

import shlex
from importlib import resources

import pytest
import tiny
import yaml

from distill.errors import RecipeError
from distill.recipe_check import check_recipe
from distill.recipe_load import load_recipe, recipe_names, recipe_text, to_yaml

FILES = sorted((resources.files("distill") / "recipes").glob("*.yaml"))
OF_TASK = {
    "bert-to-bilstm": "classification",
    "ckd": "classification",
    "pkd": "classification",
    "tinybert-ner": "tokens",
    "tinybert-qa": "spans",
    "tinybert-task": "classification",
}
ASKING = {"korean-search": "data.train.0", "multilingual-mse": "data.parallel.0", "multilingual-small": "data.train.0"}
"""Recipes of the task embedding that need a file of the user's -> where they name it."""
OF_EMBEDDING = ["distilbert", "minilm-v2", "quickstart", "sbert-half", "sbert-mini", "static", "tinybert-general"]
TEACHING = {"sbert-sts": ["sts_cosine"], "sbert-nli-sts": ["nli_ranking", "sts_cosine"], "simcse": ["simcse"]}
"""Those that train a sentence teacher first, with its objectives."""
OF_EMBEDDING += TEACHING


def test_these_are_shipped():
    assert [file.stem for file in FILES] == recipe_names() == sorted([*OF_TASK, *OF_EMBEDDING, *ASKING])


@pytest.mark.parametrize("name", recipe_names())
def test_it_is_valid_and_called_as_its_file(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.task == OF_TASK.get(name, "embedding")


@pytest.mark.parametrize("name", OF_EMBEDDING)
def test_it_passes_the_check_as_it_is(name):
    assert all("hub" in note for note in check_recipe(name))


@pytest.mark.parametrize("name", OF_TASK)
def test_a_task_asks_for_one_file_and_passes_the_check_with_it(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError) as caught:
        check_recipe(name)
    assert [problem.where.split(":")[0] for problem in caught.value.problems] == ["data.train.0"]
    tiny.write_task(tmp_path, OF_TASK[name], name=load_recipe(name).data.train[0].source)
    assert check_recipe(name) == []


@pytest.mark.parametrize("name", ASKING)
def test_an_embedding_recipe_asks_for_its_file(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError) as caught:
        check_recipe(name)
    assert [problem.where.split(":")[0] for problem in caught.value.problems] == [ASKING[name]]
    tiny.write_asked(tmp_path, name)
    assert all("hub" in note for note in check_recipe(name))


@pytest.mark.parametrize("name", recipe_names())
def test_its_head_tells_command_result_time_and_memory(name):
    head = [line.lstrip("# ") for line in recipe_text(name).split("\n\n")[0].splitlines()]
    told = {line.partition(":")[0]: line.partition(":")[2].strip() for line in head[2:] if ":" in line}
    assert told["command"].startswith(f"distill run {name}")
    assert all(told[key] for key in ("expected", "time", "memory"))
    assert head[0].endswith(".")


@pytest.mark.parametrize("name", recipe_names())
def test_the_commands_in_its_head_parse(name):
    """As a shell reads them."""
    head = recipe_text(name).split("\n\nname:")[0]
    commands = [shlex.split(line.partition("distill run ")[2]) for line in head.splitlines() if "distill run " in line]
    assert len(commands) >= 2
    assert commands[0][0] == name
    for recipe, *overrides in commands:
        assert load_recipe(recipe, overrides).name == recipe


@pytest.mark.parametrize("name", recipe_names())
def test_the_resolved_form_is_complete_and_gives_itself(name):
    recipe = load_recipe(name)
    tree = yaml.safe_load(to_yaml(recipe))
    assert load_recipe(tree) == recipe
    assert tree == recipe.to_dict()
    parts = {
        "name",
        "seed",
        "task",
        "teacher",
        "data",
        "student",
        "stages",
        "train",
        "export",
        "vectors",
        "measure",
        "report",
        "card",
    }
    assert set(tree) == parts


@pytest.mark.parametrize("name", OF_TASK)
def test_a_task_fine_tunes_its_teacher_and_judges_by_its_metric(name):
    recipe = load_recipe(name)
    assert recipe.teacher.finetune is not None
    assert recipe.train.select_by == "task_metric"
    assert recipe.train.dropout, "labels can be overfitted"


@pytest.mark.parametrize("name", TEACHING)
def test_a_sentence_teacher_is_trained_in_stages(name):
    spec = load_recipe(name).teacher.finetune
    assert [stage.objective for stage in spec.stages] == TEACHING[name]


def test_task_distillation_has_two_stages():
    for name in ("tinybert-task", "tinybert-ner", "tinybert-qa"):
        assert [stage.name for stage in load_recipe(name).stages] == ["inner", "prediction"]


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


def test_the_search_student_has_shorter_vectors_that_are_trained_and_judged():
    recipe = load_recipe("korean-search")
    assert recipe.teacher.prompt == "query: "
    assert recipe.stages[0].matryoshka == recipe.vectors.dims == (256, 128, 64)
    assert recipe.student.vocabulary.languages == ("ko", "en")
    assert recipe.train.select_by == "agreement_spearman"
