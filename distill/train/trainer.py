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
from ..errors import GateError
from ..files import read_json, write_json
from ..processes import first, leads, meet, rank, world
from ..progress import TrainingView
from ..stopping import asked, stop_if_asked
from .ahead import AHEAD, Ahead
from .checkpoints import seal, step_of
from .judges import Judge
from .log import StepLog
from .matches import own_settings
from .objective import Objective
from .share import Share, part_loader
from .states import without_twins

SUMS = "sums.json"
"""File of a checkpoint: what was summed since the last log line, and since which step."""
MEND = "a lower learning_rate or precision fp32 usually mends it"

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
    """Trains one stage, in one process or, with the same losses and steps, in several that share each batch.

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
        resume: the checkpoint this training goes on from; later log lines are dropped.
        ahead: batches that are made while others are computed; 0 makes each when its turn comes.
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
        resume: Path | None = None,
        callbacks: list[TrainerCallback] | None = None,
        ahead: int = AHEAD,
    ) -> None:
        self.judge = judge
        self.ahead = ahead
        self.coming: tuple[Iterator[Any], Ahead] | None = None
        self.draw = draw
        self.batches = batches
        step = step_of(resume) if resume else 0
        self.share = Share(rank(), world()) if world() > 1 else None
        self.steps_log = StepLog(log_path, stage, step, writes=leads())
        # the loss and its parts, summed since the last log line; of several processes each has its part
        self.sums: dict[str, Tensor | float] = {}
        self.summed_since = step
        if resume and (resume / SUMS).exists():
            sums, self.summed_since = read_json(resume / SUMS)
            self.sums = sums if leads() else {}
        self.passes = (-1, 0)  # the step of the last batch, and which of that step's batches it was
        self.rows: list[Tensor] = []
        self.unseen: list[tuple[str, str, Tensor, dict[str, Tensor]]] = []
        super().__init__(
            model=objective,
            args=arguments,
            train_dataset=rows,
            eval_dataset=rows,
            data_collator=collate,
            callbacks=[*(callbacks or ()), _AtEpochEnd(self.stop_coming)],
        )
        # The objective takes any feature by name, which transformers would read as "scales its own loss".
        self.model_accepts_loss_kwargs = False
        # The default printer would repeat log.jsonl on stdout.
        from transformers import PrinterCallback, ProgressCallback

        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """That of transformers; projections that have settings of their own stand in groups of their own."""
        new = self.optimizer is None
        optimizer: torch.optim.Optimizer = super().create_optimizer(model)
        inner = getattr(self.accelerator.unwrap_model(self.model), "inner", None)
        if new and inner is not None:
            own_settings(optimizer, inner.specs, inner.projections)
        return optimizer

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler[int]:
        """Length-bucketed, shuffled by (seed, epoch): a resumed epoch sees the batches it would have seen."""
        rows = train_dataset if train_dataset is not None else self.train_dataset
        batch = self.args.train_batch_size * self.args.world_size
        return LengthBucketSampler(rows.lengths, batch, self.args.seed, draw=self.draw)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches of so many rows, or of so many tokens; of several processes each has its rows of the former.

        transformers would let several processes train on rows of their own.
        """
        if self.share is not None:
            assert self.batches is None, "refused by check_launch"
            batch = self.args.train_batch_size * self.args.world_size
            return part_loader(self.train_dataset, self._get_train_sampler(), batch, self.data_collator, self.share)
        if self.batches is None:
            return super().get_train_dataloader()
        pin = self.args.dataloader_pin_memory
        return self.accelerator.prepare(
            DataLoader(self.train_dataset, batch_sampler=self.batches, collate_fn=self.data_collator, pin_memory=pin)
        )

    def get_batch_samples(self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device) -> Any:
        """The batches of a step, made while earlier ones were computed."""
        if self.coming is None or self.coming[0] is not epoch_iterator:
            self.stop_coming()
            self.coming = epoch_iterator, Ahead(epoch_iterator, self.ahead)
        return super().get_batch_samples(self.coming[1], num_batches, device)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """See transformers; no thread is left behind, however it ends."""
        try:
            return super().train(*args, **kwargs)
        finally:
            self.stop_coming()

    def stop_coming(self) -> None:
        """Make no more batches ahead; what has been begun is waited for."""
        if self.coming is not None:
            self.coming[1].close()
            self.coming = None

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
        done = self.state.global_step
        self.passes = (done, self.passes[1] + 1 if self.passes[0] == done else 0)
        objective.step, objective.steps, objective.part = done, max(1, self.state.max_steps), self.passes[1]
        self.rows.append(rows)
        outputs = model(**inputs) if self.share is None else self._shared(model, objective, inputs)
        self.unseen.append(("loss", self._place(), rows, {name: value.detach() for name, value in outputs.items()}))
        if outputs["loss"].device.type in LOOKED_AT_ONCE:
            self._look()
        part = 1 / max(1, getattr(self, "current_gradient_accumulation_steps", 1))
        for name, value in outputs.items():
            many = world() if name == "loss" else 1  # see Share.scaled
            self.sums[name] = self.sums.get(name, 0.0) + value.detach() * (part / many)
        return (outputs["loss"], outputs) if return_outputs else outputs["loss"]

    def _shared(self, model: torch.nn.Module, objective: Objective, inputs: dict[str, Any]) -> dict[str, Tensor]:
        """This process's part of the losses of a batch that several share."""
        assert self.share is not None, "called where there are several processes"
        idle = bool(inputs.pop("idle"))
        objective.share = self.share
        try:
            with self.share.batch(inputs["input_ids"], idle=idle):
                return self.share.scaled(model(**inputs))
        finally:
            objective.share = None

    def _get_grad_norm(self, model: torch.nn.Module, grad_norm: Any = None) -> Any:
        """The norm of the gradient, looked at before the optimizer uses it where the device need not be waited for.

        Raises:
            GateError: it is not finite; the weights are still those of the step before.
        """
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        value = torch.as_tensor(norm).detach()
        self.unseen.append(("gradient", self._place(), torch.cat(self.rows), {"gradient": value}))
        self.rows = []
        if value.device.type in LOOKED_AT_ONCE:
            self._look()
        return norm

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The judge's dev metrics, prefixed `eval_`.

        Raises:
            GateError: the student has collapsed, or a loss was not a finite number.
        """
        self._look()
        objective: Objective = self.accelerator.unwrap_model(self.model)
        with _evaluating(objective), self.compute_loss_context_manager():
            found = first(lambda: self.judge(objective, self.args.device, self._place()))
        metrics = {f"eval_{name}": value for name, value in found.items() if np.isfinite(value)}
        self.log(dict(metrics))
        control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self.control: TrainerControl = control
        return metrics

    def _look(self) -> None:
        """Look at the losses and gradients since the last time.

        Raises:
            GateError: one is not a finite number.
        """
        unseen, self.unseen = self.unseen, []
        if not unseen or bool(torch.isfinite(torch.stack([found[what].float() for what, _, _, found in unseen])).all()):
            return
        what, where, rows, found = next(step for step in unseen if not torch.isfinite(step[3][step[0]]))
        raise GateError(
            f"the {what} is not a finite number",
            where=where,
            got={name: float(value) for name, value in found.items()},
            hint=f"look at training rows {rows.tolist()[:16]}; {MEND}",
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
            steps = max(1, step - self.summed_since)
            parts = {name: value / steps for name, value in self._summed().items()}
            self.sums, self.summed_since = {}, step
            logs = {**logs, "loss": parts.pop("loss"), **{f"loss_{name}": value for name, value in parts.items()}}
            self.steps_log.write(
                step=step,
                epoch=self.state.epoch,
                loss=logs["loss"],
                losses=parts,
                learning_rate=logs.get("learning_rate"),
                grad_norm=logs.get("grad_norm"),
            )
        super().log(logs, start_time)

    def _summed(self) -> dict[str, float]:
        """The loss and its parts since the last log line, over all processes."""
        if self.share is None:
            return {name: float(value) for name, value in self.sums.items()}
        return {name: float(self.share.sum(torch.as_tensor(value, dtype=torch.float32))) for name, value in self.sums.items()}

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        """Save, then seal: a checkpoint without its seal is not resumed from."""
        super()._save_checkpoint(model, trial)
        sums = self._summed()
        meet()  # every process has written its random state
        if self.args.should_save:
            folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            write_json(folder / SUMS, [sums, self.summed_since])
            seal(folder)
        stop_if_asked()

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


class _AtEpochEnd(TrainerCallback):
    """Stops the thread that makes batches before the sampler hears of the next epoch: it may be at the end of this one."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """All batches of the epoch have been trained on."""
        self._stop()


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
        if asked():  # a signal: the trainer stops once this step is saved
            control.should_save = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Show the newest loss and its terms."""
        found = logs or {}
        if "loss" in found:
            terms = {name.removeprefix("loss_"): value for name, value in found.items() if name.startswith("loss_")}
            self.view.logged(found["loss"], terms)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Show the dev metric."""
        self.view.judged((metrics or {}).get(f"eval_{self.select_by}", float("nan")))
