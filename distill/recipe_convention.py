"""What a stage's losses need of each other and of its convention. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .recipe_losses import INNER, MAPPED, TEXTBREWER
from .recipe_match import TEXTBREWER_ALONE, Match

CLASSES = ("classification", "tokens", "spans")
"""Tasks with one right class a row."""


def stage_problem(losses: Sequence[Any], convention: str) -> str | None:
    """Why a stage cannot have these losses together, or under this convention, in words; None where it can.

    Args:
        losses: of the stage.
        convention: `distill` or `textbrewer`.
    """
    matches = [loss for loss in losses if isinstance(loss, Match)]
    other = [loss.name for loss in losses if loss.name in INNER]
    if matches and other:
        return f"a stage has losses called match, which name their layers, or {other[0]}, which takes the layer map; not both"
    terms = [match.term for match in matches]
    twice = next((match for match in matches if terms.count(match.term) > 1), None)
    if twice is not None:
        return f"{told(twice)}: two matches have this loss and these layers"
    theirs = convention == "textbrewer"
    unknown = next((loss.name for loss in losses if loss.name not in TEXTBREWER), None)
    if theirs and unknown is not None:
        return f"convention textbrewer: TextBrewer has no {unknown}; it has {', '.join(sorted(TEXTBREWER))}"
    alone = next((match for match in matches if match.loss in TEXTBREWER_ALONE), None)
    if alone is not None and not theirs:
        return f"{told(alone)}: {alone.loss} is TextBrewer's alone: take convention textbrewer, or the loss attention_kl"
    if any(loss.weight == 0 and not (theirs and loss.weight_schedule != "constant") for loss in losses):
        return "a loss of weight 0 is no loss: leave it out"
    return None


def task_problem(losses: Sequence[Any], convention: str, task: str) -> str | None:
    """Why a task cannot have the settings of these losses, in words; None where it can.

    Args:
        losses: of a stage.
        convention: of the stage.
        task: of the recipe.
    """
    for loss in losses:
        if getattr(loss, "probability_shift", False) and task not in CLASSES:
            return f"probability_shift needs one right class: the tasks {', '.join(CLASSES)}, not {task}"
        if convention == "textbrewer" and task == "spans" and getattr(loss, "temperature_schedule", "constant") != "constant":
            return "convention textbrewer: a temperature for each row would see the padding of spans; constant is possible"
    return None


def convention_notes(stages: Sequence[Any]) -> list[str]:
    """What to know of TextBrewer's convention before a run: attention losses that hardly count."""
    return [
        f"stages.{number}: by TextBrewer's convention {names[0]} compares probabilities, and is hundreds of times smaller than "
        "of raw scores (docs/textbrewer.md)"
        for number, stage in enumerate(stages)
        if stage.convention == "textbrewer"
        and (names := [name for loss in stage.losses if (name := getattr(loss, "loss", loss.name)).startswith("attention")])
    ]


def map_notes(stages: Sequence[Any]) -> list[str]:
    """Layer maps that no loss of their stage goes by."""
    return [
        f"stages.{number}.layer_map: no loss of this stage goes by a layer map, so it changes nothing: "
        + ", ".join(loss.name for loss in stage.losses)
        for number, stage in enumerate(stages)
        if stage.layer_map is not None and not any(loss.name in MAPPED for loss in stage.losses)
    ]


def engine_notes(recipe: Any) -> list[str]:
    """What TextBrewer's engine makes of several teachers that do not have the same say, told before a run."""
    spec = recipe.teacher
    if recipe.train.engine != "textbrewer" or not spec.others or spec.alike:
        return []
    asked = "teacher.combine confidence" if spec.combine == "confidence" else "teacher.weights"
    return [
        f"{asked}: TextBrewer's MultiTeacherDistiller gives every teacher the same weight, so the mean is made before training, "
        "and its BasicDistiller learns toward that; leave it out for MultiTeacherDistiller (docs/textbrewer.md)"
    ]


def told(match: Match) -> str:
    """A match as errors name it."""
    return match.origin or f"match {match.term}"
