"""`train.engine: textbrewer`: the stages of a labelled task through TextBrewer's distillers.

TextBrewer computes the losses and runs the loop. The teacher's stored logits, the captured inner states, the learned
projections, the order of the examples and the optimizer's settings are those of the trainer engine, so that both take the
same steps. Two things of its loop are not used: its pickled checkpoints, and a clipping of gradients that leaves
projections out. A stage that was cut off starts again; one that is done is not trained twice.
"""

from __future__ import annotations

import contextlib
import functools
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import Trainer, get_scheduler, set_seed

from ..data.sampler import LengthBucketSampler
from ..progress import TrainingView
from ..recipe import Recipe
from ..recipe_stages import StageSpec
from ..scratch import scratch
from .arguments import LOWER_IS_BETTER, stage_length, trainer_arguments
from .log import StepLog
from .matches import own_settings
from .stages import StagePlan, stage_facts
from .states import load_state
from .task import TaskObjective
from .task_engine import train_task
from .textbrewer_guards import check_stage
from .textbrewer_terms import StudentSide, TeacherSide, Terms, translate
from .textbrewer_watch import Enough, Watch
from .trainer import Collate, Rows

with warnings.catch_warnings():
    warnings.simplefilter("ignore", SyntaxWarning)  # it compares strings by identity
    from textbrewer import BasicDistiller, DistillationConfig, GeneralDistiller, MultiTeacherDistiller, TrainingConfig

__all__ = ["check_stage", "train_textbrewer"]


def train_textbrewer(recipe: Recipe, *args: Any, teachers: int = 1, **options: Any) -> dict[str, Any]:
    """Train a task model in place through every stage of a recipe, with TextBrewer's loop.

    Args:
        recipe: resolved but for `train.precision`; `auto` is fp32 here.
        args, options: as `train_task` takes them.
        teachers: K of them that have the same say: each row of `logits` is [K, ...], and `MultiTeacherDistiller` takes the
            mean at each step. 1: a row is one teacher's, or a mean that was made before.

    Returns:
        Facts, as `train_stages` gives them; each stage has its `distiller` too.

    Raises:
        UserError: a loss or setting that TextBrewer does not define.
        GateError: the loss is not finite or the student's outputs are not.
    """
    for number, stage in enumerate(recipe.stages):
        check_stage(stage, recipe.student.kind, recipe.task, where=f"stages.{number}", train=recipe.train)
    plain = recipe.resolved(train={"precision": "fp32"})
    return train_task(plain, *args, **options, run=functools.partial(_run_stage, teachers))


def _run_stage(
    teachers: int, recipe: Recipe, stage: StageSpec, precision: str, plan: StagePlan, *, folder: Path, log: Path
) -> dict[str, Any]:
    """Train one stage and leave the best weights in the objective; one that was cut off starts again."""
    spec, objective = recipe.train, plan.objective
    assert isinstance(objective, TaskObjective), "tasks with predictions alone"
    length = stage_length(recipe, stage, len(plan.rows))
    steps = length.steps
    arguments = trainer_arguments(recipe, stage, precision, folder, length, plan.select_by)
    objective.to(arguments.device)
    start = time.perf_counter()
    title = f"training {stage.name}" if len(recipe.stages) > 1 else "training"
    view = TrainingView(steps, title, plan.select_by, lower_is_better=plan.select_by in LOWER_IS_BETTER)
    terms = translate(objective, teachers)
    watch = Watch(plan, terms, arguments, StepLog(log, stage.name), view, per_epoch=length.per_epoch, patience=spec.patience)
    optimizer = _optimizer(arguments, objective)
    optimizer.register_step_pre_hook(watch.before_step)
    optimizer.register_step_post_hook(watch.after_step)
    sides = [TeacherSide(objective.inner, number if teachers > 1 else None) for number in range(teachers)]
    with scratch("textbrewer") as unused, frozen(nn.ModuleList(sides)), contextlib.closing(view):
        settings = TrainingConfig(ckpt_steps=length.every, output_dir=str(unused), device=arguments.device)
        config = DistillationConfig(**terms.config)
        for name, schedule in terms.schedules.items():
            setattr(config, name, schedule)
        make = _distiller(objective, terms, teachers)
        distiller = make(settings, config, sides if make is MultiTeacher else sides[0], StudentSide(objective), terms, watch)
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
    facts = stage_facts(
        stage,
        plan,
        length,
        precision=precision,
        steps=watch.step,
        seconds=time.perf_counter() - start,
        best=(watch.best_step, watch.best_value),
    )
    return facts | {"distiller": f"{make.__name__}Distiller"}


class Basic(BasicDistiller):
    """TextBrewer's distiller of predictions without what it writes: no pickled weights, no bars, no tensorboard.

    Args:
        settings: of its loop.
        config: of its losses.
        teacher, student: as it calls them; of several teachers a list.
        terms: adaptors, and the projections that the optimizer has already.
        watch: is told of the losses.
    """

    def __init__(
        self,
        settings: Any,
        config: Any,
        teacher: TeacherSide | list[TeacherSide],
        student: StudentSide,
        terms: Terms,
        watch: Watch,
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


class General(Basic, GeneralDistiller):
    """The same for its distiller of inner states, and of labels alone."""


class MultiTeacher(Basic, MultiTeacherDistiller):
    """The same for its distiller of several teachers, which compares predictions with the mean of theirs."""


def _distiller(objective: TaskObjective, terms: Terms, teachers: int) -> type[Basic]:
    """Which of its distillers has a stage's losses."""
    if objective.inner is not None or "unweighted_kd_loss" not in terms.names:
        return General
    return MultiTeacher if teachers > 1 else Basic


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


def _optimizer(arguments: Any, objective: TaskObjective) -> torch.optim.Optimizer:
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
    if objective.inner is not None:
        own_settings(optimizer, objective.inner.specs, objective.inner.projections)
    return optimizer
