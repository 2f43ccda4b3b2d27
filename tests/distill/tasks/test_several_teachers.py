"""Several teachers of a labelled task: one mean, by the names of their labels."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import stopwatch
import tiny
import torch
from otherids import write_renamed

import distill
from distill.data.examples import UNLABELLED, LabelSet, TextExamples
from distill.errors import ModelError, RecipeError
from distill.measure.size import file_mb
from distill.recipe_check import check_recipe
from distill.recipe_load import load_recipe
from distill.tasks.several import Several, join_heads
from students.cost import count_parameters
from teachers.ensemble import average_logits, confidence_weights
from teachers.heads import load_head
from teachers.spec import TeacherSpec

NAMES = LabelSet(tiny.LABELS)
ORDERS = (tiny.LABELS, tuple(reversed(tiny.LABELS)))
SPEC_OF_CONFIDENCE = {"model": "a", "others": ["b"], "combine": "confidence"}
SPEC = TeacherSpec(model="a", others=({"model": "b"},), combine="mean")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Trained teachers `a` and `b`, whose outputs are in two orders; `c`, of other tokens and a shorter input; rows.tsv."""
    folder = tmp_path_factory.mktemp("teachers")
    for seed, (name, labels) in enumerate(zip("ab", ORDERS, strict=True)):
        tiny.write_classifier(folder / name, labels, layers=2, seed=seed)
    tiny.write_classifier(folder / "c", tiny.LABELS, "roberta", layers=1, seed=7)
    other_tokens(folder / "c")
    tiny.write_classifier(folder / "other", ("x", "y", "z"), layers=2)
    tiny.write_task(folder, "classification", 0, 80)
    tiny.write_task(folder, "classification", 80, 120, "test.tsv")
    return folder


def other_tokens(folder):
    """Let a saved model cut text into other tokens than those of tests/tiny.py."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    words = AutoTokenizer.from_pretrained(folder)
    words.add_tokens(["reading a book"])
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    model.resize_token_embeddings(len(words))
    model.save_pretrained(folder)
    words.save_pretrained(folder)


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


def heads_of(place, names, task="classification"):
    return [load_head(str(place / name), task) for name in names]


def alone(head, texts):
    """What one teacher says of texts one by one, its own order put into the data's: float [n, C]."""
    order = [head.labels.index(name) for name in tiny.LABELS]
    with torch.no_grad():
        rows = [head.model(**head.tokenizer(text, return_tensors="pt")).logits[0].numpy() for text in texts]
    return np.stack(rows)[:, order]


def without_proof(monkeypatch):
    """Let runs end with their training."""
    monkeypatch.setattr("distill.tasks.run.TaskModel", lambda *parts: None)
    monkeypatch.setattr("distill.tasks.run.Proof", lambda *parts: type("Proof", (), {"go": lambda self: None})())


def test_each_reads_the_text_itself_and_the_mean_goes_by_name(place):
    """Three tokenizers' worth of teachers of two orders; the weights are those of the recipe, brought to a sum of 1."""
    heads = heads_of(place, "abc")
    spec = TeacherSpec(model="a", others=({"model": "b"}, {"model": "c"}), combine="mean", weights=(2, 1, 1))
    joined = join_heads(heads, NAMES, None, spec, "classification")
    texts = tiny.ENGLISH[:9]
    said = [alone(head, texts) for head in heads]
    got = joined.outputs(TextExamples(list(texts), None, np.zeros(9, np.int64)), NAMES, 8)
    np.testing.assert_allclose(np.stack(got), 0.5 * said[0] + 0.25 * said[1] + 0.25 * said[2], atol=1e-5)
    assert joined.describe() == "the mean of 3, weights a 0.5, b 0.25, c 0.25"
    assert heads[0].tokenizer.tokenize("reading a book") != heads[2].tokenizer.tokenize("reading a book")


def test_confidence_goes_by_labels_where_the_student_learns_alone(place):
    """A teacher that is right of a row weighs more there; without labels the one that is surer does."""
    several = Several("classification", (), (), "confidence", np.array([0.5, 0.5]))
    said = [[np.log(np.array(row, np.float32)) for row in rows] for rows in ([[0.8, 0.2], [0.5, 0.5]], [[0.2, 0.8], [0.9, 0.1]])]
    examples = TextExamples(["x", "y"], None, np.array([0, UNLABELLED]))
    right, sure = several.together(said, examples)
    np.testing.assert_allclose(right, 0.8 * said[0][0] + 0.2 * said[1][0], rtol=1e-5)
    even, certain = 2.0, np.exp(-(0.9 * np.log(0.9) + 0.1 * np.log(0.1)))
    np.testing.assert_allclose(sure, (certain * said[0][1] + even * said[1][1]) / (even + certain), rtol=1e-5)
    blind = several.together(said)
    np.testing.assert_allclose(blind[1], sure)
    np.testing.assert_allclose(blind[0], (said[0][0] + said[1][0]) / 2, rtol=1e-5)


def test_several_labels_have_confidences_too():
    several = Several("multilabel", (), (), "confidence", np.array([0.5, 0.5]))
    said = [[np.array([3.0, -3.0], np.float32)], [np.array([-3.0, 3.0], np.float32)]]
    got = several.together(said, TextExamples(["x"], None, np.array([[1.0, 0.0]], np.float32)))[0]
    assert got[0] > 2.7
    assert several.together(said)[0].tolist() == [0.0, 0.0]


def test_the_mean_of_tokens_keeps_each_rows_length():
    several = Several("tokens", (), (), "mean", np.array([0.25, 0.75]))
    rows = [[np.full((length, 2), value, np.float32) for length in (3, 1)] for value in (4.0, 8.0)]
    assert [row.tolist() for row in several.together(rows)] == [[[7.0, 7.0]] * 3, [[7.0, 7.0]]]


@pytest.mark.parametrize("words", ["label", "tokens"])
def test_teachers_that_do_not_go_together(place, words):
    """Labels always; tokens where the task says something of each of them."""
    heads = heads_of(place, ("a", "other" if words == "label" else "c"))
    with pytest.raises(ModelError, match=words) as caught:
        join_heads(heads, NAMES, None, SPEC, "classification" if words == "label" else "tokens")
    assert caught.value.exit_code == 2
    assert heads[1].name in str(caught.value)


def test_teachers_of_tokens_read_what_the_shortest_can(place):
    heads = [replace(head, max_length=length) for head, length in zip(heads_of(place, "ab"), (64, 20), strict=True)]
    assert [head.max_length for head in join_heads(heads, NAMES, None, SPEC, "tokens").members] == [20, 20]
    apart = join_heads(heads, NAMES, None, SPEC, "classification")
    assert ([head.max_length for head in apart.members], apart.max_length) == ([64, 20], 20)


def test_an_untrained_one_is_refused(place):
    tiny.write_encoder(place / "encoder", layers=2)
    heads = [load_head(str(place / one), "classification", labels=tiny.LABELS) for one in ("a", "encoder")]
    with pytest.raises(ModelError, match="not trained"):
        join_heads(heads, NAMES, None, SPEC, "classification")


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"teacher": [{"model": "a", "finetune": {"epochs": 1}}, "b"]}, "run of its own"),
        (
            {"teacher": {"model": "a", "others": ["b"], "combine": "concatenate"}},
            "not fit the task classification: mean, conf",
        ),
        ({"teacher": {"model": "a", "others": ["b"], "combine": "confidence", "weights": [1, 2]}}, "finds the weights"),
        (
            {"task": "regression", "stages": [{"losses": ["logits_mse"]}], "teacher": SPEC_OF_CONFIDENCE},
            "does not fit the task regression: mean",
        ),
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


def test_a_run_from_three_teachers_to_its_report(place, tmp_path, monkeypatch):
    """The teacher that the report judges is all of them, without a look at labels; each one's logits are kept apart."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("distill.proving.measure_models", stopwatch.stand_in([]))
    out = tmp_path / "run"
    teacher = {"model": "a", "others": ["b", {"model": "c", "max_length": 40}], "combine": "confidence"}
    parts = {"student": {"layers": 1, "from": "b"}, "train": {"precision": "fp32", "engine": "textbrewer"}}
    report = distill.run(recipe(teacher=teacher, **parts), out=out)
    assert report.teacher.model == "a + b + c"
    teachers = report.model("teacher")
    assert (teachers.models, teachers.path) == (3, "a + b + c")
    assert teachers.file_mb == pytest.approx(sum(file_mb(place / name) for name in "abc"))
    assert teachers.params == sum(count_parameters(load_head(name, "classification").model)["params"] for name in "abc")
    assert any("those of all" in note for note in report.headline.notes)
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    assert {"teacher.model", "teacher.others.0.model", "teacher.others.1.model", "student.from"} <= manifest["inputs"].keys()
    told = pq.read_table(out / "predictions" / "test" / "teacher.parquet").to_pylist()
    rows = [line.split("\t")[0] for line in (place / "test.tsv").read_text("utf-8").splitlines()[1:]]
    said = [alone(load_head(name, "classification"), rows) for name in "abc"]
    expected = torch.from_numpy(average_logits(said, confidence_weights(said))).softmax(-1)
    assert [row["prediction"] for row in told] == [tiny.LABELS[int(one.argmax())] for one in expected]
    assert [row["confidence"] for row in told] == pytest.approx(expected.max(-1).values.tolist(), abs=1e-5)

    def refuse(*arguments, **options):
        raise AssertionError("a row went through a teacher again")

    without_proof(monkeypatch)
    monkeypatch.setattr("distill.tasks.logits.run_over", refuse)
    distill.run(recipe(teacher={"model": "a", "others": ["b"], "weights": [1, 2]}), out=tmp_path / "two")
    distill.run(recipe(teacher="b"), out=tmp_path / "one")


def test_textbrewers_own_distiller_trains_a_run(place, tmp_path, monkeypatch):
    """From teachers of two orders of labels to the report; the trainer takes the same steps; nothing is trained twice."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("distill.proving.measure_models", stopwatch.stand_in([]))
    stages = [{"losses": ["soft_cross_entropy", "hard_label"], "batch_size": 16, "learning_rate": 1e-3, "max_steps": 6}]
    train, steps = {"precision": "fp32", "patience": None}, {}
    for engine in ("textbrewer", "trainer"):
        distill.run(recipe(stages=stages, train={**train, "engine": engine}), out=tmp_path / engine)
        without_proof(monkeypatch)
        lines = [json.loads(line) for line in (tmp_path / engine / "log.jsonl").read_text("utf-8").splitlines()]
        steps[engine] = [line["losses"] for line in lines if "losses" in line]
    assert len(steps["trainer"]) == 6
    for ours, theirs in zip(steps["trainer"], steps["textbrewer"], strict=True):
        assert theirs == pytest.approx(ours, rel=1e-5)
    manifest = json.loads((tmp_path / "textbrewer" / "manifest.json").read_text("utf-8"))
    training = next(stage for stage in manifest["stages"] if stage["name"] == "training")
    assert training["facts"]["stages"][0]["distiller"] == "MultiTeacherDistiller"

    def refuse(*arguments):
        raise AssertionError("the student was trained again")

    monkeypatch.setattr("distill.tasks.training._engine", refuse)
    distill.run(recipe(stages=stages, train={**train, "engine": "textbrewer"}), out=tmp_path / "textbrewer")


@pytest.mark.parametrize(
    ("teacher", "words"),
    [
        (["a", "b"], None),
        ({"model": "a", "others": ["b"], "weights": [2, 2]}, None),
        ({"model": "a", "others": ["b"], "weights": [1, 2]}, "teacher.weights: TextBrewer's MultiTeacherDistiller"),
        (SPEC_OF_CONFIDENCE, "teacher.combine confidence: TextBrewer's"),
    ],
)
def test_what_textbrewers_distiller_of_several_cannot_do_is_told_before(place, monkeypatch, teacher, words):
    monkeypatch.chdir(place)
    notes = check_recipe(recipe(teacher=teacher, train={"precision": "fp32", "engine": "textbrewer"}))
    told = [note for note in notes if "MultiTeacherDistiller" in note]
    assert [note.startswith(words or "none") for note in told] == [True] * (words is not None)
    assert not check_recipe(recipe(teacher=teacher))


def test_answers_of_several_teachers(tmp_path, monkeypatch):
    """Where every token has logits the teachers read the student's tokens; the run ends with its report."""
    for seed, name in enumerate("ab"):
        tiny.write_classifier(tmp_path / name, ("0", "1"), auto_class="AutoModelForQuestionAnswering", layers=2, seed=seed)
    tiny.write_task(tmp_path, "spans", 0, 60)
    tiny.write_task(tmp_path, "spans", 60, 80, "test.json")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("distill.proving.measure_models", stopwatch.stand_in([]))
    data = {"train": "questions.json", "dev": {"share": 0.2}, "evaluate": {"test": "test.json"}, "stride": 8}
    teacher = {"model": "a", "others": [{"model": "b", "max_length": 32}], "weights": [1, 3]}
    assert max(len(tiny.tokenizer()(question, context)["input_ids"]) for question, context, _ in tiny.squad_rows()[60:80]) > 32
    report = distill.run(recipe(task="spans", teacher=teacher, data=data), out=tmp_path / "run")
    assert report.teacher.model == "a + b"
    assert report.model("teacher").quality["test"].n > 0

    def losses(out):
        lines = map(json.loads, (out / "log.jsonl").read_text("utf-8").splitlines())
        return [line["losses"] for line in lines if "losses" in line]

    without_proof(monkeypatch)  # one that has other ids for the same pieces says the same
    write_renamed(tmp_path / "b", tmp_path / "c")
    other = {"model": "c", "max_length": 32}
    distill.run(recipe(task="spans", teacher={**teacher, "others": [other]}, data=data), out=tmp_path / "renamed")
    assert len(losses(tmp_path / "run")) == 2
    assert losses(tmp_path / "renamed") == [pytest.approx(values, rel=1e-5) for values in losses(tmp_path / "run")]


def test_what_stands_between_two_texts_matters_where_there_are_two(tmp_path):
    for name in "ab":
        tiny.write_classifier(tmp_path / name, ("0", "1"), auto_class="AutoModelForQuestionAnswering", layers=1)
    write_renamed(tmp_path / "b", tmp_path / "c", between=2)
    heads = heads_of(tmp_path, "ac", "spans")
    with pytest.raises(ModelError, match="cuts text into others"):
        join_heads(heads, LabelSet(()), None, SPEC, "spans")
