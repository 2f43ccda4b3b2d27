"""What a recipe of a task may say: its losses, students, evaluation sets and metrics."""

from __future__ import annotations

import pytest

from distill.errors import RecipeError
from distill.recipe_load import load_recipe
from distill.recipe_losses import INNER, MASKED_LM, OF_TASK, PREDICTION, VECTOR

TASKS = ("classification", "multilabel", "regression", "tokens", "spans")
EVERY = sorted(VECTOR | PREDICTION | MASKED_LM | INNER)


def recipe(task, loss=None, **parts):
    loss = loss or ("embedding_cosine" if task == "embedding" else "hard_label")
    return {
        "name": "tiny",
        "task": task,
        "teacher": "teacher",
        "data": {"train": "train.tsv", "evaluate": {"test": "test.tsv"}},
        "student": {"layers": 2},
        "stages": [{"losses": [loss]}],
        **parts,
    }


def refused(tree, overrides=()):
    with pytest.raises(RecipeError) as caught:
        load_recipe(tree, overrides)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_every_loss_is_of_one_group():
    assert len(EVERY) == sum(map(len, (VECTOR, PREDICTION, MASKED_LM, INNER)))
    assert frozenset().union(*OF_TASK.values()) == VECTOR | PREDICTION | MASKED_LM


@pytest.mark.parametrize("task", [*TASKS, "embedding"])
@pytest.mark.parametrize("loss", EVERY)
def test_a_task_takes_its_losses_and_those_of_inner_states(task, loss):
    if loss in OF_TASK[task] | INNER:
        assert load_recipe(recipe(task, loss)).stages[0].losses[0].name == loss
    else:
        told = refused(recipe(task, loss))
        assert f"the loss {loss} is none of the task {task}" in told
        assert ", ".join(sorted(OF_TASK[task])) in told


def test_predictions_of_a_sort_go_with_their_task_alone():
    assert "soft_binary_cross_entropy" not in OF_TASK["classification"]
    assert "kl_divergence" not in OF_TASK["multilabel"]
    assert OF_TASK["regression"] == {"logits_mse", "hard_label"}


@pytest.mark.parametrize("task", [*TASKS, "embedding"])
@pytest.mark.parametrize(
    ("student", "tasks"),
    [
        ({"kind": "layers", "layers": 2}, [*TASKS, "embedding"]),
        ({"kind": "tiny", "size": "4x312"}, [*TASKS, "embedding"]),
        ({"kind": "bilstm"}, ["classification", "multilabel", "regression"]),
        ({"kind": "static"}, ["embedding"]),
    ],
)
def test_kinds_of_students(task, student, tasks):
    if task in tasks:
        assert load_recipe(recipe(task, student=student)).student.kind == student["kind"]
    else:
        assert f"a student of kind {student['kind']} does not fit the task {task}: " in refused(recipe(task, student=student))


def test_a_student_is_of_kind_layers_where_nothing_is_said():
    assert load_recipe(recipe("tokens")).student.kind == "layers"


@pytest.mark.parametrize("task", [*TASKS, "embedding"])
def test_an_evaluation_set_is_of_the_recipes_task(task):
    own = "sts" if task == "embedding" else task
    assert load_recipe(recipe(task)).data.evaluate["test"].kind == own
    for other in {"sts", *TASKS} - {own}:
        told = refused(recipe(task), [f"data.evaluate.test={{source: test.tsv, kind: {other}}}"])
        assert f"the evaluation set 'test' is of kind {other}, which does not fit the task {task}" in told


@pytest.mark.parametrize("task", [*TASKS, "embedding"])
@pytest.mark.parametrize("metric", ["agreement_spearman", "agreement_cosine", "task_metric", "loss"])
def test_the_metric_that_chooses_the_checkpoint(task, metric):
    tree = recipe(task, train={"select_by": metric})
    if metric == "loss" or (task == "embedding") == metric.startswith("agreement"):
        assert load_recipe(tree).train.select_by == metric
    else:
        assert f"train.select_by {metric} does not fit the task {task}" in refused(tree)


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_judged_by_its_metric_where_nothing_is_said(task):
    assert load_recipe(recipe(task)).train.select_by == "task_metric"
    assert load_recipe(recipe(task, train={"dropout": 0.1})).train.select_by == "task_metric"
    assert load_recipe(recipe("embedding")).train.select_by == "agreement_spearman"


def test_textbrewer_has_no_embeddings():
    assert load_recipe(recipe("classification", train={"engine": "textbrewer"})).train.engine == "textbrewer"
    assert "train.engine textbrewer" in refused(recipe("embedding", train={"engine": "textbrewer"}))
    assert "did you mean 'textbrewer'" in refused(recipe("classification", train={"engine": "textbrewr"}))


def test_a_task_head_and_a_sentence_encoder_are_fine_tuned_each_in_its_way():
    tree = recipe("embedding", teacher={"model": "teacher", "finetune": {"epochs": 1}})
    assert "the teacher of an embedding task is fine-tuned in stages" in refused(tree)
    assert load_recipe({**tree, **recipe("tokens", teacher=tree["teacher"])}).teacher.finetune.epochs == 1


@pytest.mark.parametrize(
    ("change", "near"),
    [
        ({"stages": [{"losses": ["atention_mse"]}]}, "attention_mse"),
        ({"stages": [{"losses": [{"name": "kl_divergance"}]}]}, "kl_divergence"),
        ({"stages": [{"losses": ["minilm_v3"]}]}, "minilm_v"),
        ({"student": {"kind": "bilsm"}}, "bilstm"),
        ({"student": {"kind": "tiny", "size": "4x321"}}, "4x312"),
        ({"student": {"kind": "tiny", "hiden": 24}}, "hidden"),
        ({"student": {"kind": "bilstm", "hiddn": 24}}, "hidden"),
        ({"student": {"vocabulary": {"sise": 5000}}}, "size"),
        ({"teacher": {"model": "m", "finetune": {"epoch": 3}}}, "epochs"),
        ({"stages": [{"losses": ["hard_label"], "layer_map": "unifrom"}]}, "uniform"),
        ({"stages": [{"losses": [{"name": "kl_divergence", "temprature": 2}]}]}, "temperature"),
    ],
)
def test_a_misspelling_is_told_the_nearest_name(change, near):
    told = refused(recipe("classification", **change))
    assert f"did you mean '{near}" in told, told
    assert "1 problem " in told, told


def test_a_misspelt_task_is_told_the_nearest_name():
    assert "did you mean 'classification'" in refused({**recipe("classification"), "task": "clasification"})


def test_a_loss_of_a_stage_is_named_once():
    assert "names a loss twice" in refused(recipe("classification", stages=[{"losses": ["hard_label", "hard_label"]}]))


@pytest.mark.parametrize("spelling", ["uniform", "top", "bottom", "skip", "last", [[0, 0], [3, 1]], None])
def test_spellings_of_a_layer_map(spelling):
    tree = recipe("classification", stages=[{"losses": ["hidden_mse"], "layer_map": spelling}])
    found = load_recipe(tree)
    expected = tuple(map(tuple, spelling)) if isinstance(spelling, list) else spelling
    assert found.stages[0].layer_map == expected
    assert load_recipe(found.to_dict()) == found
    if spelling is not None:
        text = str(spelling)
        assert load_recipe(recipe("classification", "hidden_mse"), [f"stages.0.layer_map={text}"]).stages[0].layer_map == expected


@pytest.mark.parametrize("wrong", [[], [[0]], [[0, 1, 2]], 3, [["a", "b"]]])
def test_what_is_no_layer_map(wrong):
    told = refused(recipe("classification", stages=[{"losses": ["hidden_mse"], "layer_map": wrong}]))
    assert "stages.0.layer_map" in told


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ({"name": "kl_divergence", "temperature": 0}, "above 0"),
        ({"name": "kl_divergence", "weight": -1}, "above 0"),
        ({"name": "ckd_word", "window": 4}, "odd number"),
        ({"name": "minilm_v2", "relation_heads": 0}, "at least 1"),
        ({"name": "hidden_mse", "projection": "shard"}, "did you mean 'shared'"),
        ({"name": "hidden_mse", "weight_schedule": "cosine"}, "linear_decay"),
        ({"name": "kl_divergence", "temperature_schedule": "flws"}, "did you mean 'flsw'"),
    ],
)
def test_numbers_of_a_loss(loss, words):
    told = refused(recipe("classification", stages=[{"losses": [loss]}]))
    assert words in told
    assert "stages.0.losses.0" in told


def test_data_of_a_task():
    data = {"train": ["a.tsv", {"source": "b.tsv"}], "unlabelled": "more.txt", "labels": ["no", "yes"]}
    found = load_recipe(recipe("classification", data=data)).data
    assert [source.source for source in found.train] == ["a.tsv", "b.tsv"]
    assert [source.source for source in found.unlabelled] == ["more.txt"]
    assert found.labels == ("no", "yes")
    assert "data.labels" in refused(recipe("classification", data={**data, "labels": []}))
