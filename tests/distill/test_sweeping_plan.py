"""Values of a sweep: how they are spelled, what they combine to, and what is refused before anything runs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.errors import RecipeError, UserError
from distill.sweeping_plan import plan_sweep, read_axes, split_values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a=2,3,4", [2, 3, 4]),
        ("a=2", [2]),
        ("a=1e-4,3e-4", [1e-4, 3e-4]),
        ("a=[1,32]", [[1, 32]]),
        ("a=[1],[1,32]", [[1], [1, 32]]),
        ("a={kind: tiny, layers: 4},{kind: layers, layers: 3}", [{"kind": "tiny", "layers": 4}, {"kind": "layers", "layers": 3}]),
        ('a="x, y"', ["x, y"]),
        ("a='x,y',z", ["x,y", "z"]),
        ("a=it's,that", ["it's", "that"]),
        ("a=null,true", [None, True]),
        ("a=[['x,]'], 2],3", [[["x,]"], 2], 3]),
        ("a=b=c,d", ["b=c", "d"]),
    ],
)
def test_values(text, values):
    assert read_axes([text]) == {"a": values}


def test_values_from_python():
    assert read_axes({"a": [1, 2], "b": (3,), "c": "x,y", "d": range(2)}) == {"a": [1, 2], "b": [3], "c": ["x,y"], "d": [0, 1]}


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "b c", "1.5", "-x_", "it's", "a]"]), min_size=1, max_size=5))
def test_plain_texts_are_cut_at_every_comma(parts):
    assert split_values(",".join(parts), "a") == parts


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_cut_or_refused(text):
    try:
        parts = split_values(text, "a")
    except UserError:
        return
    assert ",".join(parts) == text


@pytest.mark.parametrize(
    ("axes", "word"),
    [
        (["student.layers"], "not a sweep"),
        (["=2,3"], "not a sweep"),
        ([".a=2,3"], "not a sweep"),
        (["a=2,,3"], "empty"),
        (["a="], "empty"),
        (["a=2,2"], "twice"),
        (["a=1,2", "a=3"], "twice"),
        (["a=[1,2"], "not closed"),
        (["a='x"], "not closed"),
        (["name=x,y"], "named by their values"),
        ({"a": []}, "no value"),
    ],
)
def test_what_is_no_sweep(axes, word):
    with pytest.raises(UserError, match=word):
        read_axes(axes)


def test_every_combination_gets_a_label_and_a_recipe_of_its_own():
    base, planned = plan_sweep("quickstart", ["student.layers=2,3", "seed=1,2", "train.epochs=2"], 8)
    assert [plan.label for plan in planned] == ["layers-2_seed-1", "layers-2_seed-2", "layers-3_seed-1", "layers-3_seed-2"]
    assert [(plan.recipe.student.layers, plan.recipe.seed) for plan in planned] == [(2, 1), (2, 2), (3, 1), (3, 2)]
    assert {plan.recipe.stages[0].epochs for plan in planned} == {2} == {base.stages[0].epochs}
    assert planned[0].recipe.name == "quickstart-layers-2_seed-1"
    assert planned[0].values == {"student.layers": 2, "seed": 1}


def test_labels_are_folder_names_and_differ():
    values = ["../x", "..\\x", "a" * 90, "a" * 91]
    _, planned = plan_sweep("quickstart", {"data.train": values}, 8)
    labels = [plan.label for plan in planned]
    assert len(set(labels)) == 4
    assert all(label.startswith("train-") and "/" not in label and "\\" not in label and len(label) <= 63 for label in labels)


def test_paths_of_one_end_are_told_apart():
    _, planned = plan_sweep("quickstart", {"measure.batch": [[1], [2]], "teacher.batch_size": [8, 9]}, 8)
    assert planned[0].label == "batch-1_batch_size-8"
    _, planned = plan_sweep("quickstart", {"student.layers": [2, 3], "teacher.max_length": [16, 32]}, 8)
    assert planned[-1].label == "layers-3_max_length-32"


def test_kinds_of_students_may_differ():
    kinds = [{"kind": "tiny", "layers": 2, "hidden": 48, "heads": 2, "intermediate": 96}, {"kind": "layers", "layers": 2}]
    _, planned = plan_sweep("quickstart", {"student": kinds}, 8)
    assert [plan.recipe.student.kind for plan in planned] == ["tiny", "layers"]


def test_too_many_runs_and_none_that_vary_are_refused():
    with pytest.raises(UserError, match="1,000 runs") as caught:
        plan_sweep("quickstart", {"seed": range(1000)}, 64)
    assert "--max-runs" in str(caught.value)
    with pytest.raises(UserError, match="nothing varies"):
        plan_sweep("quickstart", ["student.layers=2"], 64)


def test_mistakes_of_every_combination_are_told_at_once():
    with pytest.raises(RecipeError) as caught:
        plan_sweep("quickstart", ["student.layers=2,0,-1"], 64)
    assert "layers-0" in str(caught.value)
    assert "layers-1" in str(caught.value)
    with pytest.raises(RecipeError, match="studnet"):
        plan_sweep("quickstart", ["studnet.layers=2,3"], 64)


def test_what_varies_may_be_what_makes_it_a_recipe():
    """Without layers, or without their number of heads, a small student is none."""
    axes = ["student.size=null", "student.hidden=24", "student.heads=4", "student.layers=4,6"]
    base, planned = plan_sweep("minilm-v2", axes, 10)
    assert [run.recipe.student.layers for run in planned] == [4, 6]
    assert base.name == "minilm-v2"
    _, planned = plan_sweep("tinybert-general", ["stages.0.losses=[attention_mse],[minilm_v2]"], 10)
    assert len(planned) == 2
