"""Several teachers of a labelled task: one mean, by the names of their labels."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
import stopwatch
import tiny
import torch

import distill
from distill.data.examples import LabelSet
from distill.errors import ModelError, RecipeError
from distill.recipe_check import check_recipe
from distill.recipe_load import load_recipe
from distill.tasks.teacher import join_heads
from teachers.heads import load_head

NAMES = LabelSet(tiny.LABELS)
ORDERS = (tiny.LABELS, tuple(reversed(tiny.LABELS)))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two trained teachers `a` and `b`, whose outputs are in two orders, and rows.tsv."""
    folder = tmp_path_factory.mktemp("teachers")
    for seed, (name, labels) in enumerate(zip("ab", ORDERS, strict=True)):
        tiny.write_classifier(folder / name, labels, layers=2, seed=seed)
    tiny.write_classifier(folder / "other", ("x", "y", "z"), layers=2)
    tiny.write_task(folder, "classification", 0, 80)
    tiny.write_task(folder, "classification", 80, 120, "test.tsv")
    return folder


def recipe(**parts):
    quick = {"batch_size": 16, "learning_rate": 1e-3, "max_steps": 2}
    return {
        "name": "several",
        "task": "classification",
        "teacher": ["a", "b"],
        "data": {"train": "rows.tsv", "dev": {"share": 0.2}, "evaluate": {"test": "test.tsv"}},
        "student": {"kind": "tiny", "layers": 1, "hidden": 16, "heads": 2},
        "stages": [{"losses": ["soft_cross_entropy", "hard_label"], **quick}],
        "train": {"precision": "fp32"},
        "export": {"presets": ["fp32"]},
        **parts,
    }


def test_logits_are_the_mean_by_name(place):
    heads = [load_head(str(place / name), "classification") for name in "ab"]
    batch = heads[0].tokenizer(tiny.ENGLISH[:4], padding=True, return_tensors="pt")
    with torch.no_grad():
        said = [head.model(**batch).logits for head in heads]
        expected = (said[0] + said[1].flip(-1)) / 2
        joined = join_heads(heads, NAMES, None)
        torch.testing.assert_close(joined.model(**batch).logits, expected)
    assert joined.labels == tiny.LABELS
    assert not joined.model.training
    assert sum(weight.numel() for weight in joined.model.parameters()) == sum(
        weight.numel() for head in heads for weight in head.model.parameters()
    )


@pytest.mark.parametrize("words", ["label", "tokens"])
def test_teachers_that_do_not_go_together(place, words):
    heads = [load_head(str(place / one), "classification") for one in ("a", "other" if words == "label" else "b")]
    if words == "tokens":
        heads[1].tokenizer.add_tokens(["anotherword"])
    with pytest.raises(ModelError, match=words) as caught:
        join_heads(heads, NAMES, None)
    assert caught.value.exit_code == 2
    assert heads[1].name in str(caught.value)


def test_an_untrained_one_is_refused(place):
    tiny.write_encoder(place / "encoder", layers=2)
    heads = [load_head(str(place / one), "classification", labels=tiny.LABELS) for one in ("a", "encoder")]
    with pytest.raises(ModelError, match="not trained"):
        join_heads(heads, NAMES, None)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"teacher": [{"model": "a", "finetune": {"epochs": 1}}, "b"]}, "run of its own"),
        ({"teacher": {"model": "a", "others": ["b"], "combine": "concatenate"}}, "does not fit the task classification: mean"),
        ({"teacher": ["a", {"model": "b", "prompt": "x: "}]}, "prompt of teacher.others belongs to the task embedding"),
        ({"stages": [{"losses": ["hidden_mse", "hard_label"]}]}, "inner states or predicted"),
        ({"student": {"layers": 1}}, "names the one to cut"),
        ({"teacher": []}, "teacher"),
        ({"teacher": ["a", 3]}, "teacher.others.0"),
    ],
)
def test_what_a_recipe_of_several_teachers_has_not(parts, words):
    with pytest.raises(RecipeError, match=words):
        load_recipe(recipe(**parts))


def test_one_that_is_not_there_is_named(place, monkeypatch):
    monkeypatch.chdir(place)
    with pytest.raises(RecipeError, match=r"teacher.others.1"):
        check_recipe(recipe(teacher=["a", "b", "./nowhere"]))


def test_a_run_from_two_teachers_to_its_report(place, tmp_path, monkeypatch):
    """The teacher that the report judges is the mean; cut from the one that the recipe names."""
    monkeypatch.chdir(place)
    monkeypatch.setattr("distill.proving.measure_models", stopwatch.stand_in([]))
    out = tmp_path / "run"
    report = distill.run(recipe(student={"layers": 1, "from": "b"}, train={"precision": "fp32", "engine": "textbrewer"}), out=out)
    assert report.teacher.model == "a + b"
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    assert {"teacher.model", "teacher.others.0.model", "student.from"} <= manifest["inputs"].keys()
    told = pq.read_table(out / "predictions" / "test" / "teacher.parquet").to_pylist()
    rows = [line.split("\t")[0] for line in (place / "test.tsv").read_text("utf-8").splitlines()[1:]]
    joined = join_heads([load_head(name, "classification") for name in "ab"], NAMES, None)
    with torch.no_grad():
        said = [joined.model(**joined.tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0] for text in rows]
    assert [row["prediction"] for row in told] == [tiny.LABELS[int(one.argmax())] for one in said]
    assert [row["confidence"] for row in told] == pytest.approx([float(one.max()) for one in said], abs=1e-5)
