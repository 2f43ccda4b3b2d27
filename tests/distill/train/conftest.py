"""A teacher's vectors of a hundred sentences, and `train(...)`: one call of the training room on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tiny
import torch
import toystudent

SENTENCES = tiny.SENTENCES[:96]
DEV = tiny.SENTENCES[200:232]


class Trained(NamedTuple):
    facts: dict[str, Any]
    student: Any
    log: list[dict[str, Any]]
    weights: dict[str, torch.Tensor]


@pytest.fixture(scope="session")
def teacher():
    """A normalising teacher with vectors of 48 numbers: wider than the 32 of the students made from it."""
    return tiny.sentence_transformer(layers=3, hidden=32, dim=48)


@pytest.fixture(scope="session")
def vectors(teacher):
    return tuple(teacher.encode(texts, show_progress_bar=False) for texts in (SENTENCES, DEV))


@pytest.fixture
def start():
    """The model that students are cut from: dropout 0.1, as BERT has it."""
    return tiny.sentence_transformer(layers=3, hidden=32, seed=5)


@pytest.fixture
def train(tmp_path, vectors, start):
    """train(folder="a", stages=[...], rows=None, touch=None, projection="drop", **train_values) -> Trained: with dropout."""
    from distill.train.engine import TrainingData, train_student

    def run(folder="a", *, stages=None, rows=None, touch=None, projection="drop", home: Path = tmp_path, **values):
        recipe = toystudent.recipe(2, stages or [{}], **{"dropout": None, **values})
        student = toystudent.student(recipe, start, projection)
        if touch is not None:
            touch(student)
        target = home / folder
        facts = train_student(
            recipe,
            student,
            TrainingData(SENTENCES, DEV, rows or (lambda index: vectors[0][index]), vectors[1]),
            teacher_normalizes=True,
            work=target / "work",
            log=target / "log.jsonl",
        )
        weights = {name: weight.clone() for name, weight in student.model.state_dict().items()}
        if student.bridge is not None:
            weights |= {f"bridge.{name}": weight.clone() for name, weight in student.bridge.state_dict().items()}
        return Trained(facts, student, read_log(target / "log.jsonl"), weights)

    return run


def read_log(path: Path) -> list[dict[str, Any]]:
    import json

    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
