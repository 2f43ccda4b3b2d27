"""`train.engine: textbrewer`: the stages of a labelled task through TextBrewer's GeneralDistiller.

TextBrewer computes the losses and runs the loop. The teacher's stored logits, the captured inner states, the learned
projections, the order of the examples and the optimizer's settings are those of the trainer engine, so that both take the
same steps. Two things of its loop are not used: its pickled checkpoints, and a clipping of gradients that leaves
projections out. A stage that was cut off starts again; one that is done is not trained twice.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import Trainer, get_scheduler, set_seed

from ..data.features import TaskCollator
from ..data.sampler import LengthBucketSampler
from ..evaluate.outputs import Features
from ..evaluate.scoring import Scorer
from ..files import atomic_folder, disk_errors, read_json, write_json
from ..progress import Ticks, note
from ..recipe import Recipe, StageSpec
from ..recipe_losses import PREDICTION
from .checkpoints import is_whole, seal
from .inner import InnerTeacher
from .log import StepLog
from .objective import set_dropout
from .stages import StagePlan, _arguments
from .states import load_state, state_of
from .task import TaskObjective
from .task_engine import FirstRows, TaskJudge, stage_metric, with_teacher
from .textbrewer_guards import check_stage
from .textbrewer_terms import StudentSide, TeacherSide, Terms, translate
from .textbrewer_watch import Enough, Watch
from .trainer import Collate, Rows

with warnings.catch_warnings():
    warnings.simplefilter("ignore", SyntaxWarning)  # it compares strings by identity
    from textbrewer import DistillationConfig, GeneralDistiller, TrainingConfig

__all__ = ["check_stage", "train_textbrewer"]


def train_textbrewer(
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
) -> dict[str, Any]:
    """Train a task model in place through every stage of a recipe, as `train_task` does, with TextBrewer's loop.

    Args:
        recipe: resolved but for `train.precision`; `auto` is fp32 here.
        student: the model; holds the best weights afterwards.
        features: training examples, those with labels first.
        collate: pads a batch of them.
        dev: judges.
        work: folder for finished stages.
        log: log.jsonl.
        labelled: how many examples have labels; None: all.
        logits, dev_logits: what the teacher said of each training and dev row; None where no loss compares with it.
        inner: the teacher itself, for losses between inner states.

    Returns:
        Facts, as `train_stages` gives them.

    Raises:
        UserError: a loss or setting that TextBrewer does not define.
        GateError: the loss is not finite or the student's outputs are not.
    """
    for number, stage in enumerate(recipe.stages):
        check_stage(stage, recipe.student.kind, recipe.task, where=f"stages.{number}", train=recipe.train)
    if recipe.train.dropout is not None:
        set_dropout(student, recipe.train.dropout)
    facts: list[dict[str, Any]] = []
    for stage in recipe.stages:
        set_seed(recipe.seed)
        folder = work / stage.name
        losses = None if inner is None else inner.losses(student, stage, recipe.seed)
        objective = TaskObjective(student, stage.losses, recipe.task, losses)
        select_by = stage_metric(recipe, stage)
        compares = any(loss.name in PREDICTION - {"hard_label"} for loss in stage.losses)
        judge = TaskJudge(dev, with_teacher(collate, dev_logits if compares else None), collate, with_loss=select_by == "loss")
        rows = features if labelled is None or stage.data == "train" else FirstRows(features, labelled)
        plan = StagePlan(objective, rows, with_teacher(collate, logits if compares else None), judge, select_by)
        try:
            facts.append(_stage(recipe, stage, plan, folder=folder, log=log))
        finally:
            objective.close()
    student.eval()
    return {"precision": "fp32", "stages": facts}


def _stage(recipe: Recipe, stage: StageSpec, plan: StagePlan, *, folder: Path, log: Path) -> dict[str, Any]:
    """Train one stage, or load what was trained before; its facts."""
    final = folder / "final"
    if is_whole(final):
        load_state(plan.objective, safetensors.torch.load_file(final / "model.safetensors"))
        note(f"training: stage '{stage.name}' is done already")
        found: dict[str, Any] = read_json(final / "facts.json")
        return found
    with disk_errors(folder):
        facts = _run_stage(recipe, stage, plan, folder=folder, log=log)
        with atomic_folder(final) as new:
            safetensors.torch.save_file(state_of(plan.objective), new / "model.safetensors")
            write_json(new / "facts.json", facts)
            seal(new)
    return facts


def _run_stage(recipe: Recipe, stage: StageSpec, plan: StagePlan, *, folder: Path, log: Path) -> dict[str, Any]:
    """Train one stage and leave the best weights in the objective."""
    spec, objective = recipe.train, plan.objective
    assert isinstance(objective, TaskObjective), "tasks with predictions alone"
    per_epoch = math.ceil(len(plan.rows) / stage.batch_size)
    steps = stage.max_steps or max(1, round(per_epoch * stage.epochs))
    every = max(1, min(steps, round(spec.evaluate_every * per_epoch) if spec.evaluate_every <= 1 else round(spec.evaluate_every)))
    arguments = _arguments(recipe, stage, "fp32", folder, steps, every, plan.select_by)
    objective.to(arguments.device)
    start = time.perf_counter()
    bar = Ticks(steps, f"training {stage.name}" if len(recipe.stages) > 1 else "training", "steps")
    terms = translate(objective)
    watch = Watch(plan, terms, arguments, StepLog(log, stage.name), bar, per_epoch=per_epoch, patience=spec.patience)
    optimizer = _optimizer(arguments, objective)
    optimizer.register_step_pre_hook(watch.before_step)
    optimizer.register_step_post_hook(watch.after_step)
    teacher = TeacherSide(objective.inner)
    with tempfile.TemporaryDirectory() as unused, frozen(teacher), contextlib.closing(bar):
        settings = TrainingConfig(ckpt_steps=every, output_dir=unused, device=arguments.device)
        config = DistillationConfig(**terms.config)
        for name, schedule in terms.schedules.items():
            setattr(config, name, schedule)
        distiller = Distiller(settings, config, teacher, StudentSide(objective), terms, watch)
        set_seed(recipe.seed)  # as transformers.Trainer does when its turn comes: dropout falls alike
        with distiller, contextlib.suppress(Enough):
            distiller.train(
                optimizer,
                Epochs(plan.rows, plan.collate, stage.batch_size, recipe.seed),
                scheduler_class=get_scheduler,
                scheduler_args={
                    "name": arguments.lr_scheduler_type,
                    "num_warmup_steps": arguments.get_warmup_steps(steps),
                    "num_training_steps": steps,
                },
                num_steps=steps,
                callback=watch.evaluate,
                batch_postprocessor=watch.begin,
            )
    if watch.best_state is not None:
        load_state(objective, watch.best_state)
    return {
        "name": stage.name,
        "precision": "fp32",
        "steps": watch.step,
        "planned_steps": steps,
        "epochs": round(watch.step / per_epoch, 3),
        "seconds": round(time.perf_counter() - start, 2),
        "resumed_at": None,
        "best_step": watch.best_step,
        "best_value": watch.best_value,
        "select_by": plan.select_by,
        "stopped": "early" if watch.step < steps else "planned end",
    }


class Distiller(GeneralDistiller):
    """TextBrewer's distiller without what it writes: no pickled weights, no bars, no tensorboard.

    Args:
        settings: of its loop.
        config: of its losses.
        teacher, student: as it calls them.
        terms: adaptors, and the projections that the optimizer has already.
        watch: is told of the losses.
    """

    def __init__(
        self, settings: Any, config: Any, teacher: TeacherSide, student: StudentSide, terms: Terms, watch: Watch
    ) -> None:
        ours, theirs = terms.adaptors
        super().__init__(settings, config, teacher, student, theirs, ours)
        self.projs = list(terms.projections)
        self.projs_group = [None] * len(self.projs)
        self.watch = watch

    def initialize_training(self, optimizer: Any, scheduler_class: Any, scheduler_args: Any, scheduler: Any) -> Any:
        """As TextBrewer's, but for the projections: each match would add its own to the optimizer, and some share one."""
        projections, self.projs = self.projs, []
        optimizer, scheduler, _ = super().initialize_training(optimizer, scheduler_class, scheduler_args, scheduler)
        self.projs = projections
        return optimizer, scheduler, True

    def write_loss(self, total_loss: Tensor, writer_step: int, losses_dict: dict[str, Tensor] | None = None) -> None:
        """Hand the losses on; TextBrewer would fetch each from the device at every step."""
        self.watch.losses(total_loss, losses_dict or {}, self.d_config)

    def save_and_callback(self, global_step: int, step: int, epoch: int, callback: Any) -> None:
        """The callback alone, without a checkpoint."""
        callback(model=self.model_S, step=global_step)
        self.model_S.train()


class Epochs:
    """Batches of an epoch each time it is gone through, in the order that seed and epoch decide.

    Args:
        rows: training examples.
        collate: makes a batch of them.
        batch_size: of a step.
        seed: of the order.
    """

    def __init__(self, rows: Rows, collate: Collate, batch_size: int, seed: int) -> None:
        self.sampler = LengthBucketSampler(rows.lengths, batch_size, seed)
        self.loader = DataLoader(rows, batch_size=batch_size, sampler=self.sampler, collate_fn=collate)
        self.epoch = 0

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        self.sampler.set_epoch(self.epoch)
        self.epoch += 1
        yield from self.loader


@contextlib.contextmanager
def frozen(teacher: nn.Module) -> Iterator[None]:
    """Within the block no weight of the teacher takes a gradient; those that did before do so again afterwards."""
    trained = [weight for weight in teacher.parameters() if weight.requires_grad]
    for weight in trained:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in trained:
            weight.requires_grad_(True)


def _optimizer(arguments: Any, objective: nn.Module) -> torch.optim.Optimizer:
    """The optimizer that transformers would make: same class, same settings, weight decay on the same weights."""
    make, settings = Trainer.get_optimizer_cls_and_kwargs(arguments, objective)
    decayed = set(Trainer.get_decay_parameter_names(None, objective))
    weights = [(name in decayed, weight) for name, weight in objective.named_parameters() if weight.requires_grad]
    groups = [
        {
            "params": [weight for decays, weight in weights if decays is kind],
            "weight_decay": arguments.weight_decay if kind else 0.0,
        }
        for kind in (True, False)
    ]
    optimizer: torch.optim.Optimizer = make(groups, **settings)
    return optimizer
