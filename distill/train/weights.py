"""What a loss of a recipe weighs at one point of its stage."""

from __future__ import annotations

from ..losses.schedule import weight_at
from ..recipe_losses import WeightedLoss


def weight_of(spec: WeightedLoss, progress: float | None) -> float:
    """The weight of the recipe times what the schedule makes of it.

    Args:
        spec: the loss.
        progress: share of the stage's steps that is done; None for the weight of the recipe alone. Dev losses are
            compared by that: a schedule would make the end of a stage better or worse than its start by itself.
    """
    return spec.weight if progress is None else spec.weight * weight_at(spec.weight_schedule, progress)
