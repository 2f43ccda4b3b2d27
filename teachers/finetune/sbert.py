"""Train a sentence encoder stage by stage (continue learning); each stage resumes where it was cut off."""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import safetensors.torch
import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainingArguments
from sentence_transformers.base.training_args import BatchSamplers
from transformers import set_seed

from distill.errors import ModelError
from distill.files import atomic_folder, disk_errors, read_json, write_json
from teachers.spec import SentenceFinetuneSpec, SentenceStage

from .batches import LengthBatches
from .objectives import RANKING, Arranged, make_loss
from .pooling import freeze_constants, pooling_name
from .trainer import DEV, WEIGHTS, DevScore, Log, StageTrainer, Watch

LOG_LINES = 200
"""About how many lines a stage writes to its log."""
LAYER_RATE = 1e-2
"""Learning rate of the weights of the last four layers, which start at 1: the encoder's rate would not move them."""


class Checkpoints(Protocol):
    """Which folders of a training may be trusted."""

    def seal(self, folder: Path) -> None:
        """Mark a folder as whole."""

    def is_whole(self, folder: Path) -> bool:
        """Whether a folder has its mark, and its files agree with it."""

    def newest_whole(self, work: Path) -> Path | None:
        """The last `checkpoint-<step>` in `work` that is whole."""


class Bar(Protocol):
    """A progress bar."""

    def tick(self) -> None:
        """One more step is done."""

    def close(self) -> None:
        """Take the bar away."""


@dataclass(frozen=True)
class Surroundings:
    """What a training needs of the place where it runs.

    Attributes:
        work: folder for checkpoints; what is whole there is used, the rest is redone.
        checkpoints: tells what is whole.
        log: stage, step it goes on from -> its log.
        bar: steps to come, stage -> a progress bar.
        say: prints one line.
        dev: the dev metric of the model as it is, higher is better; None keeps the last step of a stage.
        after: called when a stage is done, the model with its best weights; its facts are kept with the stage's.
    """

    work: Path
    checkpoints: Checkpoints
    log: Callable[[str, int], Log]
    bar: Callable[[int, str], Bar]
    say: Callable[[str], None]
    dev: Callable[[], float] | None = None
    after: Callable[[], dict[str, Any]] = dict


def finetune_encoder(
    model: SentenceTransformer,
    spec: SentenceFinetuneSpec,
    rows: Mapping[str, Arranged],
    around: Surroundings,
    *,
    precision: Literal["fp32", "bf16"],
    prompt: str = "",
    seed: int = 42,
) -> list[dict[str, Any]]:
    """Train every stage, one after the other, in place, with the model's own dropout; weights stay fp32.

    Args:
        model: fp32, its pooling chosen; in eval mode afterwards.
        spec: the stages.
        rows: stage -> its rows, arranged for its objective.
        around: folder, log, dev metric, progress.
        precision: numbers inside matrix products.
        prompt: text put before every sentence.
        seed: of batches, dropout and new weights.

    Returns:
        A stage's facts: {name, objective, rows, steps, planned_steps, epochs, seconds, best_step, best_value, last_loss,
        resumed_at, ...} and what `around.after` gave. `best_value` is None without a dev metric.

    Raises:
        GateError: the loss is not finite, or the similarities are all alike.
        ModelError: the model is not fp32, or an objective does not fit it.
    """
    wrong = {str(weight.dtype) for weight in model.parameters() if weight.dtype != torch.float32}
    if wrong:
        raise ModelError("a teacher is trained in fp32", got=", ".join(sorted(wrong)), hint="load it with dtype float32")
    for name in ("transformers.trainer", "transformers.trainer_utils"):  # they speak of their own checkpoints
        logging.getLogger(name).setLevel(logging.ERROR)
    model.requires_grad_(True)
    freeze_constants(model)
    if spec.freeze_embeddings:
        assert model.transformers_model is not None, "a model with a pooling of tokens has a transformer"
        model.transformers_model.get_input_embeddings().requires_grad_(False)
    facts = []
    for stage in spec.stages:
        set_seed(seed)
        folder = around.work / stage.name
        final = folder / "final"
        if around.checkpoints.is_whole(final):
            safetensors.torch.load_model(model, str(final / WEIGHTS))
            facts.append(read_json(final / "facts.json"))
            around.say(f"teacher: stage '{stage.name}' is done already")
            continue
        with disk_errors(folder):
            found = _train(model, stage, spec, rows[stage.name], around, folder, precision, prompt, seed)
        model.eval()
        facts.append({**found, **around.after()})
        with atomic_folder(final) as new:
            safetensors.torch.save_model(model, str(new / WEIGHTS))
            write_json(new / "facts.json", facts[-1])
            around.checkpoints.seal(new)
        for checkpoint in folder.glob("checkpoint-*"):
            shutil.rmtree(checkpoint, ignore_errors=True)
    model.requires_grad_(True)
    model.eval()
    return facts


def _train(
    model: SentenceTransformer,
    stage: SentenceStage,
    spec: SentenceFinetuneSpec,
    rows: Arranged,
    around: Surroundings,
    folder: Path,
    precision: str,
    prompt: str,
    seed: int,
) -> dict[str, Any]:
    """One stage, from its newest whole checkpoint if there is one; leaves the best weights in the model."""
    per_epoch = math.ceil(len(rows) / stage.batch_size)
    steps = stage.max_steps or max(1, round(per_epoch * stage.epochs))
    every = max(1, min(steps, round(spec.evaluate_every * per_epoch)))
    folder.mkdir(parents=True, exist_ok=True)
    resume = around.checkpoints.newest_whole(folder)
    began = int(resume.name.rsplit("-", 1)[1]) if resume else 0
    if resume:
        around.say(f"teacher: stage '{stage.name}' goes on at step {began} of {steps}")
    where = f"teacher stage '{stage.name}'"
    loss = make_loss(stage, model, rows.labels)
    bar = around.bar(steps - began, f"teacher {stage.name}")
    start = time.perf_counter()
    dev = None if around.dev is None else DevScore(around.dev, where)
    trainer = StageTrainer(
        log=around.log(stage.name, began),
        seal=around.checkpoints.seal,
        where=where,
        model=model,
        loss=loss,
        args=_arguments(model, stage, folder, steps, every, precision, prompt, seed, judged=dev is not None),
        train_dataset=Dataset.from_dict(rows.columns),
        evaluator=dev,
        callbacks=[Watch(bar.tick, around.say, dev is not None)],
    )
    try:
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    finally:
        bar.close()
    state = trainer.state
    losses = [line["loss"] for line in state.log_history if "loss" in line]
    return {
        "name": stage.name,
        "objective": stage.objective,
        "pooling": pooling_name(model),
        "rows": len(rows),
        **rows.counts,
        **({"labels": list(rows.labels)} if rows.labels else {}),
        "precision": precision,
        "steps": state.global_step,
        "planned_steps": steps,
        "epochs": round(state.global_step / per_epoch, 3),
        "seconds": round(time.perf_counter() - start, 2),
        "resumed_at": began or None,
        "best_step": state.best_global_step if dev is not None else None,
        "best_value": state.best_metric if dev is not None else None,
        "select_by": DEV if dev is not None else None,
        "last_loss": losses[-1] if losses else None,
    }


def _arguments(
    model: SentenceTransformer,
    stage: SentenceStage,
    folder: Path,
    steps: int,
    every: int,
    precision: str,
    prompt: str,
    seed: int,
    judged: bool,
) -> SentenceTransformerTrainingArguments:
    """The settings of the library's trainer for one stage."""
    rhythm: dict[str, Any] = {"eval_strategy": "no", "save_strategy": "steps", "save_steps": every, "save_total_limit": 2}
    if judged:
        rhythm |= {
            "eval_strategy": "steps",
            "eval_steps": every,
            "load_best_model_at_end": True,
            "metric_for_best_model": f"eval_{DEV}",
            "greater_is_better": True,
        }
    weighted = pooling_name(model) == "last4_weighted"
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=stage.batch_size,
        max_steps=steps,
        learning_rate=stage.learning_rate,
        learning_rate_mapping={"layer_weights": LAYER_RATE} if weighted else {},
        warmup_steps=max(1, math.ceil(steps * stage.warmup)) if stage.warmup else 0,
        weight_decay=stage.weight_decay,
        batch_sampler=BatchSamplers.NO_DUPLICATES if stage.objective in RANKING else LengthBatches,
        prompts=prompt or None,
        seed=seed,
        data_seed=seed,
        bf16=precision == "bf16",
        use_cpu=not torch.cuda.is_available(),
        logging_steps=max(1, min(every, steps // LOG_LINES)),
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        average_tokens_across_devices=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        **rhythm,
    )
