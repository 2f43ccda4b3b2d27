"""A task that a small classifier learns in seconds: is a sentence English or Korean? And one call of the training room on it."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tiny
import torch

from distill.data.examples import LabelSet, TextExamples
from distill.data.features import TextFeatures
from distill.evaluate.scoring import Scorer, make_collator
from distill.recipe import Recipe, normalise
from distill.train.inner import InnerTeacher
from distill.train.task_engine import train_task
from teachers.fingerprint import weights_sha256

TRAIN, DEV = tiny.SENTENCES[:160], tiny.SENTENCES[200:264]
LABELS = LabelSet(("korean", "english"))


class Trained(NamedTuple):
    facts: dict[str, Any]
    student: Any
    log: list[dict[str, Any]]
    weights: dict[str, torch.Tensor]


def gold(texts: list[str]) -> np.ndarray:
    return np.array([int(text.isascii()) for text in texts])


def signal(texts: list[str]) -> list[np.ndarray]:
    """Logits of a teacher that knows, no two rows alike."""
    return [np.array([-3 - n / 100, 3 + n / 100], np.float32) * (2 * label - 1) for n, label in enumerate(gold(texts))]


def classifier(layers: int = 2, hidden: int = 32, seed: int = 0, classes: int = 2) -> Any:
    """A BERT with a fresh head and dropout 0.1."""
    from transformers import AutoModelForSequenceClassification

    config = tiny._config("bert", layers, hidden, 4, 64, len(tiny.tokenizer()))
    config.num_labels = classes
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForSequenceClassification.from_config(config)
        model.get_input_embeddings().weight.data *= 8
    return model.eval()


@functools.cache
def features(part: str, labelled: int | None = None) -> TextFeatures:
    texts = TRAIN if part == "train" else DEV
    labels = gold(texts)
    if labelled is not None:
        labels[labelled:] = -100
    return TextFeatures(TextExamples(texts, labels=labels), tiny.tokenizer(), 64)


def recipe(stages: list[dict[str, Any]], **train: Any) -> Recipe:
    stage = {"losses": ["hard_label"], "epochs": 2, "batch_size": 16, "learning_rate": 2e-3}
    return Recipe.model_validate(
        normalise(
            {
                "name": "toy",
                "task": "classification",
                "teacher": "unused",
                "data": {"train": "unused.tsv"},
                "student": {"layers": 2},
                "stages": [stage | extra for extra in stages],
                "train": {"precision": "fp32", "patience": None, "evaluate_every": 5, "dropout": None, **train},
            }
        )
    )


def train(
    folder: Path,
    stages: list[dict[str, Any]] | None = None,
    *,
    student: Any = None,
    teacher: Any = None,
    rows: Any = None,
    labelled: int | None = None,
    logits: list[np.ndarray] | None = None,
    **values: Any,
) -> Trained:
    """Train a new student, or `student`, and read its log; `values` go to the recipe's `train`."""
    model = classifier(seed=1) if student is None else student
    facts = train_task(
        recipe(stages or [{}], **values),
        model,
        features("train", labelled) if rows is None else rows,
        make_collator("classification", tiny.tokenizer()),
        Scorer("classification", TextExamples(DEV, labels=gold(DEV)), features("dev"), LABELS),
        work=folder / "work",
        log=folder / "log.jsonl",
        labelled=labelled,
        logits=signal(TRAIN) if logits is None else logits,
        dev_logits=signal(DEV),
        inner=None if teacher is None else InnerTeacher(teacher, key={"weights": weights_sha256(teacher)}),
    )
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]
    return Trained(facts, model, log, {name: weight.clone() for name, weight in model.state_dict().items()})
