"""The examples of a labelled run as one of its models reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from students.heads import HeadStudent
from teachers.heads import HeadModel

from ..data.examples import UNLABELLED, SpanExamples
from ..evaluate.scoring import Examples, Scorer, make_features
from ..recipe import Recipe
from ..rundir import RunDir
from .data import TaskData


def features_of(recipe: Recipe, data: TaskData, examples: Examples, model: HeadModel | HeadStudent) -> Any:
    """Examples as token ids of a model.

    Args:
        recipe: of the run.
        data: whose labels the examples have.
        examples: some of them, or others of the same kind.
        model: reads them.
    """
    stride = recipe.data.stride
    return make_features(recipe.task, examples, model.tokenizer, model.max_length, labels=data.labels, stride=stride)


def cut_note(features: Any, max_length: int) -> str | None:
    """What of some examples a model does not read, in words; None where it reads all.

    Args:
        features: of `features_of`.
        max_length: the model's longest input in tokens.
    """
    found = [f"{count:,} {what}" for what, count in features.unread.items() if count]
    return f"{', '.join(found)}: inputs have at most {max_length} tokens" if found else None


def train_features(recipe: Recipe, data: TaskData, model: HeadStudent) -> Any:
    """Training examples as token ids; answers of unlabelled questions are not told."""
    features = features_of(recipe, data, data.train, model)
    if isinstance(data.train, SpanExamples):
        unlabelled = np.asarray(features.example_rows) >= data.labelled
        features.starts[unlabelled] = features.ends[unlabelled] = UNLABELLED
    return features


def labelled_rows(features: Any, data: TaskData) -> int:
    """How many rows of training features have labels; a question may have several windows."""
    if isinstance(data.train, SpanExamples):
        return int((np.asarray(features.example_rows) < data.labelled).sum())
    return data.labelled


def dev_scorer(recipe: Recipe, data: TaskData, model: HeadModel | HeadStudent) -> Scorer:
    """Judges a model on the dev examples."""
    return Scorer(recipe.task, data.dev, features_of(recipe, data, data.dev, model), data.labels, recipe.data.answer_unit)


def texts_of(examples: Examples) -> list[str]:
    """Every text of some examples, both of a pair; a context of several questions once."""
    if isinstance(examples, SpanExamples):
        return [*examples.questions, *dict.fromkeys(examples.contexts)]
    return [*examples.text, *(getattr(examples, "text_pair", None) or [])]


def trained_on(folder: RunDir) -> dict[str, str]:
    """Hashes of the data files that decide a training, by their names in the run: evaluation sets are not among them."""
    files = folder.outputs("data").items()
    return {name: digest for name, digest in files if Path(name).stem in ("train", "dev", "labels")}
