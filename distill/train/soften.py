"""The temperature that a loss of a recipe has on one batch."""

from __future__ import annotations

from torch import Tensor

from ..losses.temperature import cwsm, flsw
from ..recipe_losses import Tempered


def temperature_of(spec: Tempered, student: Tensor, teacher: Tensor, mask: Tensor | None) -> float | Tensor:
    """A number, or one for each row.

    Args:
        spec: the loss.
        student, teacher: logits [..., C].
        mask: [...], true for rows that count.
    """
    if spec.temperature_schedule == "flsw":
        return flsw(student, teacher, spec.temperature, spec.beta, spec.gamma, mask=mask)
    if spec.temperature_schedule == "cwsm":
        return cwsm(student, teacher, spec.temperature, spec.beta, mask=mask)
    return spec.temperature
