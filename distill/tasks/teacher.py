"""The teacher of a labelled task: loaded or fine-tuned, its labels matched by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import nn

from teachers.fingerprint import config_sha256, tokenizer_sha256, weights_sha256
from teachers.heads import PROBLEMS, HeadModel
from teachers.spec import FinetuneSpec

from ..data.examples import LabelSet
from ..data.labels import match_labels
from ..errors import ModelError
from ..progress import note
from ..recipe import Recipe


def head_key(head: HeadModel, order: np.ndarray | None) -> dict[str, Any]:
    """Everything that decides a teacher's logits, as JSON values."""
    return {
        "weights": weights_sha256(head.model),
        "config": config_sha256(head.model.config, ("id2label", "label2id", "problem_type")),
        "tokenizer": tokenizer_sha256(head),
        "labels": list(head.labels),
        "order": None if order is None else order.tolist(),
        "max_length": head.max_length,
    }


def label_order(head: HeadModel, labels: LabelSet, given: Sequence[str] | None, who: str = "teacher") -> np.ndarray | None:
    """Which output of a trained head stands for which label, by name; None where a task has no labels.

    Raises:
        ModelError: the two have different labels, or the head's have no names and the recipe gives none.
    """
    if not labels.names or not head.labels:
        return None
    match = match_labels(labels, dict(enumerate(head.labels)), who=who, unnamed=given)
    for line in match.notes:
        note(f"note: {line}")
    return match.order


def check_trained(head: HeadModel, task: str) -> None:
    """Refuse a teacher whose head nobody has trained, or that was trained for another task.

    Args:
        head: the teacher.
        task: of the recipe.

    Raises:
        ModelError: its head was made anew, at random, or its config.json says that its logits are to be read otherwise.
    """
    if head.untrained:
        raise ModelError(
            "this teacher was not trained for the task: it has no head of its own",
            where="teacher.model",
            got=head.name,
            expected="a model that was fine-tuned for the task",
            hint="train it first, in the same run: teacher.finetune.epochs=3",
        )
    found, wanted = getattr(head.model.config, "problem_type", None), PROBLEMS.get(task)
    if None not in (found, wanted) and found != wanted:
        other = next((name for name, problem in PROBLEMS.items() if problem == found), None)
        raise ModelError(
            f"this teacher was not trained for the task {task}",
            where="teacher.model",
            got=f"{head.name}, whose config.json says problem_type: {found}",
            expected=f"{wanted}, or no problem_type",
            hint=f"{f'set task: {other}, or ' if other else ''}train it for this task first: teacher.finetune.epochs=3",
        )


def read_as(model: Any, task: str) -> None:
    """Say in a model's config what clients do with its logits, as the task has it: softmax, sigmoid or nothing.

    Args:
        model: a transformers task model.
        task: of the recipe.
    """
    if task in PROBLEMS:
        model.config.problem_type = PROBLEMS[task]


def reorder_head(model: nn.Module, order: np.ndarray, labels: LabelSet) -> None:
    """Put the outputs of a task model into another order, in place, names included.

    Args:
        model: a transformers task model.
        order: for each new output the old one.
        labels: names in the new order.

    Raises:
        ModelError: its last linear layer is not found.
    """
    import torch

    count = len(order)
    inside = {id(module) for module in model.base_model.modules()}
    heads = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == count and id(m) not in inside]
    if not heads:
        raise ModelError("the output layer of this model is not where it is looked for", got=type(model).__name__)
    rows = torch.from_numpy(np.asarray(order, dtype=np.int64))
    with torch.no_grad():
        heads[-1].weight.copy_(heads[-1].weight[rows].clone())
        if heads[-1].bias is not None:
            heads[-1].bias.copy_(heads[-1].bias[rows].clone())
    config: Any = model.config
    config.id2label = dict(enumerate(labels.names))
    config.label2id = {name: index for index, name in enumerate(labels.names)}


def finetune_recipe(recipe: Recipe) -> Recipe:
    """The recipe of the teacher's own training: gold labels alone, the model's own dropout, its best checkpoint kept.

    Args:
        recipe: of the run, which asks for that training.
    """
    spec = recipe.teacher.finetune
    assert isinstance(spec, FinetuneSpec), "called where the recipe asks for it"
    stage = {
        "name": "teacher",
        "losses": [{"name": "hard_label"}],
        "epochs": spec.epochs,
        "batch_size": spec.batch_size,
        "learning_rate": spec.learning_rate,
        "warmup": spec.warmup,
        "data": "labelled",
    }
    train = {
        **recipe.train.model_dump(mode="json"),
        "dropout": None,
        "select_by": "task_metric",
        "engine": "trainer",
        "store_states": None,
        "patience": None,
    }
    return recipe.with_values(stages=[stage], train=train)
