"""Train a task model through the stages of a recipe: a student toward its teacher, or a teacher on gold labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data.features import TaskCollator
from ..errors import GateError
from ..evaluate.outputs import Features, run_over, torch_predict
from ..evaluate.scoring import Scorer
from ..recipe import BY_TOKEN, Recipe
from ..recipe_losses import COMPARING, PREDICTION
from ..recipe_stages import StageSpec
from .inner import InnerTeacher
from .judges import dev_loss
from .objective import set_dropout
from .stages import Run, StagePlan, train_stages
from .stored import on_stored
from .task import BLOCKED, TaskObjective, model_logits
from .trainer import Collate


class FirstRows:
    """The first examples of a data set: those with a label come before those without.

    Args:
        features: all of them.
        count: how many.
    """

    def __init__(self, features: Features, count: int) -> None:
        self._features = features
        self.lengths = np.asarray(features.lengths)[:count]

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._features[index]


class TaskJudge:
    """The task's metric on dev examples, and the objective's loss where a stage is chosen by it.

    Args:
        scorer: dev examples with their labels.
        collate: with the teacher's logits of dev rows, where a loss asks for them.
        plain: without.
        with_loss: whether the loss is wanted; it runs the teacher where losses between inner states are among it and their
            states are not stored.
    """

    def __init__(self, scorer: Scorer, collate: Collate, plain: TaskCollator, *, with_loss: bool) -> None:
        self.scorer, self.collate, self.plain, self.with_loss = scorer, collate, plain, with_loss

    def __call__(self, objective: nn.Module, device: torch.device, where: str) -> dict[str, float]:
        """Dev metrics.

        Raises:
            GateError: the student's outputs or what is measured of them are not finite numbers.
        """
        assert isinstance(objective, TaskObjective), "judges tasks"
        task, student = objective.task, objective.student
        outputs = run_over(
            torch_predict(lambda batch: model_logits(student, batch, task), device), self.scorer.features, self.plain
        )
        if not all(np.isfinite(row).all() for row in outputs):
            raise GateError(
                "the student's outputs are not finite numbers", where=where, hint="lower learning_rate, or use precision fp32"
            )
        found = {"task_metric": float(self.scorer.score(outputs, rounds=2)["value"])}
        if self.with_loss:
            found["loss"] = dev_loss(objective, self.scorer.features, self.collate, device)
        wrong = sorted(name for name, value in found.items() if not np.isfinite(value))
        if wrong == ["task_metric"] and self.with_loss:
            return found  # outputs say nothing yet
        if wrong:
            raise GateError(
                f"the dev {wrong[0]} is not a finite number",
                where=where,
                got=found,
                hint="outputs, or labels, that are all alike have no correlation: look at the dev rows, or lower learning_rate",
            )
        return found


def with_teacher(collate: TaskCollator, logits: Sequence[np.ndarray] | None) -> Collate:
    """A collator that adds what the teacher said of each row.

    Args:
        collate: pads a batch.
        logits: of each row, without padding, of several teachers one after the other; None adds nothing.
    """

    def add(items: list[dict[str, Any]]) -> dict[str, Tensor]:
        batch = collate(items)
        if logits is not None:
            found = [torch.from_numpy(logits[int(row)]) for row in batch["row"]]
            batch["teacher_logits"] = _padded(
                found, [len(item["input_ids"]) for item in items], batch["input_ids"].shape[1], collate.task
            )
        return batch

    return add


def _padded(rows: list[Tensor], lengths: list[int], width: int, task: str) -> Tensor:
    """Logits of several rows as one tensor, in the shape that `model_logits` gives.

    Where a row has those of K teachers, [K, ...], the tensor is [B, K, ...].

    Raises:
        ValueError: the teacher read another number of tokens than the student does.
    """
    if task in BY_TOKEN:
        read = [row.shape[-2 if task == "tokens" else -1] for row in rows]
        if read != lengths:
            raise ValueError(f"the teacher's logits are of {read} tokens, the student's rows have {lengths}")
    if task == "tokens":
        return torch.stack([nn.functional.pad(row, (0, 0, 0, width - row.shape[-2])) for row in rows])
    if task == "spans":
        return torch.stack([nn.functional.pad(row, (0, width - row.shape[-1]), value=BLOCKED) for row in rows])
    return torch.stack(rows)


def train_task(
    recipe: Recipe,
    student: nn.Module,
    features: Features,
    collate: TaskCollator,
    dev: Scorer,
    *,
    work: Path,
    log: Path,
    labelled: int | None = None,
    logits: Sequence[np.ndarray] | None = None,
    dev_logits: Sequence[np.ndarray] | None = None,
    inner: InnerTeacher | None = None,
    run: Run | None = None,
) -> dict[str, Any]:
    """Train a task model in place through every stage of a recipe.

    Args:
        recipe: resolved but for `train.precision`.
        student: the model; holds the best weights afterwards.
        features: training examples, those with labels first.
        collate: pads a batch of them.
        dev: judges.
        work: folder for checkpoints.
        log: log.jsonl.
        labelled: how many examples have labels; None: all.
        logits, dev_logits: what the teacher said of each training and dev row; None where no loss compares with it.
        inner: the teacher itself, for losses between inner states.
        run: trains one stage, as in `train_stages`.

    Returns:
        Facts, as `train_stages` gives them.
    """
    if recipe.train.dropout is not None:
        set_dropout(student, recipe.train.dropout)

    def plan(stage: StageSpec) -> StagePlan:
        losses = None if inner is None else inner.losses(student, stage, recipe.seed)
        objective = TaskObjective(student, stage.losses, recipe.task, losses, stage.convention)
        select_by = stage_metric(recipe, stage)
        compares = any(loss.name in COMPARING for loss in stage.losses)
        judged, taught = (with_teacher(collate, part if compares else None) for part in (dev_logits, logits))
        rows = features if labelled is None or stage.data == "train" else FirstRows(features, labelled)
        states, numbers = None, recipe.train.store_states
        if numbers is not None and inner is not None and losses is not None:
            batches = (taught, judged if select_by == "loss" else None)
            (taught, of_dev), states = on_stored(inner, losses, (rows, dev.features), batches, collate, numbers)
            judged = of_dev or judged
        judge = TaskJudge(dev, judged, collate, with_loss=select_by == "loss")
        return StagePlan(objective, rows, taught, judge, select_by, states=states)

    facts = train_stages(recipe, plan, work=work, log=log, run=run)
    student.eval()
    return facts


def stage_metric(recipe: Recipe, stage: StageSpec) -> str:
    """The dev metric that chooses a stage's checkpoint: a stage without a loss on predictions is judged by its loss."""
    return recipe.train.select_by if any(loss.name in PREDICTION for loss in stage.losses) else "loss"
