"""transformers.Trainer with our objective, sampler, dev metric, collapse guard and trusted checkpoints."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainingArguments

from ..data.collate import Collator
from ..data.sampler import LengthBucketSampler
from ..data.tokens import TokenizedSentences
from ..errors import GateError
from ..evaluate.agreement import quick_agreement
from .checkpoints import seal
from .log import StepLog
from .objective import EmbeddingObjective

Gather = Callable[[np.ndarray], np.ndarray]
"""Row numbers [k] -> teacher embeddings float32 [k, d_T]."""

COLLAPSE_SHARE = 0.05
"""Stop when the student's similarities spread less than this share of the teacher's."""


class DistillTrainer(Trainer):
    """Trains one stage.

    Args:
        objective: student, bridge and losses.
        arguments: of transformers.
        sentences: tokenised training sentences.
        collator: pads a batch; leaves the row numbers in `row`.
        teacher_rows: gives the teacher's embeddings of training rows.
        dev: tokenised dev sentences and the teacher's embeddings of them [n, d_T].
        dev_metric: extra dev metrics of the student, or None.
        select_by: the dev metric that chooses the checkpoint.
        log_path: log.jsonl.
        stage: name of the stage.
        resume_step: the step this training goes on from; later log lines are dropped.
    """

    def __init__(
        self,
        objective: EmbeddingObjective,
        arguments: TrainingArguments,
        *,
        sentences: TokenizedSentences,
        collator: Collator,
        teacher_rows: Gather,
        dev: tuple[TokenizedSentences, np.ndarray],
        dev_metric: Callable[[], dict[str, float]] | None,
        select_by: str,
        log_path: Path,
        stage: str,
        resume_step: int = 0,
        callbacks: list[TrainerCallback] | None = None,
    ) -> None:
        self.teacher_rows = teacher_rows
        self.pad = collator
        self.dev_sentences, self.dev_teacher = dev
        self.dev_metric = dev_metric
        self.select_by = select_by
        self.steps_log = StepLog(log_path, stage, resume_step)
        self.part_sums: dict[str, Tensor] = {}
        self.parts_since = resume_step
        super().__init__(
            model=objective,
            args=arguments,
            train_dataset=sentences,
            eval_dataset=dev[0],
            data_collator=self._collate,
            callbacks=callbacks,
        )
        # The objective takes any feature by name, which transformers would read as "scales its own loss".
        self.model_accepts_loss_kwargs = False
        # The default printer would repeat log.jsonl on stdout.
        from transformers import PrinterCallback, ProgressCallback

        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)

    def _collate(self, items: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Pad a batch and add what the teacher says of its sentences."""
        batch = self.pad(items)
        batch["teacher_embedding"] = torch.from_numpy(self.teacher_rows(batch["row"].numpy()))
        return batch

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler[int]:
        """Length-bucketed, shuffled by (seed, epoch): a resumed epoch sees the batches it would have seen."""
        sentences = train_dataset if train_dataset is not None else self.train_dataset
        batch = self.args.train_batch_size * self.args.world_size
        return LengthBucketSampler(sentences.lengths, batch, self.args.seed)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The objective's loss; its parts are summed for the next log line."""
        rows = inputs.pop("row")
        outputs = model(**inputs)
        if not torch.isfinite(outputs["loss"]):
            raise GateError(
                "the loss is not a finite number",
                where=f"training stage '{self.steps_log.stage}', step {self.state.global_step}",
                got={name: float(value) for name, value in outputs.items()},
                hint=f"look at training rows {rows.tolist()[:16]}; a lower learning_rate or precision fp32 usually mends it",
            )
        share = 1 / max(1, getattr(self, "current_gradient_accumulation_steps", 1))
        for name, value in outputs.items():
            if name != "loss":
                self.part_sums[name] = self.part_sums.get(name, torch.zeros_like(value)) + value * share
        return (outputs["loss"], outputs) if return_outputs else outputs["loss"]

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Dev metrics, prefixed `eval_`.

        Raises:
            GateError: the student has collapsed: it finds every pair of sentences equally similar.
        """
        found = quick_agreement(self.embed_dev(), self.dev_teacher)
        if self.dev_metric is not None:
            found |= self.dev_metric()
        spread, teacher_spread = found.pop("similarity_spread"), found.pop("teacher_spread")
        value = found[self.select_by]
        if not np.isfinite(value) or spread < COLLAPSE_SHARE * teacher_spread:
            raise GateError(
                "the student has collapsed: all its similarities are alike",
                where=f"training stage '{self.steps_log.stage}', step {self.state.global_step}",
                got=f"similarities spread by {spread:.2g}, the teacher's by {teacher_spread:.2g}, {self.select_by} {value:.3f}",
                expected=f"a spread above {COLLAPSE_SHARE:.0%} of the teacher's",
                hint="lower learning_rate, add similarity_matrix to the losses, or check that the training text is varied",
            )
        metrics = {f"eval_{name}": value for name, value in found.items() if np.isfinite(value)}
        self.log(dict(metrics))
        control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self.control: TrainerControl = control
        return metrics

    def embed_dev(self) -> np.ndarray:
        """The student's embeddings of the dev sentences [n, d_S], in eval mode, without gradient."""
        objective: EmbeddingObjective = self.accelerator.unwrap_model(self.model)
        order = np.argsort(self.dev_sentences.lengths, kind="stable")
        result: np.ndarray | None = None
        with _evaluating(objective), self.compute_loss_context_manager():
            for start in range(0, len(order), 64):
                rows = order[start : start + 64]
                batch = self.pad([self.dev_sentences[int(row)] for row in rows])
                batch.pop("row")
                values = objective.embed({k: v.to(self.args.device) for k, v in batch.items()}).cpu().numpy()
                if result is None:
                    result = np.empty((len(order), values.shape[1]), np.float32)
                result[rows] = values
        assert result is not None, "dev has at least two sentences"
        return result

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Write the line to log.jsonl with every loss part, then hand it to the trackers."""
        step = self.state.global_step
        if any(key.startswith("eval_") for key in logs):
            self.steps_log.write(step=step, epoch=self.state.epoch, dev={k.removeprefix("eval_"): v for k, v in logs.items()})
        elif "loss" in logs:
            steps = max(1, step - self.parts_since)
            norm = logs.get("grad_norm")
            parts = {name: float(value) / steps for name, value in self.part_sums.items()}
            self.part_sums, self.parts_since = {}, step
            logs = {**logs, **{f"loss_{name}": value for name, value in parts.items()}}
            self.steps_log.write(
                step=step,
                epoch=self.state.epoch,
                loss=logs["loss"],
                losses=parts,
                learning_rate=logs.get("learning_rate"),
                grad_norm=norm if norm is not None and np.isfinite(norm) else None,  # one that overflowed is not JSON
            )
        super().log(logs, start_time)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        """Save, then seal: a checkpoint without its seal is not resumed from."""
        super()._save_checkpoint(model, trial)
        if self.args.should_save:
            seal(Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}")

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        """Weights as safetensors; the pickled arguments that transformers adds are not kept: nothing here reads them."""
        super()._save(output_dir, state_dict)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(Path(output_dir or self.args.output_dir) / "training_args.bin")


@contextlib.contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Eval mode and no gradient for the block; the mode before comes back."""
    was = module.training
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        module.train(was)


class StageCallback(TrainerCallback):
    """Ticks the progress bar, says each dev result, and judges and saves the last step whatever the rhythm.

    Args:
        tick: called once per optimizer step.
        say: prints one line.
        select_by: the dev metric to say.
    """

    def __init__(self, tick: Callable[[], None], say: Callable[[str], None], select_by: str) -> None:
        self.tick = tick
        self.say = say
        self.select_by = select_by
        self.loss = float("nan")

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """One optimizer step is done."""
        self.tick()
        if state.global_step >= state.max_steps:
            control.should_evaluate = control.should_save = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Remember the newest loss."""
        self.loss = (logs or {}).get("loss", self.loss)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Say the dev metric."""
        value = (metrics or {}).get(f"eval_{self.select_by}", float("nan"))
        self.say(f"  step {state.global_step} of {state.max_steps}: loss {self.loss:.4f}, dev {self.select_by} {value:.4f}")
