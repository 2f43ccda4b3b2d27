"""The teacher of a labelled task: loaded or fine-tuned, its labels matched by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from teachers.fingerprint import tokenizer_sha256, weights_sha256
from teachers.heads import HeadModel
from teachers.spec import FinetuneSpec

from ..data.examples import LabelSet
from ..data.features import TaskCollator
from ..data.labels import match_labels
from ..errors import ModelError
from ..evaluate.outputs import Features
from ..evaluate.scoring import Scorer
from ..progress import note
from ..recipe import Recipe
from ..train.task_engine import train_task


def head_key(head: HeadModel, order: np.ndarray | None) -> dict[str, Any]:
    """Everything that decides a teacher's logits, as JSON values."""
    return {
        "weights": weights_sha256(head.model),
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


def check_trained(head: HeadModel) -> None:
    """Refuse a teacher whose head nobody has trained.

    Raises:
        ModelError: it was made anew, at random.
    """
    if head.untrained:
        raise ModelError(
            "this teacher was not trained for the task: it has no head of its own",
            where="teacher.model",
            got=head.name,
            expected="a model that was fine-tuned for the task",
            hint="train it first, in the same run: teacher.finetune.epochs=3",
        )


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


def finetune(
    recipe: Recipe,
    head: HeadModel,
    features: Features,
    collate: TaskCollator,
    dev: Scorer,
    labelled: int,
    *,
    work: Path,
    log: Path,
) -> dict[str, Any]:
    """Train a teacher's head and body on gold labels, in place, with the model's own dropout.

    Returns:
        Facts of the training.
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
    own = recipe.with_values(stages=[stage], train=train)
    facts = train_task(own, head.model, features, collate, dev, work=work, log=log, labelled=labelled)
    head.untrained = False
    return facts


def same_tokens(teacher: HeadModel, tokenizer: Any) -> bool:
    """Whether a tokenizer cuts texts as the teacher's does."""

    class Holder:
        def __init__(self, tokenizer: Any) -> None:
            self.tokenizer = tokenizer

    return tokenizer_sha256(teacher) == tokenizer_sha256(Holder(tokenizer))
