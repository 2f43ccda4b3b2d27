"""A mistake in a recipe is told by path, got, expected and nearest name, without pydantic's words."""

from __future__ import annotations

import pytest

from distill.errors import RecipeError
from distill.recipe_load import load_recipe


def problems(*overrides, recipe="quickstart"):
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe, list(overrides))
    for problem in caught.value.problems:
        assert "Input should" not in str(problem)
        assert "validation" not in str(problem)
    return caught.value.problems


def only(*overrides):
    (problem,) = problems(*overrides)
    return problem


@pytest.mark.parametrize(
    ("override", "where", "expected"),
    [
        ("seed=abc", "seed", "a whole number"),
        ("seed=1.5", "seed", "a valid integer"),
        ("seed=-1", "seed", "at least 0"),
        ("train.patience=0", "train.patience", "at least 1"),
        ("stages.0.learning_rate=2", "stages.0.learning_rate", "below 1"),
        ("stages.0.epochs=0", "stages.0.epochs", "above 0"),
        ("teacher.model=", "teacher.model", "text"),
        ("teacher.max_length=2", "teacher.max_length", "at least 4"),
        ("measure.batch=[]", "measure.batch", "a list of at least 1"),
        ("measure.batch=[1, 0]", "measure.batch.1", "at least 1"),
        ("measure.batch=3", "measure.batch", "a list"),
        ("measure.scope=everything", "measure.scope", "model"),
        ("measure.loads=[0]", "measure.loads.0", "above 0"),
        ("stages=[]", "stages", "a list of at least 1"),
        ("data.dev=5", "data.dev", "a mapping"),
        ("data.dev.share=0.9", "data.dev.share", "at most 0.5"),
        ("data.augment=x", "data.augment", "a mapping"),
        ("student.layers=abc", "student.layers", "a whole number or a list"),
        ("student.layers=[0, x]", "student.layers.1", "a whole number"),
        ("stages.0.losses.0.weight=0", "stages.0.losses.0.weight", "above 0"),
        ("name=../up", "name", "text that matches"),
        ("student=3", "student", "a mapping"),
        ("data.dev_limit=1", "data.dev_limit", "at least 2"),
        ("data.dev_limit=5001", "data.dev_limit", "at most 5000"),
        ("train.dropout=1", "train.dropout", "below 1"),
        ("train.dropout=-0.1", "train.dropout", "at least 0"),
        ("student.layers=true", "student.layers", "a whole number"),
        ("student.layers=[true, 2]", "student.layers.0", "a whole number"),
        ("student.max_length=true", "student.max_length", "a whole number"),
        ("teacher.max_length=true", "teacher.max_length", "a whole number"),
        ("train.evaluate_every=.inf", "train.evaluate_every", "finite"),
        ("train.max_grad_norm=.nan", "train.max_grad_norm", "finite"),
        ("stages.0.losses.0.weight=.inf", "stages.0.losses.0.weight", "finite"),
        ("stages.0.name=/tmp/up", "stages.0.name", "text that matches"),
        ("stages.0.name=../up", "stages.0.name", "text that matches"),
        ("stages.0.name=.", "stages.0.name", "text that matches"),
        ("stages.0.name=", "stages.0.name", "text"),
        (f"stages.0.name={'x' * 300}", "stages.0.name", "60"),
        ("teacher.batch_size=true", "teacher.batch_size", "a whole number"),
    ],
)
def test_a_value_that_does_not_fit(override, where, expected):
    problem = only(override)
    assert problem.where == where
    if expected != "a valid integer":
        assert expected in problem.expected


@pytest.mark.parametrize(
    ("override", "where", "close"),
    [
        ("student.layrs=2", "student.layrs", "'layers'"),
        ("student.frm=teacher", "student.frm", "'from'"),
        ("data.dev={source: a.txt, limt: 3}", "data.dev.limt", "'limit'"),
        ("data.train.0.sorce=x", "data.train.0.sorce", "'source'"),
        ("data.evaluate.sts={source: a.csv, colums: [0, 1, 2]}", "data.evaluate.sts.colums", "'columns'"),
        ("stages.0.losses=[{name: pair_order, marg: 1}]", "stages.0.losses.0.marg", "'margin'"),
        ("stages.0.losses=[embeding_cosine]", "stages.0.losses.0.name", "'embedding_cosine'"),
        ("stages.0.schedule=liner", "stages.0.schedule", "'linear'"),
        ("train.precision=fp23", "train.precision", "'fp32'"),
        ("export.presets=[fp32, fsat]", "export.presets.1", "'fast'"),
        ("data.on_bad_row=skp", "data.on_bad_row", "'skip'"),
        ("teacher={model: m, promt: x}", "teacher.promt", "'prompt'"),
    ],
)
def test_the_nearest_name_is_told(override, where, close):
    problem = only(override)
    assert problem.where == where
    assert close in problem.hint


def test_a_key_of_one_loss_is_not_offered_to_another():
    assert "margin" not in only("stages.0.losses=[{name: embedding_mse, marg: 1}]").hint


def test_a_loss_without_a_name_lists_them():
    names = "embedding_cosine, embedding_mse, embedding_contrastive, similarity_matrix, pair_order"
    assert names in only("stages.0.losses=[{weight: 2}]").expected


def test_values_that_do_not_go_together():
    assert "data.select" in only("train.select_by=sts_spearman").message
    assert "three columns" in only("data.evaluate.sts={source: a.csv, columns: [0, 1]}").message
    assert "'agreement'" in only("data.evaluate.agreement={source: a.csv}").message
    assert "'fp32'" in only("export.presets=[fast]").message
    assert "own" in only("stages=[{losses: [embedding_mse]}, {losses: [embedding_mse]}]").message


def test_missing_parts_are_all_told():
    assert [problem.where for problem in problems(recipe={"name": "x"})] == ["teacher", "data", "student", "stages"]


def test_a_misspelt_part_is_offered_as_the_missing_one():
    tree = {
        "name": "x",
        "teachr": {"model": "m"},
        "data": {"train": "a.txt"},
        "student": {},
        "stages": [{"losses": ["embedding_mse"]}],
    }
    missing, unknown = problems(recipe=tree)
    assert (missing.where, unknown.where) == ("teacher", "teachr")
    assert "'teachr'" in missing.hint
    assert "'teacher'" in unknown.hint


def test_stage_values_under_train_are_explained():
    tree = {
        "name": "x",
        "teacher": "m",
        "data": {"train": "a"},
        "student": {},
        "stages": [{"losses": ["embedding_mse"]}],
        "train": {"epochs": 3},
    }
    (problem,) = problems(recipe=tree)
    assert "stages.0.epochs" in problem.hint


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("seed=true", "seed: true is no value for this"),
        ("data.dev_limit=on", "dev_limit: true is no value for this"),
        ("data.train.limit=yes", "limit: true is no value for this"),
        ("data.train.columns=[false]", "columns: false is no value for this"),
        ("data.dev.share=true", "share: true is no value for this"),
        ("train.dropout=false", "dropout: false is no value for this"),
        ("train.patience=off", "patience: false is no value for this"),
        ("train.epochs=true", "epochs: true is no value for this"),
        ("stages.0.losses.0.weight=true", "weight: true is no value for this"),
        ("measure.batch=[1, true]", "batch: true is no value for this"),
        ("export.opset=true", "opset: true is no value for this"),
    ],
)
def test_true_and_false_are_no_numbers(override, words):
    """Python takes true for 1: `dropout: false` would be 0, and `epochs: yes` one epoch."""
    assert words in str(only(override))


def test_true_and_false_stay_where_they_belong():
    found = load_recipe("quickstart", ["data.train.header=true", "data.train.quoting=false", "train.dropout=null"])
    assert (found.data.train[0].header, found.data.train[0].quoting, found.train.dropout) == (True, False, None)
    assert load_recipe("quickstart", ["data.dev_limit=5000", "train.dropout=0"]).data.dev_limit == 5000


TOWARD = "[{name: a, losses: [embedding_cosine], toward: %s}, {name: b, losses: [embedding_cosine], toward: %s}]"


@pytest.mark.parametrize(
    ("goals", "words"),
    [
        (("teacher", "start"), "stages toward 'start' come first"),
        (("start", "start"), "one toward 'teacher' last"),
    ],
)
def test_stages_toward_the_start_model_come_first(goals, words):
    assert words in str(only("student.from=owner/other", "stages=" + TOWARD % goals))


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("losses: [hidden_mse]", "compares sentence vectors alone: leave out hidden_mse"),
        ("losses: [embedding_cosine, mlm]", "compares sentence vectors alone: leave out mlm"),
        ("losses: [similarity_matrix], matryoshka: [16]", "trains whole vectors: leave out matryoshka"),
    ],
)
def test_what_a_stage_toward_the_start_model_has_not(part, words):
    stages = f"[{{name: a, toward: start, {part}}}, {{name: b, losses: [embedding_cosine]}}]"
    assert words in str(only("student.from=owner/other", f"stages={stages}"))


def test_a_student_of_the_teacher_itself_has_no_other_start():
    problem = only("student.from=teacher", "stages=" + TOWARD % ("start", "teacher"))
    assert "student.from to be another model" in str(problem)
    found = load_recipe("quickstart", ["student.from=owner/other", "stages=" + TOWARD % ("start", "teacher")])
    assert [stage.toward for stage in found.stages] == ["start", "teacher"]


@pytest.mark.parametrize(
    ("student", "told"),
    [
        ("{kind: tiny}", "needs a size (4x312, 6x384, 6x768), or layers, hidden and heads"),
        ("{kind: tiny, size: 4x312, layers: 2}", "exclude each other"),
        ("{kind: tiny, layers: 2, hidden: 17, heads: 2}", "heads that do: 1, 17"),
    ],
)
def test_a_small_student_that_cannot_be_built(student, told):
    problem = only(f"student={student}")
    assert problem.where == "student"
    assert told in str(problem)


@pytest.mark.parametrize("name", ["내 단계 1", "stage 1: inner", "inner+soft", "inner (general)", "2"])
def test_names_that_a_stage_may_have(name):
    assert load_recipe("quickstart", {"stages.0.name": name}).stages[0].name == name


def test_gradients_may_be_left_as_they_are():
    assert load_recipe("quickstart", ["train.max_grad_norm=null"]).train.max_grad_norm is None
