"""The teacher of a labelled task: loaded or fine-tuned, its labels matched by name, asked once about every row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from teachers.fingerprint import tokenizer_sha256, weights_sha256
from teachers.heads import HeadModel

from ..data.examples import LabelSet
from ..data.features import TaskCollator
from ..data.labels import match_labels
from ..errors import ModelError, RunError
from ..evaluate.outputs import Features, run_over, torch_predict
from ..evaluate.scoring import Scorer
from ..files import atomic_folder, cache_dir, fingerprint, lock, read_json, sha256_file, write_json
from ..progress import note
from ..recipe import Recipe
from ..train.task import model_logits
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
    assert spec is not None, "called where the recipe asks for it"
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
        "patience": None,
    }
    own = recipe.with_values(stages=[stage], train=train)
    facts = train_task(own, head.model, features, collate, dev, work=work, log=log, labelled=labelled)
    head.untrained = False
    return facts


def teacher_logits(
    head: HeadModel,
    key: dict[str, Any],
    order: np.ndarray | None,
    task: str,
    features: Features,
    collate: TaskCollator,
    content: object,
    *,
    batch_size: int,
    ids: Tensor | None = None,
) -> list[np.ndarray]:
    """What the teacher says of every row, in the data's order of labels; from the cache where it is there.

    Args:
        head: the teacher.
        key: its `head_key`.
        order: for each label the teacher's output.
        task: of the recipe.
        features: the rows, tokenised for the teacher.
        collate: for the teacher.
        content: JSON values that tell these rows from others.
        batch_size: rows per forward.
        ids: the teacher's id of each token id of the rows, where these are of a trimmed vocabulary.

    Returns:
        For each row its logits without padding, float32.
    """
    lengths = np.asarray(features.lengths)
    place = cache_dir() / "logits" / fingerprint({"teacher": key, "task": task, "rows": content})
    with lock(place.with_suffix(".lock"), "this teacher's logits", wait=True):
        found = _stored(place, lengths, task)
        if found is not None:
            note(f"signals: {len(found):,} rows of the teacher's logits from the cache")
            return found
        head.model.eval()
        device = next(head.model.parameters()).device
        predict = torch_predict(lambda batch: model_logits(head.model, _as_teachers(batch, ids), task), device)
        found = run_over(predict, features, collate, batch_size=batch_size, description="teacher logits")
        if order is not None:
            found = [np.ascontiguousarray(row[..., order]) for row in found]
        flat = np.concatenate([row.reshape(-1) for row in found]).astype(np.float32)
        with atomic_folder(place) as work:
            np.save(work / "logits.npy", flat, allow_pickle=False)
            write_json(work / "complete.json", {"sha256": sha256_file(work / "logits.npy"), "classes": int(found[0].shape[-1])})
    return found


def _as_teachers(batch: Mapping[str, Tensor], ids: Tensor | None) -> Mapping[str, Tensor]:
    """A batch with the teacher's token ids in place of those of a trimmed vocabulary."""
    if ids is None:
        return batch
    tokens = batch["input_ids"]
    return {**batch, "input_ids": ids.to(tokens.device)[tokens]}


def _stored(place: Path, lengths: np.ndarray, task: str) -> list[np.ndarray] | None:
    """Logits that an earlier run left, if they are whole."""
    if not (place / "complete.json").is_file():
        return None
    try:
        mark = read_json(place / "complete.json")
        if mark["sha256"] != sha256_file(place / "logits.npy"):
            return None
        flat = np.load(place / "logits.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, KeyError, RunError):
        return None
    classes = int(mark["classes"])
    shapes = [_shape(task, int(tokens), classes) for tokens in lengths]
    sizes = np.array([int(np.prod(shape)) for shape in shapes])
    if sizes.sum() != len(flat):
        return None
    ends = np.cumsum(sizes)
    return [np.array(flat[end - size : end]).reshape(shape) for shape, size, end in zip(shapes, sizes, ends, strict=True)]


def _shape(task: str, tokens: int, classes: int) -> tuple[int, ...]:
    if task == "tokens":
        return (tokens, classes)
    return (2, tokens) if task == "spans" else (classes,)


def same_tokens(teacher: HeadModel, tokenizer: Any) -> bool:
    """Whether a tokenizer cuts texts as the teacher's does."""

    class Holder:
        def __init__(self, tokenizer: Any) -> None:
            self.tokenizer = tokenizer

    return tokenizer_sha256(teacher) == tokenizer_sha256(Holder(tokenizer))
