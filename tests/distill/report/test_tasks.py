"""Runs of tasks with a head: the report and the card say what was predicted, in the task's own words."""

import json
import shutil
import subprocess

import pytest
import yaml
from huggingface_hub import ModelCard

from distill.report.card import model_card
from distill.report.html import to_html
from distill.report.markdown import to_markdown
from distill.report.model import build_report
from distill.report.sections import usage


def check_js(code, folder):
    """Node reads it as a module, where there is a Node."""
    node = shutil.which("node")
    if node is None:
        return
    (folder / "usage.mjs").write_text(code, "utf-8")
    done = subprocess.run([node, "--check", folder / "usage.mjs"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


METRIC = {"classification": "accuracy", "multilabel": "micro_f1", "regression": "spearman", "tokens": "f1", "spans": "f1"}
SAID = {
    "classification": "Accuracy",
    "multilabel": "Micro F1",
    "regression": "Spearman of the values",
    "tokens": "Entity F1",
    "spans": "F1 of answers",
}
PIPELINE = {"tokens": "token-classification", "spans": "question-answering"}
VALUES = {"teacher": 0.92, "student": 0.9, "fp32": 0.9, "fast": 0.89, "faithful": 0.9}


@pytest.fixture(params=sorted(METRIC))
def task_run(run, request):
    """The synthetic run, made one of a task with a head."""
    task = request.param
    run.recipe["task"] = task
    run.recipe["data"] = {"train": [{"source": "owner/corpus"}], "evaluate": {"test": {"source": "owner/corpus", "kind": task}}}
    details = {METRIC[task]: 0.5, "rmse": 1.25}
    part = {"precision": 0.5, "recall": 0.5, "f1": 0.75, "support": 30}
    if task in ("classification", "tokens"):
        details["per_label" if task == "classification" else "per_type"] = {"good": part, "bad": {**part, "support": 7}}
    run.quality["tasks"] = {
        "agreement": {"kind": "agreement", "metric": "agreement", "n": 200},
        "test": {"kind": task, "metric": METRIC[task], "n": 300},
    }
    run.quality["models"] = {
        name: {
            "test": {"value": value, "ci95": [value - 0.01, value + 0.01], "n": 300, "details": details},
            "agreement": {"value": 0.97, "ci95": None, "n": 200, "details": {"agreement": 0.97}},
        }
        for name, value in VALUES.items()
    }
    del run.quality["models"]["teacher"]["agreement"]
    key = "correlation" if task == "regression" else "label_agreement"
    for name, limit in (("fast", 0.97), ("faithful", 0.995)):
        run.parity["models"][name].update({key: 0.998, "mean_cosine": None, "min_cosine": None, "gate": f"{key} >= {limit}"})
        run.parity["models"][name]["batch_invariance"] = {key: 1.0, "max_abs": 0.001}
    return task, run


def test_the_headline_speaks_of_the_task(task_run):
    task, run = task_run
    report = build_report(run.write())
    assert (report.headline.task, report.headline.metric, report.headline.kind) == ("test", METRIC[task], task)
    assert report.headline.retained == pytest.approx(0.89 / 0.92)
    assert f"keeps 96.7 % of the teacher's quality ({SAID[task]}, test)" in report.summary


def test_the_gate_shows_the_number_that_it_is_on(task_run):
    _, run = task_run
    report = build_report(run.write())
    gates = {gate.model: gate.value for gate in report.gates}
    assert gates["fast"] == gates["faithful"] == 0.998


def test_both_forms_tell_metric_scope_and_parts(task_run):
    task, run = task_run
    report = build_report(run.write())
    text, page = to_markdown(report), to_html(report)
    for form in (text, page):
        assert f"test, {SAID[task]}" in form
        assert "token ids to logits" in form
        assert "sentence embedding" not in form
        assert ("Correlation" if task == "regression" else "Equal decisions") in form
    assert ("F1 of each" in text) == (task in ("classification", "tokens"))
    if task == "classification":
        assert text.index("| good | 30 |") < text.index("| bad | 7 |")
    assert report.model("student").quality["agreement"].kind == task


def test_the_card_is_that_of_a_task_model(task_run):
    task, run = task_run
    card = ModelCard(model_card(run.write()))
    assert card.data.library_name == "transformers"
    assert card.data.pipeline_tag == PIPELINE.get(task, "text-classification")
    assert "sentence-transformers" not in card.data.tags
    found = {(item.dataset_name, item.task_type, item.metric_type): item.metric_value for item in card.data.eval_results}
    assert found["test", card.data.pipeline_tag, METRIC[task]] in VALUES.values()
    assert "SentenceTransformer" not in card.content
    assert "teacher's predictions for this text" in card.content


@pytest.mark.parametrize("kind", ["layers", "bilstm"])
@pytest.mark.parametrize("columns", [None, ["a", "b", "label"]])
def test_the_code_is_code(task_run, kind, columns, tmp_path):
    _, run = task_run
    run.recipe["student"]["kind"] = kind
    run.recipe["data"]["train"][0]["columns"] = columns
    shown = usage(build_report(run.write()), "a folder's name")
    assert [language for _, language, _ in shown] == ["python", "python", "js"]
    for _, _, code in shown[:2]:
        compile(code, "usage", "exec")
    check_js(shown[2][2], tmp_path)


def test_what_was_not_measured_is_named_by_the_task(task_run):
    task, run = task_run
    run.quality["models"] = {name: {} for name in VALUES}
    head = build_report(run.write()).headline
    assert (head.metric, head.kind, head.retained) == (METRIC[task], task, None)


def test_labels_are_told_and_cut_after_twenty(run):
    run.recipe.update(task="classification")
    run.recipe["data"]["labels"] = [f"l{number}" for number in range(25)]
    text = to_markdown(build_report(run.write()))
    assert "l19 and 5 more" in text


def test_many_parts_are_cut_and_counted(task_run):
    task, run = task_run
    part = {"f1": 0.5, "support": 3}
    for name in VALUES:
        run.quality["models"][name]["test"]["details"] = {"per_label": {f"x{number}": part for number in range(25)}}
    assert "5 more that occur less often" in to_markdown(build_report(run.write())), task


def test_an_embedding_run_says_what_it_said(run):
    report = build_report(run.write())
    text = to_markdown(report)
    assert "token ids to sentence embedding" in text
    assert "Equal decisions" not in text
    assert report.task == "embedding"
    assert yaml.safe_load(model_card(run.folder).split("---")[1])["library_name"] == "sentence-transformers"
    json.dumps(report.model_dump(mode="json"), allow_nan=False)
