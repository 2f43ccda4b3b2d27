"""Every labelled task from a plain encoder to its report; every family, and the BiLSTM."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny
import transformers
from artefacts import facts, log, read, score
from compared import same_as_itself
from taskruns import KINDS, QUICK, SOFT, TASKS, TEST, recipe

import distill
from students.heads import load_head_student
from teachers.heads import CLASSES


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_task(kind, tmp_path):
    out, task = tmp_path / "run", TASKS[kind]
    report = distill.run(recipe(kind), out=out)
    assert report.passed
    assert report.summary
    assert "work" not in {item.name for item in out.iterdir()}
    assert read(out / "report.json")["headline"]["task"] == "test"
    assert [entry["stage"] for entry in log(out) if "loss" in entry][:3] == ["inner"] * 3
    tables = {file.stem: pq.read_table(file).to_pydict() for file in (out / "predictions" / "test").glob("*.parquet")}
    assert set(tables) == {"teacher", "student", "fp32"}
    assert all(len(table["score"]) == TEST for table in tables.values())
    again(task, tables["student"], score(out, "student"))
    assert same_as_itself(out, tmp_path)["test"] == read(out / "quality.json")["tasks"]["test"]["metric"]
    compared(task, out, tables)
    assert score(out, "fp32") == pytest.approx(score(out, "student"), abs=1e-6)
    assert score(out, "fp32", "agreement") == pytest.approx(score(out, "student", "agreement"), abs=1e-6)
    model, tokenizer = load_head_student(out / "student", CLASSES[task])
    plain = getattr(transformers, CLASSES[task]).from_pretrained(out / "student")
    assert type(plain) is type(model)
    assert tokenizer.model_max_length == 64
    if task not in ("regression", "spans"):
        assert list(model.config.id2label.values()) == read(out / "data" / "labels.json")


def compared(task, out, tables):
    """What the report makes of the stored predictions: a test against the teacher, and every example that differs told."""
    told = read(out / "report.json")
    quality = next(model["quality"]["test"] for model in told["models"] if model["name"] == "student")
    assert told["problems"] == []
    assert told["going"] is None
    assert quality["against_teacher"]["difference"] == pytest.approx(score(out, "student") - score(out, "teacher"), abs=1e-5)
    parts = {part["task"]: part for part in told["disagreements"]}
    assert set(parts) == {"test", "agreement"}
    ours, theirs = (tables[name]["prediction"] for name in ("fp32", "teacher"))
    assert parts["test"]["model"] == "fp32"
    if task != "regression":
        assert parts["test"]["differing"] == sum(a != b for a, b in zip(ours, theirs, strict=True))
    if task == "classification":
        assert all(0 < value <= 1 for value in tables["student"]["confidence"])
    assert (out / "samples.csv").read_text("utf-8").count("\n") > 3


def again(task, table, value):
    """The metric, counted again from the file of predictions."""
    from scipy.stats import spearmanr

    gold, guess = table.get("label"), table["prediction"]
    if task == "classification":
        expected = np.mean([a == b for a, b in zip(gold, guess, strict=True)])
    elif task == "regression":
        expected = spearmanr(gold, guess).statistic
    elif task == "multilabel":
        pairs = [({*a.split("|")} - {""}, {*b.split("|")} - {""}) for a, b in zip(gold, guess, strict=True)]
        both, ours, theirs = (sum(map(len, part)) for part in ([a & b for a, b in pairs], *zip(*pairs, strict=True)))
        expected = 2 * both / (ours + theirs)
    elif task == "tokens":
        sides = [{(row, *span) for row, tags in enumerate(side) for span in entities(tags.split())} for side in (gold, guess)]
        expected = 2 * len(sides[0] & sides[1]) / max(1, len(sides[0]) + len(sides[1]))
    else:
        expected = np.mean(table["score"])
    assert value == pytest.approx(expected, abs=1e-9)


def entities(tags):
    """(type, first word, word after the last) of each entity; one that begins with I- counts as begun."""
    found = []
    for place, tag in enumerate(tags):
        before = tags[place - 1] if place else "O"
        if tag != "O" and (tag[0] == "B" or before[2:] != tag[2:]):
            end = place + 1
            while end < len(tags) and tags[end] == f"I-{tag[2:]}":
                end += 1
            found.append((tag[2:], place, end))
    return found


def test_a_teacher_learns_what_the_words_tell(trained):
    assert score(trained, "teacher") > 0.6
    assert read(trained / "quality.json")["tasks"]["test"] == {"kind": "classification", "metric": "accuracy", "n": TEST}


@pytest.mark.parametrize("family", [family for family in tiny.FAMILIES if family != "albert"])
def test_every_family_is_distilled_in_two_stages(family, tmp_path, train_recipe):
    """Inner states, then predictions, with padded batches. Layers of ALBERT cannot be cut."""
    tiny.write_classifier(tmp_path / "teacher", family=family, layers=3)
    tree = recipe("classification", teacher={"model": str(tmp_path / "teacher"), "max_length": 64})
    for stage in tree["stages"]:
        stage |= {"max_steps": 2}
    tree["stages"][0]["losses"] = ["attention_mse", "hidden_mse", "embedding_layer_mse", "minilm_v2"]
    train_recipe(tree, tmp_path / "run")
    stages = facts(tmp_path / "run", "training")["stages"]
    assert [stage["layer_map"] for stage in stages] == [[[0, 0], [2, 1]], None]
    assert {name for line in log(tmp_path / "run") for name in line.get("losses", ())} >= {
        "attention_mse",
        "minilm_v2",
        "hard_label",
    }
    model, _ = load_head_student(tmp_path / "run" / "student", CLASSES["classification"])
    assert model.config.model_type == family


@pytest.mark.parametrize("kind", ["pairs", "multilabel", "regression"])
def test_a_bilstm_of_every_task_of_texts(kind, tmp_path):
    """Trained, exported, and the same to a plain session; pairs go through one encoder, side by side."""
    task = TASKS[kind]
    loss = SOFT.get(task, "logits_mse")
    stage = {"losses": [loss], "max_steps": 4, **QUICK}
    student = {"kind": "bilstm", "dim": 16, "hidden": 8}
    tree = recipe(kind, student=student, stages=[stage], export={"presets": ["fp32", "fast"]})
    tree["teacher"]["finetune"] = {"epochs": 0.2, **QUICK}
    assert distill.run(tree, out=tmp_path / "run").passed
    assert score(tmp_path / "run", "fp32") == pytest.approx(score(tmp_path / "run", "student"), abs=1e-6)
    config = read(tmp_path / "run" / "student" / "config.json")
    assert (config["model_type"], config["siamese"]) == ("distill-bilstm", kind == "pairs")
