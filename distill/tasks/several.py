"""Several trained teachers of a task as one: each reads the text itself, and what they say of a row becomes one."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from teachers.device import at_work
from teachers.ensemble import average_logits, confidence_weights, shares
from teachers.heads import HeadModel
from teachers.pieces import same_pieces
from teachers.spec import TeacherSpec

from ..combining import facts_of_each, weights_in_words
from ..data.examples import LabelSet, TextExamples
from ..errors import ModelError
from ..evaluate.outputs import run_over, torch_predict
from ..evaluate.scoring import Examples, make_collator, make_features
from ..recipe import BY_TOKEN
from ..report.words import public_name
from ..train.task import model_logits
from .teacher import check_trained, head_key, label_order


@dataclass(frozen=True)
class Several:
    """Several trained teachers of a task.

    Attributes:
        task: of the recipe.
        members: the teachers. Where every token has logits they cut texts into the same pieces and have one longest input.
        orders: for each teacher and label of the data its output; None where they agree.
        combine: `mean` of logits, or `confidence`: each row has weights of its own.
        shares: weights of the mean, float64 [K], of sum 1.
    """

    task: str
    members: tuple[HeadModel, ...]
    orders: tuple[np.ndarray | None, ...]
    combine: str
    shares: np.ndarray

    @property
    def name(self) -> str:
        """The teachers' names."""
        return " + ".join(head.name for head in self.members)

    @property
    def max_length(self) -> int:
        """What every one of them can read, in tokens of its own."""
        return min(head.max_length for head in self.members)

    def key(self) -> dict[str, Any]:
        """Everything that decides what they say together, as JSON values."""
        each = [head_key(head, order) for head, order in zip(self.members, self.orders, strict=True)]
        return {"teachers": each, "combine": self.combine, "shares": self.shares.tolist()}

    def together(self, said: Sequence[Sequence[np.ndarray]], examples: Examples | None = None) -> list[np.ndarray]:
        """Logits of the teachers as those of one.

        The mean is the target of TextBrewer's `MultiTeacherDistiller`. With `confidence` the weights of a row are those of
        `teachers.ensemble.confidence_weights`.

        Args:
            said: of each teacher the logits of every row, without padding, in the data's order of labels.
            examples: the rows, where their labels may have a say in the weights; None goes by entropies alone.

        Returns:
            For each row its logits, float32.
        """
        if self.task in BY_TOKEN:
            rows = zip(*said, strict=True)
            return [np.tensordot(self.shares, np.stack(parts), axes=1).astype(np.float32) for parts in rows]
        logits = [np.stack(list(rows)) for rows in said]
        weights = self.shares if self.combine == "mean" else self._trust(logits, examples)
        return list(average_logits(logits, weights))

    def apart(self, said: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
        """Logits of the teachers side by side, as `train_textbrewer` takes those of several.

        Args:
            said: as for `together`.

        Returns:
            For each row [K, ...].
        """
        return [np.stack(parts) for parts in zip(*said, strict=True)]

    def _trust(self, logits: Sequence[np.ndarray], examples: Examples | None) -> np.ndarray:
        """Weights of each row, float64 [n, K]."""
        gold = examples.labels if isinstance(examples, TextExamples) else None
        if self.task == "multilabel":
            return confidence_weights(logits, gold, multilabel=True)
        return confidence_weights(logits, None if gold is None else np.maximum(gold, -1))  # a row without label has -100

    def outputs(self, examples: Examples, labels: LabelSet, stride: int) -> list[np.ndarray]:
        """What the teachers say together of examples; what is right has no say in it.

        Args:
            examples: of the task.
            labels: of the data.
            stride: tokens that neighbouring windows share, where the task is spans.

        Returns:
            For each row its logits, without padding, float32.
        """
        said = []
        for head, order in zip(self.members, self.orders, strict=True):
            features = make_features(self.task, examples, head.tokenizer, head.max_length, labels=labels, stride=stride)
            logits = functools.partial(model_logits, head.model.eval(), task=self.task)
            with at_work(head.model) as device:
                rows = run_over(torch_predict(logits, device), features, make_collator(self.task, head.tokenizer))
            said.append(rows if order is None else [row[..., order] for row in rows])
        return self.together(said)

    def facts(self) -> dict[str, Any]:
        """Facts of the stage `teacher`."""
        each = [{"max_length": head.max_length} for head in self.members]
        return {
            **facts_of_each([head.name for head in self.members], [head.model for head in self.members], each),
            "max_length": self.max_length,
            "weights": self.shares.tolist() if self.combine == "mean" else None,
        }

    def describe(self) -> str:
        """What they are together, in words."""
        names = [head.name for head in self.members]
        if self.combine == "confidence":
            return f"the mean of {', '.join(map(public_name, names))}, weighted row by row by confidence"
        return f"the mean of {len(names)}, {weights_in_words(names, self.shares)}"


def join_heads(
    heads: Iterable[HeadModel], labels: LabelSet, given: Sequence[str] | None, spec: TeacherSpec, task: str
) -> Several:
    """Several trained teachers as one, its outputs in the data's order of labels.

    Args:
        heads: two or more.
        labels: of the data.
        given: names of outputs that have none, as in `label_order`.
        spec: how they become one.
        task: of the recipe.

    Raises:
        ModelError: one was not trained or has other labels; where every token has logits, one cuts text into other tokens
            than the first.
    """
    members = tuple(heads)
    first, *others = members
    for head in members:
        check_trained(head, task)
    if task in BY_TOKEN:
        for number, head in enumerate(others):
            if same_pieces(first.tokenizer, head.tokenizer, pairs=task == "spans") is None:
                raise ModelError(
                    f"teachers of the task {task} say something of every token, and this one cuts text into others",
                    where=f"teacher.others.{number}",
                    got=head.name,
                    expected=f"a tokenizer that cuts texts into the pieces of {first.name}",
                )
        shortest = min(head.max_length for head in members)
        members = tuple(replace(head, max_length=shortest) for head in members)
    orders = tuple(label_order(head, labels, given, who=f"teacher {head.name}") for head in members)
    return Several(task, members, orders, spec.combine or "mean", shares(spec.weights, len(members)))
