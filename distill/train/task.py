"""What one step of a labelled task minimises: losses on predictions, and between inner states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..losses.prediction import (
    hard_binary_cross_entropy,
    hard_cross_entropy,
    hard_mse,
    kl_divergence,
    logits_cosine,
    logits_mse,
    soft_binary_cross_entropy,
    soft_cross_entropy,
)
from ..losses.textbrewer import probability_shift
from ..recipe import LossSpec
from ..recipe_losses import PREDICTION, LogitsMSE, SoftBinaryCrossEntropy, SoftCrossEntropy, Tempered
from .inner import InnerLosses
from .objective import Objective, total
from .soften import temperature_of
from .weights import weight_of

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
BLOCKED = -1e4
"""The logit of a padded position, where answers are chosen among positions."""

SOFTENED: dict[str, Callable[..., Tensor]] = {"soft_cross_entropy": soft_cross_entropy, "kl_divergence": kl_divergence}
PLAIN: dict[str, Callable[..., Tensor]] = {"logits_mse": logits_mse, "logits_cosine": logits_cosine}


def model_logits(model: nn.Module, features: Mapping[str, Tensor], task: str) -> Tensor:
    """What a task model says of a batch.

    Args:
        model: a transformers task model, or one with the same outputs.
        features: `input_ids`, `attention_mask`, maybe `token_type_ids`, int64 [B, L].
        task: of the recipe.

    Returns:
        float32: [B, C]; tokens [B, L, C]; spans [B, 2, L], start and end logits, -10,000 on padding.
    """
    output: Any = model(**{name: features[name] for name in INPUTS if name in features})
    if task != "spans":
        return output.logits.float()
    both = torch.stack([output.start_logits, output.end_logits], dim=1).float()
    return both.masked_fill(~features["attention_mask"].bool()[:, None, :], BLOCKED)


class TaskObjective(Objective):
    """Student in; loss and its parts out.

    Losses on predictions compare with the teacher's stored logits, so that the teacher runs once, or with gold labels.
    Losses between inner states run it beside the student, unless a batch brings its stored states; that run may give the
    logits as well (`InnerTeacher.says`).

    Args:
        student: a task model.
        losses: which losses, with weights.
        task: of the recipe.
        inner: losses between inner states, or None.
        convention: whose definitions the losses have where the two differ.
    """

    def __init__(
        self,
        student: nn.Module,
        losses: Sequence[LossSpec],
        task: str,
        inner: InnerLosses | None = None,
        convention: str = "distill",
    ) -> None:
        super().__init__()
        self.student = student
        self.losses = tuple(loss for loss in losses if loss.name in PREDICTION)
        self.task = task
        self.inner = inner
        self.textbrewer = convention == "textbrewer"

    def forward(self, teacher_logits: Tensor | None = None, **features: Tensor) -> dict[str, Tensor]:
        """One batch.

        Args:
            teacher_logits: in the shape that `model_logits` gives; needed by losses that compare with the teacher, unless
                the teacher that runs beside gives them.
            features: `input_ids`, `attention_mask`, maybe `token_type_ids`, int64 [B, L]; for hard labels `labels`, or
                `start_positions` and `end_positions`.

        Returns:
            {"loss": scalar, "<loss name>": weighted part, detached, for each loss}; the parts add up to the loss.
        """
        logits = model_logits(self.student, features, self.task)
        ran = False
        if self.inner is not None and self.inner.says is not None:
            teacher_logits, ran = self.inner.run_teacher(features), True
        parts: dict[str, Tensor] = {}
        for spec in self.losses:
            weight = weight_of(spec, self.progress, replaced=self.textbrewer)
            parts[spec.name] = weight * self._prediction(spec, logits, teacher_logits, features)
        if self.inner is not None:
            parts |= self.inner(features, self.progress, ran=ran)
        return total(parts)

    def _prediction(self, spec: LossSpec, ours: Tensor, theirs: Tensor | None, features: Mapping[str, Tensor]) -> Tensor:
        """One loss on predictions, unweighted."""
        if spec.name == "hard_label":
            return hard_label(ours, features, self.task)
        assert theirs is not None, "the collator adds the teacher's logits where a loss compares with them"
        mask = token_rows(features) if self.task == "tokens" else None
        if getattr(spec, "probability_shift", False):
            theirs = probability_shift(theirs, gold_of(features, self.task))
        if self.textbrewer:
            return self._textbrewer(spec, ours, theirs, mask, features)
        if isinstance(spec, Tempered):
            return SOFTENED[spec.name](ours, theirs, mask, temperature=self._temperature(spec, ours, theirs, mask, features))
        if isinstance(spec, SoftBinaryCrossEntropy):
            return soft_binary_cross_entropy(ours, theirs, mask, temperature=spec.temperature)
        if self.task == "spans":
            ours, theirs, mask = ours.transpose(1, 2), theirs.transpose(1, 2), features["attention_mask"].bool()
        return PLAIN[spec.name](ours, theirs, mask)

    def _textbrewer(
        self, spec: LossSpec, ours: Tensor, theirs: Tensor, mask: Tensor | None, features: Mapping[str, Tensor]
    ) -> Tensor:
        """A loss between predictions without the squared temperature; of spans, the sum of start and end."""
        both = 2.0 if self.task == "spans" else 1.0
        if isinstance(spec, SoftCrossEntropy):
            warmth = self._temperature(spec, ours, theirs, mask, features)
            return both * soft_cross_entropy(ours, theirs, mask, temperature=warmth, squared=False)
        assert isinstance(spec, LogitsMSE), "the schema has passed the losses"
        if self.task == "spans":
            ours, theirs, mask = ours.transpose(1, 2), theirs.transpose(1, 2), features["attention_mask"].bool()
        return both * logits_mse(ours, theirs, mask) / spec.temperature**2

    def _temperature(
        self, spec: Tempered, ours: Tensor, theirs: Tensor, mask: Tensor | None, features: Mapping[str, Tensor]
    ) -> float | Tensor:
        """One temperature, or one a row. Padded positions, all of one large number, have no say in it."""
        if self.task == "spans":
            theirs = theirs.masked_fill(~features["attention_mask"].bool()[:, None, :], -torch.inf)
        return temperature_of(spec, ours, theirs, mask)

    def close(self) -> None:
        """Stop listening to student and teacher."""
        if self.inner is not None:
            self.inner.close()


def token_rows(features: Mapping[str, Tensor]) -> Tensor:
    """The tokens of a batch whose predictions count, bool [B, L].

    Those that carry a word's tag; in a sentence without gold tags, every real token.
    """
    real = features["attention_mask"].bool()
    if "labels" not in features:
        return real
    tagged = features["labels"] != -100
    return torch.where(tagged.any(1, keepdim=True), tagged, real)


def gold_of(features: Mapping[str, Tensor], task: str) -> Tensor:
    """The right class of each row of logits, -100 where nothing tells: int64 [B], tokens [B, L], spans [B, 2]."""
    if task == "spans":
        return torch.stack([features["start_positions"], features["end_positions"]], dim=1)
    return features["labels"]


def hard_label(logits: Tensor, features: Mapping[str, Tensor], task: str) -> Tensor:
    """The task's own loss on gold labels; what has none does not count.

    Args:
        logits: as `model_logits` gives them.
        features: `labels`, or for spans `start_positions` and `end_positions` int64 [B].
        task: of the recipe.
    """
    if task == "spans":
        return hard_cross_entropy(logits, gold_of(features, task))
    if task == "multilabel":
        return hard_binary_cross_entropy(logits, features["labels"])
    if task == "regression":
        return hard_mse(logits, features["labels"][:, None])
    return hard_cross_entropy(logits, features["labels"])
