"""The predictions of a teacher that runs for its inner states anyway: beside the student, or while they are stored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..evaluate.outputs import Features
from ..recipe import BY_TOKEN, Recipe
from ..recipe_losses import COMPARING, STATES
from ..train.task import model_logits


class Predictions:
    """What a whole task model says of a batch.

    Args:
        model: of transformers, with its head.
        task: of the recipe.
        order: for each label of the data the model's output; None where they agree.
    """

    def __init__(self, model: nn.Module, task: str, order: np.ndarray | None) -> None:
        self.model, self.task = model, task
        self.order = None if order is None else torch.as_tensor(order)

    def raw(self, inputs: dict[str, Tensor]) -> Tensor:
        """Logits in the shape of `model_logits`, in the model's own order."""
        return model_logits(self.model, inputs, self.task)

    def in_order(self, inputs: dict[str, Tensor]) -> Tensor:
        """The same in the data's order of labels, on the device where the batch lies, in eval mode."""
        device = inputs["input_ids"].device
        if self.model.training or any(weight.device != device for weight in self.model.parameters()):
            self.model.to(device).eval()
        if self.order is None:
            return self.raw(inputs)
        self.order = self.order.to(device)  # moved once, not at every step
        return self.raw(inputs)[..., self.order]


def says_live(recipe: Recipe, parts: Sequence[Features], *, student: int, teacher: int, trimmed: bool = False) -> bool:
    """Whether the teacher beside the student can give its predictions as well, which saves one run over all rows.

    It has to run in every stage that compares with them, and to read of every row what it would read alone.

    Args:
        recipe: resolved.
        parts: the rows that are trained and judged on, tokenised for the student.
        student, teacher: the longest input of each, in tokens.
        trimmed: whether the student's vocabulary is a part of the teacher's, so that some words may be unknown or in more
            pieces to it.
    """
    stages = [{loss.name for loss in stage.losses} for stage in recipe.stages]
    compared = [names for names in stages if names & COMPARING]
    beside = recipe.train.store_states is None and recipe.train.engine == "trainer"
    uncut = student >= teacher or all(int(np.max(part.lengths)) < student for part in parts)
    whole = recipe.task in BY_TOKEN or (uncut and not trimmed)
    return beside and whole and bool(compared) and all(names & STATES for names in compared)
