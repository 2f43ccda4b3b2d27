"""Factors of a weight in the course of a training."""

import pytest
from textbrewer import presets

from distill.losses.schedule import SCHEDULES, weight_at


@pytest.mark.parametrize(
    ("schedule", "values"),
    [("constant", [1, 1, 1, 1]), ("linear_decay", [1, 0.75, 0.5, 0]), ("linear_growth", [0, 0.25, 0.5, 1])],
)
def test_hand_values(schedule, values):
    assert schedule in SCHEDULES
    assert [weight_at(schedule, x) for x in (0, 0.25, 0.5, 1)] == values


@pytest.mark.parametrize("schedule", ["linear_decay", "linear_growth"])
def test_textbrewer_has_the_same_curve(schedule):
    """As a weight, though, not as a factor of one: with an initial weight of w ours is w times its own."""
    for x in (0.0, 0.3, 1.0):
        assert weight_at(schedule, x) == presets.WEIGHT_SCHEDULER[schedule](x)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="weight schedule is 'cosine', expected one of constant, linear_decay, linear_growth"):
        weight_at("cosine", 0.5)
    for x in (-0.01, 1.01, float("nan")):
        with pytest.raises(ValueError, match="progress is"):
            weight_at("constant", x)
