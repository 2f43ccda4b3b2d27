"""What a loss of a recipe weighs at one point of its stage."""

from __future__ import annotations

from ..losses.schedule import weight_at
from ..recipe_base import WeightedLoss


def weight_of(spec: WeightedLoss, progress: float | None, *, replaced: bool = False) -> float:
    """The weight of the recipe times what the schedule makes of it.

    Args:
        spec: the loss.
        replaced: whether a schedule takes the weight's place after the first step, as TextBrewer has it.
        progress: share of the stage's steps that is done; None for the weight of the recipe alone. Dev losses are
            compared by that: a schedule would make the end of a stage better or worse than its start by itself.
    """
    if replaced and spec.weight_schedule != "constant":
        if progress is None:
            return spec.weight or 1.0
        return weight_at(spec.weight_schedule, progress) if progress > 0 else spec.weight
    return spec.weight if progress is None else spec.weight * weight_at(spec.weight_schedule, progress)
