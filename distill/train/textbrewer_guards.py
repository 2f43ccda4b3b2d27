"""What TextBrewer defines as this toolkit does: asked before the first step, so that nothing else reaches its loop."""

from __future__ import annotations

from ..errors import UserError
from ..recipe_losses import COMPARED, INNER, MATCH, OF_TASK, PREDICTION, STATES, TEXTBREWER, LossSpec, Tempered
from ..recipe_stages import StageSpec, TrainSpec

DEFINED = TEXTBREWER - MATCH
"""Losses that both define, but for those that name their layers."""

_INSTEAD = {
    "kl_divergence": "it has the cross-entropy, soft_cross_entropy here: the same gradient, larger by the teacher's entropy",
    "attention_kl": "its attention_ce is the cross-entropy, and its softmax runs over padded keys too",
    "soft_binary_cross_entropy": "it has no multi-label loss between predictions; logits_mse and hard_label it has",
}


def check_stage(stage: StageSpec, student_kind: str, task: str, *, where: str, train: TrainSpec | None = None) -> None:
    """Refuse a stage that `train.engine: textbrewer` could not train as the recipe says.

    Args:
        stage: of the recipe.
        student_kind: of the recipe's student.
        task: of the recipe.
        where: recipe path of the stage, for errors.
        train: settings of every stage; None passes them over.

    Raises:
        UserError: a task, loss or setting that TextBrewer does not define, or defines otherwise; those that it does
            define are named.
    """
    if train is not None:
        _check_settings(train)
    if task == "embedding" or task not in OF_TASK:
        raise UserError(
            "TextBrewer runs the tasks with predictions",
            where=where,
            got=f"task {task}",
            expected=", ".join(sorted(OF_TASK.keys() - {"embedding"})),
            hint="train.engine=trainer",
        )
    for loss in stage.losses:
        problem = _problem(loss, stage.convention, student_kind)
        if problem:
            raise UserError(
                f"TextBrewer cannot train with {loss.name}: {problem}",
                where=f"{where}.losses",
                expected=f"losses that both define for {task}: {', '.join(sorted(DEFINED & (OF_TASK[task] | INNER)))}",
                hint="or train.engine=trainer, which has every loss",
            )
    compared = sorted(loss.name for loss in stage.losses if loss.name in COMPARED)
    if len(compared) > 1:
        raise UserError(
            "TextBrewer has one loss between the two predictions at a time",
            where=f"{where}.losses",
            got=" and ".join(compared),
            expected=f"one of {', '.join(compared)}",
            hint="or train.engine=trainer, which adds them up",
        )


def _problem(loss: LossSpec, convention: str, student_kind: str) -> str | None:
    """Why TextBrewer cannot have a loss as the recipe sets it, in words; None where it can."""
    if loss.name not in TEXTBREWER:
        return _INSTEAD.get(loss.name, "it has no such loss")
    if isinstance(loss, Tempered) and loss.temperature_schedule != "constant" and convention != "textbrewer":
        return (
            f"temperature_schedule {loss.temperature_schedule} gives each row its own temperature, and TextBrewer does not "
            "multiply its loss by the squared temperature, which no weight can mend row by row; constant is "
            "possible, or convention textbrewer"
        )
    if loss.name not in PREDICTION and loss.weight_schedule != "constant":
        return f"weight_schedule {loss.weight_schedule}: it schedules losses on predictions alone; constant is possible"
    if loss.name in STATES and student_kind == "bilstm":
        return "a BiLSTM has no inner states to compare"
    return None


def _check_settings(train: TrainSpec) -> None:
    """Refuse settings of the training loop that TextBrewer's has not.

    Raises:
        UserError: the first such setting.
    """
    settings = (
        (train.precision == "bf16", "precision", train.precision, "fp32 or auto", "its mixed precision needs apex"),
        (
            train.gradient_accumulation > 1,
            "gradient_accumulation",
            train.gradient_accumulation,
            "1",
            "it lets an epoch's last batches run into a step of the next one, and the trainer engine does not",
        ),
        (bool(train.report_to), "report_to", ", ".join(train.report_to), "[]", "it knows no trackers; log.jsonl is written"),
    )
    for wrong, name, got, expected, reason in settings:
        if wrong:
            raise UserError(
                f"TextBrewer cannot train with this {name}: {reason}",
                where=f"train.{name}",
                got=got,
                expected=expected,
                hint="or train.engine=trainer",
            )
