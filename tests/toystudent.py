"""A recipe without files and a student of cut layers, for tests that call the training room itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

STAGE = {"losses": ["embedding_cosine", "similarity_matrix"], "epochs": 3, "batch_size": 8, "learning_rate": 1e-3}
DIM = 48
"""Of the teacher's vectors, which have length 1."""


def recipe(layers: int, stages: Sequence[Mapping[str, Any]], **train: Any) -> Any:
    """A recipe of so many layers; what a stage does not say is that of `STAGE`."""
    from distill.recipe import Recipe, normalise

    return Recipe.model_validate(
        normalise(
            {
                "name": "tiny",
                "teacher": "unused",
                "data": {"train": "unused.txt"},
                "student": {"layers": layers},
                "stages": [STAGE | stage for stage in stages],
                "train": {"precision": "fp32", "patience": None, "evaluate_every": 5, **train},
            }
        )
    )


def student(recipe: Any, start: Any, projection: str = "drop") -> Any:
    """The student of a recipe, cut from a start model."""
    from students.build import build_student
    from students.spec import LayersSpec

    return build_student(
        LayersSpec(layers=recipe.student.layers, projection=projection),
        start,
        teacher_dim=DIM,
        teacher_normalizes=True,
        teacher_prompt="",
        max_length=64,
        seed=recipe.seed,
    )


def train(recipe: Any, student: Any, home: Path, parts: Sequence[Sequence[str]], vectors: Sequence[Any], inner: Any) -> Any:
    """Train a student in `home`: the log is log.jsonl there. Returns the facts.

    Args:
        recipe, student: of this module.
        home: folder.
        parts: texts for training and for dev.
        vectors: the teacher's, of both.
        inner: the teacher beside.
    """
    from distill.train.engine import TrainingData, train_student

    return train_student(
        recipe,
        student,
        TrainingData(*parts, lambda rows: vectors[0][rows], vectors[1]),
        teacher_normalizes=True,
        work=home / "work",
        log=home / "log.jsonl",
        inner=inner,
    )
