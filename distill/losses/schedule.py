"""Weights of loss terms that change in the course of a training."""

from __future__ import annotations

SCHEDULES = ("constant", "linear_decay", "linear_growth")


def weight_at(schedule: str, progress: float) -> float:
    """What to multiply a term's initial weight by.

    Equation: constant 1, linear_decay 1 - x, linear_growth x, with x the share of the steps that is done.

    The factor multiplies the initial weight. TextBrewer replaces the weight instead: from its first step on the one in
    the configuration no longer counts, and 10 with linear_decay means the same as 1. Its schedules also cover the
    distillation and hard-label terms alone; this one is for any term.

    Args:
        schedule: one of SCHEDULES.
        progress: x, in [0, 1].

    Returns:
        The factor, in [0, 1].

    Raises:
        ValueError: an unknown schedule, or a progress outside [0, 1].
    """
    if not 0 <= progress <= 1:
        raise ValueError(f"progress is {progress}, expected the share of steps done, 0 to 1")
    match schedule:
        case "constant":
            return 1.0
        case "linear_decay":
            return 1.0 - progress
        case "linear_growth":
            return float(progress)
    raise ValueError(f"weight schedule is {schedule!r}, expected one of {', '.join(SCHEDULES)}")
