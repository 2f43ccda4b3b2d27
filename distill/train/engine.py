"""Run the stages of a recipe through the trainer, one after the other; each resumes where it was cut off."""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from transformers import EarlyStoppingCallback, TrainerState, TrainingArguments, set_seed

from students.build import Student

from ..data.collate import Collator
from ..data.tokens import TokenizedSentences
from ..errors import UserError
from ..files import atomic_folder, disk_errors, read_json, write_json
from ..progress import Ticks, note
from ..recipe import Recipe, StageSpec
from .checkpoints import STATE, is_whole, newest_whole, seal, step_of
from .objective import EmbeddingObjective, set_dropout
from .precision import choose_precision
from .trainer import DistillTrainer, Gather, StageCallback

LOG_LINES = 200
"""About how many lines a stage writes to log.jsonl."""


@dataclass(frozen=True)
class TrainingData:
    """What every stage trains on and is judged by.

    Attributes:
        train, dev: sentences, the prompt in front.
        teacher_rows: teacher embeddings of training rows.
        teacher_dev: teacher embeddings of the dev sentences, float32 [n, d_T].
        dev_metric: further dev metrics of the student as it is, or None.
    """

    train: Sequence[str]
    dev: Sequence[str]
    teacher_rows: Gather
    teacher_dev: np.ndarray
    dev_metric: Callable[[], dict[str, float]] | None = None


def train_student(
    recipe: Recipe,
    student: Student,
    data: TrainingData,
    *,
    teacher_normalizes: bool,
    work: Path,
    log: Path,
    start: TrainingData | None = None,
    start_normalizes: bool = False,
    before_teacher: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Train the student in place through every stage of the recipe.

    Args:
        recipe: resolved but for `train.precision`, which may still be `auto`.
        student: from `students.build_student`; holds the best weights afterwards.
        data: sentences and teacher embeddings.
        teacher_normalizes: whether those have length 1.
        work: folder for checkpoints; what is whole there is used, the rest is redone.
        log: log.jsonl.
        start: sentences and the start model's embeddings, for stages toward it.
        start_normalizes: whether those have length 1.
        before_teacher: called when stages toward the start model are done, before the first toward the teacher.

    Returns:
        Facts: {"precision", "stages": [{name, steps, epochs, seconds, best_step, best_value, select_by, stopped}]}.

    Raises:
        UserError: `select_by` is a cosine to the teacher, and the student's vectors have another width.
        GateError: the loss is not finite or the student collapsed.
    """
    if recipe.train.select_by == "agreement_cosine" and student.dim != data.teacher_dev.shape[1]:
        raise UserError(
            "the student's vectors have another width than the teacher's, so there is no cosine between them",
            where="train.select_by",
            got=f"agreement_cosine, widths {student.dim} and {data.teacher_dev.shape[1]}",
            expected="agreement_spearman, or student.projection keep",
        )
    for name in ("transformers.trainer", "transformers.trainer_utils"):  # they speak of their own checkpoints
        logging.getLogger(name).setLevel(logging.ERROR)
    tokenizer = student.model.tokenizer
    length = int(student.model.max_seq_length)
    train = TokenizedSentences(data.train, tokenizer, length)
    dev = TokenizedSentences(data.dev, tokenizer, length)
    collator = Collator(tokenizer.pad_token_id, "token_type_ids" in tokenizer.model_input_names)
    facts: list[dict[str, Any]] = []
    precision: str = recipe.train.precision
    if recipe.train.dropout is not None:
        set_dropout(student.model, recipe.train.dropout)
    for stage in recipe.stages:
        set_seed(recipe.seed)
        goal = data
        if stage.toward == "start":
            assert start is not None, "the pipeline gives the start model's embeddings where a stage asks for them"
            goal = start
            below = student.below_bridge(normalize=start_normalizes)
            objective = EmbeddingObjective(below, None, stage.losses, teacher_normalizes=start_normalizes)
        else:
            if before_teacher is not None:
                before_teacher()
                before_teacher = None
            objective = EmbeddingObjective(student.model, student.bridge, stage.losses, teacher_normalizes=teacher_normalizes)
        folder = work / stage.name
        final = folder / "final"
        if is_whole(final):
            objective.load_state_dict(safetensors.torch.load_file(final / "model.safetensors"))
            facts.append(read_json(final / "facts.json"))
            precision = facts[-1]["precision"]
            note(f"training: stage '{stage.name}' is done already")
            continue
        if precision == "auto":
            rows = range(min(stage.batch_size, len(train)))
            batch = collator([train[row] for row in rows])
            batch["teacher_embedding"] = torch.from_numpy(goal.teacher_rows(batch.pop("row").numpy()))
            precision = _remember(folder / "precision.json", objective, batch)
        with disk_errors(folder):
            facts.append(
                _run_stage(
                    recipe,
                    stage,
                    precision,
                    objective,
                    train=train,
                    dev=dev,
                    data=goal,
                    collator=collator,
                    folder=folder,
                    log=log,
                )
            )
        with atomic_folder(final) as new:
            safetensors.torch.save_file(objective.state_dict(), new / "model.safetensors")
            write_json(new / "facts.json", facts[-1])
            seal(new)
        for checkpoint in folder.glob("checkpoint-*"):
            shutil.rmtree(checkpoint, ignore_errors=True)
    student.model.eval()
    return {"precision": precision, "stages": facts}


def _run_stage(
    recipe: Recipe,
    stage: StageSpec,
    precision: str,
    objective: EmbeddingObjective,
    *,
    train: TokenizedSentences,
    dev: TokenizedSentences,
    data: TrainingData,
    collator: Collator,
    folder: Path,
    log: Path,
) -> dict[str, Any]:
    """Train one stage, from its newest whole checkpoint if there is one, and leave the best weights in the objective."""
    spec, select_by = recipe.train, _select_by(recipe, stage)
    per_epoch = math.ceil(len(train) / stage.batch_size / spec.gradient_accumulation)
    steps = stage.max_steps or max(1, round(per_epoch * stage.epochs))
    every = max(1, min(steps, round(spec.evaluate_every * per_epoch) if spec.evaluate_every <= 1 else round(spec.evaluate_every)))
    folder.mkdir(parents=True, exist_ok=True)
    resume = newest_whole(folder)
    began = step_of(resume) if resume else 0
    state = _ended(resume, steps, spec.patience) if resume else None
    start = time.perf_counter()
    if state is not None:
        best = safetensors.torch.load_file(folder / f"checkpoint-{state.best_global_step}" / "model.safetensors")
        objective.load_state_dict(best)
    else:
        if resume:
            note(f"training: stage '{stage.name}' goes on at step {began} of {steps}")
        title = f"training {stage.name}" if len(recipe.stages) > 1 else "training"
        bar = Ticks(steps - began, title, "steps")
        callbacks: list[Any] = [StageCallback(bar.tick, note, select_by)]
        if spec.patience is not None:
            callbacks.append(EarlyStoppingCallback(early_stopping_patience=spec.patience))
        trainer = DistillTrainer(
            objective,
            _arguments(recipe, stage, precision, folder, steps, every),
            sentences=train,
            collator=collator,
            teacher_rows=data.teacher_rows,
            dev=(dev, data.teacher_dev),
            dev_metric=data.dev_metric,
            select_by=select_by,
            log_path=log,
            stage=stage.name,
            resume_step=began,
            callbacks=callbacks,
        )
        try:
            trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        finally:
            bar.close()
        state = trainer.state
    return {
        "name": stage.name,
        "precision": precision,
        "steps": state.global_step,
        "planned_steps": steps,
        "epochs": round(state.global_step / per_epoch, 3),
        "seconds": round(time.perf_counter() - start, 2),
        "resumed_at": began or None,
        "best_step": state.best_global_step,
        "best_value": state.best_metric,
        "select_by": select_by,
        "stopped": "early" if state.global_step < steps else "planned end",
    }


def _select_by(recipe: Recipe, stage: StageSpec) -> str:
    """The dev metric that chooses a stage's checkpoint.

    Labelled pairs judge the finished student; on the way to the start model its bridge is not there yet.
    """
    labelled = recipe.train.select_by == "sts_spearman"
    return "agreement_spearman" if stage.toward == "start" and labelled else recipe.train.select_by


def _arguments(recipe: Recipe, stage: StageSpec, precision: str, folder: Path, steps: int, every: int) -> TrainingArguments:
    """The settings of transformers for one stage: `steps` optimizer steps, evaluated and saved after every `every`."""
    spec = recipe.train
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=stage.batch_size,
        gradient_accumulation_steps=spec.gradient_accumulation,
        max_steps=steps,
        learning_rate=stage.learning_rate,
        warmup_steps=max(1, math.ceil(steps * stage.warmup)) if stage.warmup else 0,
        lr_scheduler_type="constant_with_warmup" if stage.schedule == "constant" else stage.schedule,
        weight_decay=spec.weight_decay,
        max_grad_norm=spec.max_grad_norm,
        seed=recipe.seed,
        data_seed=recipe.seed,
        bf16=precision == "bf16",
        use_cpu=not torch.cuda.is_available(),
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model=f"eval_{_select_by(recipe, stage)}",
        greater_is_better=True,
        logging_steps=max(1, min(every, steps // LOG_LINES)),
        logging_nan_inf_filter=False,
        report_to=list(spec.report_to) or "none",
        run_name=recipe.name,
        disable_tqdm=True,
        remove_unused_columns=False,
        average_tokens_across_devices=False,
        restore_callback_states_from_checkpoint=True,
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def _ended(checkpoint: Path, steps: int, patience: int | None) -> TrainerState | None:
    """The trainer's state in a checkpoint after which nothing was left to train, or None where something is."""
    state = TrainerState.load_from_json(str(checkpoint / STATE))
    stopper = state.stateful_callbacks.get("EarlyStoppingCallback", {})
    waited = stopper.get("attributes", {}).get("early_stopping_patience_counter", 0)
    return state if state.global_step >= steps or (patience is not None and waited >= patience) else None


def _remember(path: Path, objective: EmbeddingObjective, batch: Mapping[str, torch.Tensor]) -> str:
    """The precision chosen by trial, the same one again after an interruption."""
    if path.exists():
        return str(read_json(path)["precision"])
    objective.train()
    device = next(objective.parameters()).device
    precision, words = choose_precision(objective, {name: value.to(device) for name, value in batch.items()})
    write_json(path, {"precision": precision, "measured": words})
    note(f"training: {precision}, since {words}")
    return precision
