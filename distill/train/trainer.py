"""transformers.Trainer with our objective, sampler, judge and trusted checkpoints."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainingArguments

from ..data.sampler import GroupDraw, LengthBucketSampler, TokenBudgetBatches
from ..errors import GateError, UserError
from ..progress import TrainingView
from .checkpoints import seal
from .judges import Judge
from .log import StepLog
from .objective import Objective
from .states import without_twins

Collate = Callable[[list[dict[str, Any]]], dict[str, Tensor]]

LOOKED_AT_ONCE = ("cpu",)
"""Where a loss is looked at in every step. A GPU would have to be waited for: there it is looked at with the next log line, and
before anything is judged or saved."""


class Rows(Protocol):
    """Training examples: a map-style data set that knows how long each is.

    Attributes:
        lengths: tokens of each example, int [n].
    """

    lengths: np.ndarray

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, Any]: ...


class DistillTrainer(Trainer):
    """Trains one stage.

    Args:
        objective: student and losses.
        arguments: of transformers.
        rows: training examples.
        collate: makes a batch of some of them: what the objective takes, and the row numbers in `row`.
        judge: gives the dev metrics.
        draw: which rows an epoch holds; None takes each once.
        batches: batches of so many tokens; None takes batches of so many rows.
        log_path: log.jsonl.
        stage: name of the stage.
        resume_step: the step this training goes on from; later log lines are dropped.
    """

    def __init__(
        self,
        objective: Objective,
        arguments: TrainingArguments,
        *,
        rows: Rows,
        collate: Collate,
        judge: Judge,
        draw: GroupDraw | None = None,
        batches: TokenBudgetBatches | None = None,
        log_path: Path,
        stage: str,
        resume_step: int = 0,
        callbacks: list[TrainerCallback] | None = None,
    ) -> None:
        self.judge = judge
        self.draw = draw
        self.batches = batches
        self.steps_log = StepLog(log_path, stage, resume_step)
        self.part_sums: dict[str, Tensor] = {}
        self.parts_since = resume_step
        self.unseen: list[tuple[str, Tensor, dict[str, Tensor]]] = []
        super().__init__(
            model=objective,
            args=arguments,
            train_dataset=rows,
            eval_dataset=rows,
            data_collator=collate,
            callbacks=callbacks,
        )
        # The objective takes any feature by name, which transformers would read as "scales its own loss".
        self.model_accepts_loss_kwargs = False
        # The default printer would repeat log.jsonl on stdout.
        from transformers import PrinterCallback, ProgressCallback

        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler[int]:
        """Length-bucketed, shuffled by (seed, epoch): a resumed epoch sees the batches it would have seen."""
        rows = train_dataset if train_dataset is not None else self.train_dataset
        batch = self.args.train_batch_size * self.args.world_size
        return LengthBucketSampler(rows.lengths, batch, self.args.seed, draw=self.draw)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches of so many rows, or of so many tokens."""
        if self.batches is None:
            return super().get_train_dataloader()
        if self.args.world_size > 1:
            raise UserError("batches of so many tokens are not shared between processes", hint="leave batch_tokens out")
        pin = self.args.dataloader_pin_memory
        return self.accelerator.prepare(
            DataLoader(self.train_dataset, batch_sampler=self.batches, collate_fn=self.data_collator, pin_memory=pin)
        )

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The objective's loss; its parts are summed for the next log line."""
        rows = inputs.pop("row")
        objective: Objective = self.accelerator.unwrap_model(model)
        objective.step, objective.steps = self.state.global_step, max(1, self.state.max_steps)
        outputs = model(**inputs)
        self.unseen.append((self._place(), rows, {name: value.detach() for name, value in outputs.items()}))
        if outputs["loss"].device.type in LOOKED_AT_ONCE:
            self._look()
        share = 1 / max(1, getattr(self, "current_gradient_accumulation_steps", 1))
        for name, value in outputs.items():
            if name != "loss":
                self.part_sums[name] = self.part_sums.get(name, torch.zeros_like(value)) + value * share
        return (outputs["loss"], outputs) if return_outputs else outputs["loss"]

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The judge's dev metrics, prefixed `eval_`.

        Raises:
            GateError: the student has collapsed, or a loss was not a finite number.
        """
        self._look()
        objective: Objective = self.accelerator.unwrap_model(self.model)
        with _evaluating(objective), self.compute_loss_context_manager():
            found = self.judge(objective, self.args.device, self._place())
        metrics = {f"eval_{name}": value for name, value in found.items() if np.isfinite(value)}
        self.log(dict(metrics))
        control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self.control: TrainerControl = control
        return metrics

    def _look(self) -> None:
        """Look at the losses since the last time.

        Raises:
            GateError: one is not a finite number.
        """
        unseen, self.unseen = self.unseen, []
        if not unseen or bool(torch.isfinite(torch.stack([outputs["loss"] for _, _, outputs in unseen])).all()):
            return
        where, rows, outputs = next(step for step in unseen if not torch.isfinite(step[2]["loss"]))
        raise GateError(
            "the loss is not a finite number",
            where=where,
            got={name: float(value) for name, value in outputs.items()},
            hint=f"look at training rows {rows.tolist()[:16]}; a lower learning_rate or precision fp32 usually mends it",
        )

    def _place(self) -> str:
        """Stage and step, for errors."""
        return f"training stage '{self.steps_log.stage}', step {self.state.global_step}"

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Write the line to log.jsonl with every loss part, then hand it to the trackers."""
        self._look()
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
        super()._save(output_dir, without_twins(self.model.state_dict() if state_dict is None else state_dict))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(Path(output_dir or self.args.output_dir) / "training_args.bin")

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """What transformers calls after it loaded a checkpoint: second names of tied weights are no loss, others are.

        Raises:
            RuntimeError: the checkpoint is of another model.
        """
        missing = sorted(set(load_result.missing_keys) & without_twins(self.model.state_dict()).keys())
        if missing or load_result.unexpected_keys:
            raise RuntimeError(f"a checkpoint of another model: missing {missing}, unknown {load_result.unexpected_keys}")


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
    """Shows how a stage goes, and judges and saves the last step whatever the rhythm.

    Args:
        view: is told of every step, log line and dev result.
        select_by: the dev metric to show.
    """

    def __init__(self, view: TrainingView, select_by: str) -> None:
        self.view = view
        self.select_by = select_by

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """One optimizer step is done."""
        self.view.tick()
        if state.global_step >= state.max_steps:
            control.should_evaluate = control.should_save = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Show the newest loss and its terms."""
        found = logs or {}
        if "loss" in found:
            terms = {name.removeprefix("loss_"): value for name, value in found.items() if name.startswith("loss_")}
            self.view.logged(found["loss"], terms)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Show the dev metric."""
        self.view.judged((metrics or {}).get(f"eval_{self.select_by}", float("nan")))
