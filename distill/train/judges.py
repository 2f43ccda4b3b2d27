"""What a student is judged by between steps: one class a kind of task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import nn

from ..data.collate import Collator
from ..data.tokens import TokenizedSentences
from ..errors import GateError
from ..evaluate.agreement import quick_agreement
from .objective import EmbeddingObjective

COLLAPSE_SHARE = 0.05
"""Stop when the student's similarities spread less than this share of the teacher's."""


class Judge(Protocol):
    """Looks at a student in eval mode, without gradient."""

    def __call__(self, objective: nn.Module, device: torch.device, where: str) -> dict[str, float]:
        """Dev metrics by name; `where` names stage and step for errors."""


class EmbeddingJudge:
    """Agreement with the teacher on dev sentences.

    Args:
        dev: tokenised dev sentences.
        teacher: the teacher's embeddings of them, float32 [n, d_T].
        pad: collator.
        select_by: the metric that must be a number.
        extra: further metrics of the student as it is, or None.
    """

    def __init__(
        self,
        dev: TokenizedSentences,
        teacher: np.ndarray,
        pad: Collator,
        select_by: str,
        extra: Callable[[], dict[str, float]] | None = None,
    ) -> None:
        self.dev, self.teacher, self.pad = dev, teacher, pad
        self.select_by, self.extra = select_by, extra

    def __call__(self, objective: nn.Module, device: torch.device, where: str) -> dict[str, float]:
        """Dev metrics.

        Raises:
            GateError: the student has collapsed: it finds every pair of sentences equally similar.
        """
        assert isinstance(objective, EmbeddingObjective), "judges embeddings"
        found = quick_agreement(self._embed(objective, device), self.teacher)
        if self.extra is not None:
            with torch.autocast(device.type, enabled=False):
                found |= self.extra()
        spread, teacher_spread = found.pop("similarity_spread"), found.pop("teacher_spread")
        value = found[self.select_by]
        if not np.isfinite(value) or spread < COLLAPSE_SHARE * teacher_spread:
            raise GateError(
                "the student has collapsed: all its similarities are alike",
                where=where,
                got=f"similarities spread by {spread:.2g}, the teacher's by {teacher_spread:.2g}, {self.select_by} {value:.3f}",
                expected=f"a spread above {COLLAPSE_SHARE:.0%} of the teacher's",
                hint="lower learning_rate, add similarity_matrix to the losses, or check that the training text is varied",
            )
        return found

    def _embed(self, objective: EmbeddingObjective, device: torch.device) -> np.ndarray:
        """The student's embeddings of the dev sentences [n, d_S]."""
        order = np.argsort(self.dev.lengths, kind="stable")
        result: np.ndarray | None = None
        for start in range(0, len(order), 64):
            rows = order[start : start + 64]
            batch = self.pad([self.dev[int(row)] for row in rows])
            batch.pop("row")
            values = objective.embed({k: v.to(device) for k, v in batch.items()}).cpu().numpy()
            if result is None:
                result = np.empty((len(order), values.shape[1]), np.float32)
            result[rows] = values
        assert result is not None, "dev has at least two sentences"
        return result
