"""What goes on around TextBrewer's steps: log lines, clipping, dev metrics, the best weights, and guards."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import GateError
from ..progress import TrainingView
from .arguments import LOWER_IS_BETTER
from .log import StepLog
from .stages import StagePlan
from .states import state_of
from .textbrewer_terms import Terms


class Enough(Exception):
    """The dev metric has not become better for as many evaluations as patience allows."""


class Watch:
    """What goes on around TextBrewer's steps: log lines, clipping, dev metrics, the best weights, and guards.

    Args:
        plan: of the stage.
        terms: names and weights of TextBrewer's terms.
        arguments: of transformers, for the settings that the trainer engine would have.
        log: log.jsonl.
        view: shows how it goes.
        per_epoch: steps of an epoch.
        patience: evaluations without a better one after which `Enough` is raised; None for never.

    Attributes:
        step: optimizer steps that are done.
        best_step, best_value, best_state: of the best dev metric so far.
    """

    def __init__(
        self,
        plan: StagePlan,
        terms: Terms,
        arguments: Any,
        log: StepLog,
        view: TrainingView,
        *,
        per_epoch: int,
        patience: int | None,
    ) -> None:
        self.plan, self.terms, self.arguments, self.log, self.view = plan, terms, arguments, log, view
        self.per_epoch, self.patience, self.waited = per_epoch, patience, 0
        self.step, self.logged, self.shown = 0, 0, float("nan")
        self.sums: dict[str, Tensor] = {}
        self.norm = float("nan")
        self.rows: list[int] = []
        self.best_step: int | None = None
        self.best_value: float | None = None
        self.best_state: dict[str, Tensor] | None = None
        plan.objective.steps = arguments.max_steps

    def begin(self, batch: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        """A batch as TextBrewer takes it: what the teacher gets, and what the student gets."""
        self.plan.objective.step = self.step
        self.rows = batch["row"].tolist()
        student = {name: value for name, value in batch.items() if name not in ("row", "teacher_logits")}
        teacher = student | {name: batch[name] for name in ("teacher_logits",) if name in batch}
        return {"teacher": teacher, "student": student}

    def losses(self, total: Tensor, found: Mapping[str, Tensor], config: Any) -> None:
        """The losses of a step, before its gradients.

        Raises:
            GateError: the total is not a finite number.
        """
        parts: dict[str, Tensor] = {}
        for theirs, value in found.items():
            name, weight = self.terms.names[theirs]
            part = value.detach() * (getattr(config, weight) if isinstance(weight, str) else weight)
            parts[name] = parts[name] + part if name in parts else part
        if not torch.isfinite(total):
            raise GateError(
                "the loss is not a finite number",
                where=self._place(),
                got={name: float(value) for name, value in parts.items()},
                hint=f"look at training rows {self.rows[:16]}; a lower learning_rate usually mends it",
            )
        for name, value in ({"loss": total.detach()} | parts).items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value.clone()

    def before_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        """Clip the gradients of student and projections together; TextBrewer would leave the projections out.

        Raises:
            GateError: the gradient is not finite; the weights are still those of the step before.
        """
        weights = self.plan.objective.parameters()
        self.norm = float(nn.utils.clip_grad_norm_(weights, self.arguments.max_grad_norm or float("inf")))
        if not math.isfinite(self.norm):
            raise GateError(
                "the gradient is not a finite number",
                where=self._place(),
                got=f"its norm is {self.norm}, the loss is finite",
                hint=f"look at training rows {self.rows[:16]}; a lower learning_rate usually mends it",
            )

    def after_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        """One optimizer step is done: the log has its line where one is due."""
        self.step += 1
        self.view.tick()
        if self.step % self.arguments.logging_steps:
            return
        means = {name: float(value) / (self.step - self.logged) for name, value in self.sums.items()}
        self.sums, self.logged, self.shown = {}, self.step, means.pop("loss")
        self.view.logged(self.shown, means)
        self.log.write(
            step=self.step,
            epoch=self.step / self.per_epoch,
            loss=self.shown,
            losses=means,
            learning_rate=optimizer.param_groups[0]["lr"],
            grad_norm=self.norm,
        )

    def evaluate(self, model: nn.Module, step: int) -> None:
        """TextBrewer's callback: judge the student, and keep it where it is the best so far.

        Raises:
            GateError: its outputs are not finite.
            Enough: it is time to stop.
        """
        model.eval()
        with torch.no_grad():
            found = self.plan.judge(self.plan.objective, self.arguments.device, self._place())
        dev = {name: value for name, value in found.items() if math.isfinite(value)}
        self.log.write(step=step, epoch=step / self.per_epoch, dev=dev)
        name = self.plan.select_by
        value = dev.get(name, float("nan"))
        self.view.judged(value)
        better = operator.lt if name in LOWER_IS_BETTER else operator.gt
        if self.best_value is None or better(value, self.best_value):
            self.waited = 0
            if math.isfinite(value):
                self.best_step, self.best_value = step, value
                self.best_state = {key: weight.detach().cpu().clone() for key, weight in state_of(self.plan.objective).items()}
            return
        self.waited += 1
        if self.patience is not None and self.waited >= self.patience and step < self.arguments.max_steps:
            raise Enough

    def _place(self) -> str:
        """Stage and step, for errors."""
        return f"training stage '{self.log.stage}', step {self.step}"
