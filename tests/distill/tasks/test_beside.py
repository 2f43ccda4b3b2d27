"""A teacher that runs for its inner states gives its predictions in the same run."""

from __future__ import annotations

import json

import numpy as np
import pytest
import stopwatch
import tiny
import torch

import distill
from distill.recipe import Recipe, normalise
from distill.tasks.beside import Predictions, says_live
from teachers.heads import load_head

BOTH = {"losses": ["soft_cross_entropy", "hidden_mse", "attention_mse"]}
INNER = {"losses": ["hidden_mse"]}
PREDICTIONS = {"losses": ["soft_cross_entropy"]}


class Rows:
    def __init__(self, *lengths):
        self.lengths = np.array(lengths)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A trained teacher whose outputs are not in the data's order, and rows.tsv."""
    folder = tmp_path_factory.mktemp("beside")
    tiny.write_classifier(folder / "teacher", tuple(reversed(tiny.LABELS)), layers=2, hidden=32)
    tiny.write_task(folder, "classification", 0, 80)
    tiny.write_task(folder, "classification", 80, 120, "test.tsv")
    return folder


def tree(*stages, **train):
    quick = {"batch_size": 16, "learning_rate": 1e-3, "max_steps": 3}
    return {
        "name": "beside",
        "task": "classification",
        "teacher": "teacher",
        "data": {"train": "rows.tsv", "dev": {"share": 0.2}, "evaluate": {"test": "test.tsv"}},
        "student": {"kind": "tiny", "layers": 1, "hidden": 16, "heads": 4},
        "stages": [{"name": f"s{number}"} | stage | quick for number, stage in enumerate(stages)],
        "train": {"precision": "fp32", **train},
        "export": {"presets": ["fp32"]},
    }


@pytest.mark.parametrize(
    ("recipe", "lengths", "student", "expected"),
    [
        (tree(BOTH), (20, 30), 128, True),
        (tree(INNER, BOTH), (20, 30), 128, True),
        (tree(INNER), (20, 30), 128, False),
        (tree(BOTH, PREDICTIONS), (20, 30), 128, False),
        (tree(BOTH, store_states="fp32"), (20, 30), 128, False),
        (tree(BOTH, engine="textbrewer"), (20, 30), 128, False),
        (tree(BOTH), (20, 63), 64, True),
        (tree(BOTH), (20, 64), 64, False),
    ],
)
def test_where_it_can(recipe, lengths, student, expected):
    """Not where a stage has predictions alone, and not where the student's rows may be cut shorter than the teacher's."""
    made = Recipe.model_validate(normalise(recipe))
    assert says_live(made, [Rows(10), Rows(*lengths)], student=student, teacher=128) is expected


def test_not_of_a_student_that_lacks_words():
    """Whole texts are judged by words that the teacher knows and the student may not; tokens are judged one by one."""
    rows = [Rows(10), Rows(20)]
    made = Recipe.model_validate(normalise(tree(BOTH)))
    assert not says_live(made, rows, student=128, teacher=128, trimmed=True)
    tokens = Recipe.model_validate(normalise({**tree(BOTH), "task": "tokens"}))
    assert says_live(tokens, rows, student=128, teacher=128, trimmed=True)


def test_all_of_a_model_goes_where_the_batch_lies(monkeypatch):
    """The encoder may be there already."""
    model = torch.nn.Sequential(torch.nn.Linear(2, 2, device="meta"), torch.nn.Linear(2, 2)).eval()
    monkeypatch.setattr("distill.tasks.beside.model_logits", lambda model, inputs, task: inputs["input_ids"])
    Predictions(model, "classification", None).in_order({"input_ids": torch.zeros(1, 1, device="meta")})
    assert {weight.device.type for weight in model.parameters()} == {"meta"}


def test_in_the_order_of_the_data(place):
    head = load_head(str(place / "teacher"), "classification")
    batch = dict(head.tokenizer(tiny.ENGLISH[:4], padding=True, return_tensors="pt"))
    head.model.train()
    with torch.no_grad():
        found = Predictions(head.model, "classification", np.array([2, 1, 0])).in_order(batch)
        expected = head.model(**batch).logits
    assert not head.model.training
    torch.testing.assert_close(found, expected.flip(-1))


def run(place, folder, monkeypatch, *stages, **train):
    """The losses of each line of the log."""
    monkeypatch.setenv("DISTILL_CACHE", str(folder / "cache"))
    monkeypatch.chdir(place)
    monkeypatch.setattr("distill.proving.measure_models", stopwatch.stand_in([]))
    distill.run(tree(*stages, **train), out=folder / "run")
    lines = (folder / "run" / "log.jsonl").read_text("utf-8").splitlines()
    return [line["losses"] for line in map(json.loads, lines) if "losses" in line]


def test_a_run_learns_what_it_learns_from_stored_predictions(place, tmp_path, monkeypatch):
    """And the teacher is not asked for them beforehand."""
    with monkeypatch.context() as patch:
        patch.setattr("distill.tasks.training.teacher_logits", lambda *_, **__: pytest.fail("asked beforehand"))
        live = run(place, tmp_path / "live", patch, BOTH)
    stored = run(place, tmp_path / "stored", monkeypatch, BOTH, store_states="fp32")
    assert live
    for one, other in zip(live, stored, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
