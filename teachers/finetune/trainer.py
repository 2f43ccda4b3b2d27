"""sentence-transformers' trainer with checkpoints of safetensors that hold the whole loss, and a log of ours."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import safetensors.torch
import torch
from sentence_transformers import SentenceTransformerTrainer
from sentence_transformers.base.evaluation import BaseEvaluator
from transformers import PrinterCallback, ProgressCallback, TrainerCallback

from distill.errors import GateError

DEV = "sts_spearman"
"""The dev metric that chooses a checkpoint."""
WEIGHTS = "model.safetensors"


class Log(Protocol):
    """A log of a stage's steps."""

    def write(self, **values: Any) -> None:
        """Append one line."""


class DevScore(BaseEvaluator):
    """The dev metric as the library's trainer asks for it.

    Args:
        score: gives it.
        where: stage, for errors.
    """

    def __init__(self, score: Callable[[], float], where: str) -> None:
        super().__init__()
        self.score, self.where = score, where
        self.primary_metric = DEV

    def __call__(self, model: Any, output_path: Any = None, epoch: float = -1, steps: int = -1) -> dict[str, float]:
        value = self.score()
        if not np.isfinite(value):
            raise GateError(
                "the teacher has collapsed: its similarities are all alike",
                where=f"{self.where}, step {steps}",
                hint="a lower learning_rate, or another objective",
            )
        return {DEV: value}


class StageTrainer(SentenceTransformerTrainer):
    """Trains one stage.

    A checkpoint holds the weights of the loss, the model's among them: the library's own leaves out the classifier of a
    softmax objective, which would start anew after an interruption.

    Args:
        log: gets a line per logged step and per evaluation.
        seal: marks a finished checkpoint as whole.
        where: stage, for errors.
        options: of the library's trainer.
    """

    def __init__(self, *, log: Log, seal: Callable[[Path], None], where: str, **options: Any) -> None:
        self.steps_log, self.seal, self.where = log, seal, where
        super().__init__(**options)
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """No card: it would hold rows of the training data."""

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor | tuple[torch.Tensor, dict[str, Any]]:
        """The loss, which must be a finite number."""
        found = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        loss = found[0] if isinstance(found, tuple) else found
        if not torch.isfinite(loss):
            raise GateError(
                "the loss is not a finite number",
                where=f"{self.where}, step {self.state.global_step}",
                hint="a lower learning_rate or precision fp32 usually mends it",
            )
        return found

    def _get_grad_norm(self, model: torch.nn.Module, grad_norm: Any = None) -> Any:
        """The norm of the gradient, which must be finite: after this the optimizer uses it."""
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        if not np.isfinite(float(norm)):
            raise GateError(
                "the gradient is not a finite number",
                where=f"{self.where}, step {self.state.global_step}",
                got=f"its norm is {float(norm)}, the loss is finite",
                hint="a lower learning_rate or precision fp32 usually mends it",
            )
        return norm

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Write the line to the log, then hand it on."""
        step, epoch = self.state.global_step, self.state.epoch
        if f"eval_{DEV}" in logs:
            self.steps_log.write(step=step, epoch=epoch, dev={DEV: logs[f"eval_{DEV}"]})
        elif "loss" in logs:
            self.steps_log.write(
                step=step,
                epoch=epoch,
                loss=logs["loss"],
                learning_rate=logs.get("learning_rate"),
                grad_norm=logs.get("grad_norm"),
            )
        super().log(logs, start_time)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self.seal(Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}")

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or self.args.output_dir)
        os.makedirs(folder, exist_ok=True)
        safetensors.torch.save_model(self.loss, str(folder / WEIGHTS))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(folder / "training_args.bin")

    def _load_from_checkpoint(self, checkpoint_path: str) -> None:
        safetensors.torch.load_model(self.loss, str(Path(checkpoint_path) / WEIGHTS))

    def _load_best_model(self) -> None:
        self._load_from_checkpoint(self.state.best_model_checkpoint)


class Watch(TrainerCallback):
    """Ticks a progress bar, says each dev result, and judges and saves the last step whatever the rhythm.

    Args:
        tick: called once per optimizer step.
        say: prints one line.
        judged: whether there is a dev metric.
    """

    def __init__(self, tick: Callable[[], None], say: Callable[[str], None], judged: bool) -> None:
        self.tick, self.say, self.judged = tick, say, judged
        self.loss = float("nan")

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """One optimizer step is done."""
        self.tick()
        if state.global_step >= state.max_steps:
            control.should_save = True
            control.should_evaluate = self.judged

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Remember the newest loss."""
        self.loss = (logs or {}).get("loss", self.loss)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Say the dev metric."""
        value = (metrics or {}).get(f"eval_{DEV}", float("nan"))
        self.say(f"  step {state.global_step} of {state.max_steps}: loss {self.loss:.4f}, dev {DEV} {value:.4f}")
