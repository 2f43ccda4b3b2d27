"""How long a stage is, and what transformers is told of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import TrainingArguments

from ..data.sampler import TokenBudgetBatches
from ..errors import UserError
from ..processes import world
from ..progress import note
from ..recipe import Recipe
from ..recipe_stages import StageSpec
from .trainer import Rows

LOG_LINES = 200
"""About how many lines a stage writes to log.jsonl."""

LOWER_IS_BETTER = frozenset({"loss"})


@dataclass(frozen=True)
class Length:
    """How long a stage is, in optimizer steps.

    Attributes:
        per_epoch: steps of one pass over the rows.
        steps: all of them.
        every: the student is judged after so many, and at the end.
    """

    per_epoch: int
    steps: int
    every: int


def stage_length(recipe: Recipe, stage: StageSpec, rows: int, batches: TokenBudgetBatches | None = None) -> Length:
    """The length of a stage over so many rows, or over batches of so many tokens."""
    spec = recipe.train
    per_epoch = math.ceil((rows / stage.batch_size if batches is None else len(batches)) / spec.gradient_accumulation)
    steps = stage.max_steps or max(1, round(per_epoch * stage.epochs))
    every = round(spec.evaluate_every * per_epoch) if spec.evaluate_every <= 1 else round(spec.evaluate_every)
    return Length(per_epoch, steps, max(1, min(steps, every)))


def token_batches(recipe: Recipe, stage: StageSpec, rows: Rows) -> TokenBudgetBatches | None:
    """Batches of so many tokens, where a stage asks for them.

    Raises:
        UserError: the longest rows do not fit.
    """
    if stage.batch_tokens is None:
        return None
    try:
        return TokenBudgetBatches(rows.lengths, stage.batch_tokens, stage.batch_size, recipe.seed)
    except ValueError as error:
        longest, step = int(max(rows.lengths)), TokenBudgetBatches.STEP
        raise UserError(
            "two of the longest rows are more tokens than a batch may have",
            where=f"stages.{stage.name}.batch_tokens",
            got=stage.batch_tokens,
            expected=f"at least {2 * (-(-longest // step) * step)}: the longest row has {longest}",
            hint="raise it, or lower max_length",
        ) from error


def trainer_arguments(
    recipe: Recipe, stage: StageSpec, precision: str, folder: Path, length: Length, select_by: str
) -> TrainingArguments:
    """The settings of transformers for one stage of that length."""
    spec, steps, every = recipe.train, length.steps, length.every
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=stage.batch_size // world(),
        gradient_accumulation_steps=spec.gradient_accumulation,
        max_steps=steps,
        learning_rate=stage.learning_rate,
        warmup_steps=max(1, math.ceil(steps * stage.warmup)) if stage.warmup else 0,
        lr_scheduler_type="constant_with_warmup" if stage.schedule == "constant" else stage.schedule,
        weight_decay=spec.weight_decay,
        max_grad_norm=spec.max_grad_norm or 0.0,  # 0 clips nothing
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
        metric_for_best_model=f"eval_{select_by}",
        greater_is_better=select_by not in LOWER_IS_BETTER,
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
    if arguments.n_gpu > 1:  # torch's DataParallel would run replicas that nothing listens to, each on a batch of its own
        note(f"training: {arguments.n_gpu} GPUs are visible and one is used; torchrun uses all of them (docs/scaling.md)")
        arguments._n_gpu = 1
    return arguments
