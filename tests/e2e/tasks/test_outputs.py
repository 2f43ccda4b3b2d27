"""Labels are matched by name, and the task decides what clients do with logits."""

from __future__ import annotations

import json

import pytest
import tiny
import torch
import transformers
from artefacts import read, score
from taskruns import QUICK, recipe, taught

import distill
from distill.errors import ModelError
from students.heads import load_head_student
from teachers.heads import CLASSES


def relabelled(source, folder, order):
    """A copy of a classifier whose outputs stand in another order, names with them."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(source)
    with torch.no_grad():
        for part in (model.classifier.weight, model.classifier.bias):
            part.copy_(part[list(order)].clone())
    names = [model.config.id2label[place] for place in order]
    model.config.id2label, model.config.label2id = dict(enumerate(names)), {name: place for place, name in enumerate(names)}
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return folder


def test_labels_are_matched_by_name(trained, tmp_path):
    """The same teacher with its outputs in another order says the same, and so does its student."""
    swapped = relabelled(trained / "teacher", tmp_path / "swapped", (2, 0, 1))
    outs = []
    for model in (trained / "teacher", swapped):
        outs.append(tmp_path / f"run-{model.name}")
        distill.run(taught(trained, teacher={"model": str(model), "max_length": 64}), out=outs[-1])
    assert score(outs[0], "teacher") == score(outs[1], "teacher") == score(trained, "teacher")
    assert score(outs[0], "student") == score(outs[1], "student")
    assert [read(out / "student" / "config.json")["id2label"] for out in outs] == [dict(zip("012", tiny.LABELS, strict=True))] * 2
    first, second = (load_head_student(out / "student", CLASSES["classification"])[0].state_dict() for out in outs)
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, atol=1e-5, rtol=0)


def test_a_trained_teacher_in_another_order_is_fine_tuned_in_the_order_of_the_data(trained, tmp_path):
    swapped = relabelled(trained / "teacher", tmp_path / "swapped", (2, 0, 1))
    teacher = {"model": str(swapped), "max_length": 64, "finetune": {"epochs": 0.2, "batch_size": 16, "learning_rate": 1e-6}}
    out = tmp_path / "run"
    distill.run(taught(trained, teacher=teacher), out=out)
    names = dict(zip("012", tiny.LABELS, strict=True))
    assert read(out / "teacher" / "config.json")["id2label"] == names
    assert read(out / "student" / "config.json")["id2label"] == names
    assert score(out, "teacher") == pytest.approx(score(trained, "teacher"), abs=0.02)


@pytest.mark.parametrize("told", [None, "single_label_classification"])
@pytest.mark.parametrize("student", [{"layers": 2}, {"kind": "tiny", "layers": 2, "hidden": 24, "heads": 4}, {"kind": "bilstm"}])
def test_the_task_decides_what_clients_do_with_logits(told, student, place, tmp_path, train_recipe):
    """Whatever its teacher's config.json says, or does not: a student of several labels is read through a sigmoid."""
    config = tiny.write_classifier(tmp_path / "teacher", ("animal", "late", "outside"), layers=3) / "config.json"
    config.write_text(json.dumps(read(config) | ({} if told is None else {"problem_type": told})), "utf-8")
    teacher = {"model": str(config.parent), "max_length": 64}
    tree = recipe("multilabel", teacher=teacher, student=student)
    tree["stages"] = [{"losses": ["soft_binary_cross_entropy"], "max_steps": 2, **QUICK}]
    if told is not None:
        with pytest.raises(ModelError, match="problem_type: single_label"):
            distill.run(tree, out=tmp_path / "refused")
        tree["teacher"] = {**teacher, "finetune": {"epochs": 0.1, **QUICK}}
    out = tmp_path / "run"
    train_recipe(tree, out)
    assert read(out / "student" / "config.json")["problem_type"] == "multi_label_classification"
    if told is not None:
        assert read(out / "teacher" / "config.json")["problem_type"] == "multi_label_classification"
