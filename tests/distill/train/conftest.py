"""A teacher's vectors of a hundred sentences, and `train(...)`: one call of the training room on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tiny
import torch

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
    from distill.recipe import Recipe, normalise
    from distill.train.engine import TrainingData, train_student
    from students.build import build_student
    from students.spec import LayersSpec

    def run(folder="a", *, stages=None, rows=None, touch=None, projection="drop", home: Path = tmp_path, **values):
        stage = {"losses": ["embedding_cosine", "similarity_matrix"], "epochs": 3, "batch_size": 8, "learning_rate": 1e-3}
        recipe = Recipe.model_validate(
            normalise(
                {
                    "name": "tiny",
                    "teacher": "unused",
                    "data": {"train": "unused.txt"},
                    "student": {"layers": 2},
                    "stages": [stage | extra for extra in stages or [{}]],
                    "train": {"precision": "fp32", "patience": None, "evaluate_every": 5, "dropout": None, **values},
                }
            )
        )
        student = build_student(
            LayersSpec(layers=2, projection=projection),
            start,
            teacher_dim=48,
            teacher_normalizes=True,
            teacher_prompt="",
            max_length=64,
            seed=recipe.seed,
        )
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
