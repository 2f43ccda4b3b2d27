"""Run stages through the trainer, one after the other; each resumes where it was cut off."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import safetensors.torch
import torch
from transformers import EarlyStoppingCallback, TrainerState, set_seed

from teachers.device import own_device

from ..data.sampler import GroupDraw
from ..files import atomic_folder, disk_errors, read_json, remembered, write_json
from ..processes import first, meet, world
from ..progress import TrainingView, note
from ..recipe import Recipe
from ..recipe_stages import StageSpec
from ..stopping import finishing_step
from .arguments import LOWER_IS_BETTER, Length, stage_length, token_batches, trainer_arguments
from .checkpoints import STATE, is_whole, newest_whole, seal, step_of
from .compiling import compile_stage, trial_batches
from .judges import Judge
from .memory import stage_memory, tell_memory
from .objective import Objective
from .precision import choose_precision
from .states import load_state, state_of
from .trainer import Collate, DistillTrainer, Rows, StageCallback


@dataclass(frozen=True)
class StagePlan:
    """What one stage trains.

    Attributes:
        objective: student and losses; holds the best weights afterwards.
        rows: training examples.
        collate: makes a batch of them.
        judge: gives the dev metrics.
        select_by: the dev metric that chooses the checkpoint.
        draw: which rows an epoch holds; None takes each once.
        states: what the teacher's stored inner states take on disk; None where none are stored.
    """

    objective: Objective
    rows: Rows
    collate: Collate
    judge: Judge
    select_by: str
    draw: GroupDraw | None = None
    states: dict[str, int] | None = None


class Run(Protocol):
    """Trains one stage and leaves the best weights in the plan's objective."""

    def __call__(
        self, recipe: Recipe, stage: StageSpec, precision: str, plan: StagePlan, *, folder: Path, log: Path
    ) -> dict[str, Any]:
        """The stage's facts."""


def stage_facts(
    stage: StageSpec,
    plan: StagePlan,
    length: Length,
    *,
    precision: str,
    steps: int,
    seconds: float,
    best: tuple[int | None, float | None],
    resumed_at: int | None = None,
    compiled: bool = False,
) -> dict[str, Any]:
    """What is told of a stage that was trained: `steps` of them done in `seconds`, the best one and its dev metric."""
    inner = getattr(plan.objective, "inner", None)
    return {
        "name": stage.name,
        "precision": precision,
        "steps": steps,
        "planned_steps": length.steps,
        "epochs": round(steps / length.per_epoch, 3),
        "seconds": round(seconds, 2),
        "resumed_at": resumed_at,
        "best_step": best[0],
        "best_value": best[1],
        "select_by": plan.select_by,
        "layer_map": [list(pair) for pair in inner.matched] if inner is not None and inner.matched else None,
        "stored_states": plan.states,
        "compiled": compiled,
        "stopped": "early" if steps < length.steps else "planned end",
    }


def train_stages(
    recipe: Recipe,
    plan: Callable[[StageSpec], StagePlan],
    *,
    work: Path,
    log: Path,
    run: Run | None = None,
) -> dict[str, Any]:
    """Run every stage of a recipe.

    Args:
        recipe: resolved but for `train.precision`, which may still be `auto`.
        plan: makes a stage's plan when its turn comes, the seed just set; a stage that is done already gets its weights.
        work: folder for checkpoints; what is whole there is used, the rest is redone.
        log: log.jsonl.
        run: trains one stage; None takes transformers' Trainer.

    Returns:
        Facts: {"precision", "compile", "stages": [{name, steps, epochs, seconds, best_step, best_value, select_by, stopped,
        compiled}]}.

    Raises:
        GateError: the loss is not finite or the student collapsed.
    """
    for name in ("transformers.trainer", "transformers.trainer_utils"):  # they speak of their own checkpoints
        logging.getLogger(name).setLevel(logging.ERROR)
    facts: list[dict[str, Any]] = []
    precision: str = recipe.train.precision
    for stage in recipe.stages:
        set_seed(recipe.seed)
        folder = work / stage.name
        final = folder / "final"
        made = plan(stage)
        made.objective.to(own_device())  # what is tried before the first step is tried where the steps are taken
        try:
            if first(partial(is_whole, final)):
                load_state(made.objective, safetensors.torch.load_file(final / "model.safetensors"))
                facts.append(read_json(final / "facts.json"))
                precision = facts[-1]["precision"]
                note(f"training: stage '{stage.name}' is done already")
            else:
                if precision == "auto":
                    batch = made.collate([made.rows[row] for row in range(min(stage.batch_size, len(made.rows)))])
                    batch.pop("row")
                    precision = first(partial(_remember, folder / "precision.json", made.objective, batch))
                with disk_errors(folder):
                    facts.append((run or _run_stage)(recipe, stage, precision, made, folder=folder, log=log))
                meet()  # no process reads the checkpoints any more
                first(partial(_finish, made.objective, facts[-1], folder))
        finally:
            made.objective.close()
    return {"precision": precision, "compile": _compiled(recipe, facts), "stages": facts}


def _compiled(recipe: Recipe, facts: list[dict[str, Any]]) -> str | bool:
    """`train.compile` as it was resolved: what every stage has; `auto` where they chose differently."""
    found = {bool(stage.get("compiled", False)) for stage in facts}
    return recipe.train.compile if len(found) > 1 else found.pop()


def _finish(objective: Objective, facts: dict[str, Any], folder: Path) -> None:
    """Write a stage's weights and facts, and drop its checkpoints."""
    with atomic_folder(folder / "final") as new:
        safetensors.torch.save_file(state_of(objective), new / "model.safetensors")
        write_json(new / "facts.json", facts)
        seal(new)
    for checkpoint in folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint, ignore_errors=True)


def _run_stage(recipe: Recipe, stage: StageSpec, precision: str, plan: StagePlan, *, folder: Path, log: Path) -> dict[str, Any]:
    """Train one stage, from its newest whole checkpoint if there is one, and leave the best weights in the objective."""
    spec = recipe.train
    batches = token_batches(recipe, stage, plan.rows)
    length = stage_length(recipe, stage, len(plan.rows if plan.draw is None else plan.draw), batches)
    steps = length.steps
    folder.mkdir(parents=True, exist_ok=True)
    found = first(lambda: str(newest_whole(folder) or ""))
    resume = Path(found) if found else None
    began = step_of(resume) if resume else 0
    state = _ended(resume, steps, spec.patience) if resume else None
    start = time.perf_counter()
    if state is not None:
        best = safetensors.torch.load_file(folder / f"checkpoint-{state.best_global_step}" / "model.safetensors")
        load_state(plan.objective, best)
    else:
        if resume:
            note(f"training: stage '{stage.name}' goes on at step {began} of {steps}")
        size = stage.batch_size if batches is None else batches.rows_of_longest
        compiled = compile_stage(
            spec.compile,
            plan.objective,
            partial(trial_batches, plan.rows, plan.collate, stage.batch_size, batches),
            name=stage.name,
            steps=steps * spec.gradient_accumulation,
            bf16=precision == "bf16",
            path=folder / "compile.json",
        )
        with compiled if compiled is not None else contextlib.nullcontext():
            wide, together = precision == "bf16", spec.gradient_accumulation
            share = max(1, size // world())  # of a step's rows, this process's
            memory = stage_memory(plan.objective, plan.rows, plan.collate, share, bf16=wide, accumulation=together)
            tell_memory(memory, stage.name, share)
            title = f"training {stage.name}" if len(recipe.stages) > 1 else "training"
            view = TrainingView(steps, title, plan.select_by, done=began, lower_is_better=plan.select_by in LOWER_IS_BETTER)
            callbacks: list[Any] = [StageCallback(view, plan.select_by)]
            if spec.patience is not None:
                callbacks.append(EarlyStoppingCallback(early_stopping_patience=spec.patience))
            trainer = DistillTrainer(
                plan.objective,
                trainer_arguments(recipe, stage, precision, folder, length, plan.select_by),
                rows=plan.rows,
                collate=plan.collate,
                judge=plan.judge,
                draw=plan.draw,
                batches=batches,
                log_path=log,
                stage=stage.name,
                resume=resume,
                callbacks=callbacks,
            )
            try:
                with finishing_step():
                    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
            finally:
                view.close()
        state = trainer.state
    chosen = folder / "compile.json"
    return stage_facts(
        stage,
        plan,
        length,
        precision=precision,
        steps=state.global_step,
        seconds=time.perf_counter() - start,
        best=(state.best_global_step, state.best_metric),
        resumed_at=began or None,
        compiled=chosen.exists() and bool(read_json(chosen)["value"]),
    )


def _ended(checkpoint: Path, steps: int, patience: int | None) -> TrainerState | None:
    """The trainer's state in a checkpoint after which nothing was left to train, or None where something is."""
    state = TrainerState.load_from_json(str(checkpoint / STATE))
    stopper = state.stateful_callbacks.get("EarlyStoppingCallback", {})
    waited = stopper.get("attributes", {}).get("early_stopping_patience_counter", 0)
    return state if state.global_step >= steps or (patience is not None and waited >= patience) else None


def _remember(path: Path, objective: Objective, batch: Mapping[str, torch.Tensor]) -> str:
    """The precision chosen by trial, the same one again after an interruption."""

    def choose() -> str:
        objective.train()
        device = _device(objective.parameters())
        precision, words = choose_precision(objective, {name: value.to(device) for name, value in batch.items()})
        note(f"training: {precision}, since {words}")
        return precision

    return remembered(path, choose)


def _device(weights: Iterable[torch.nn.Parameter]) -> torch.device:
    """Where a model's first weight lies."""
    return next(iter(weights)).device
