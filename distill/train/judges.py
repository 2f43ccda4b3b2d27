"""What a student is judged by between steps: one class a kind of task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import nn

from ..data.collate import Collator
from ..data.saved import PreparedData
from ..data.tokens import TokenizedSentences
from ..errors import GateError, UserError
from ..evaluate.agreement import quick_agreement
from ..evaluate.translation import translation_accuracy
from ..recipe import Recipe
from .objective import EmbeddingObjective, Objective

if TYPE_CHECKING:
    from .trainer import Collate, Rows

COLLAPSE_SHARE = 0.05
"""Stop when the student's similarities spread less than this share of the teacher's."""


class Judge(Protocol):
    """Looks at a student in eval mode, without gradient."""

    def __call__(self, objective: nn.Module, device: torch.device, where: str) -> dict[str, float]:
        """Dev metrics by name; `where` names stage and step for errors."""


class DevLanguages:
    """The languages of the dev sentences, and which of them translate each other.

    Args:
        texts: dev sentences.
        goals: for each, the sentence that the teacher read, the same prompt in front if there is one.
        languages: the language of each.
    """

    def __init__(self, texts: Sequence[str], goals: Sequence[str], languages: Sequence[str]) -> None:
        names = np.asarray(languages)
        self.rows = {name: np.flatnonzero(names == name) for name in sorted(set(languages)) if name}
        sources = {text: row for row, (text, goal) in enumerate(zip(texts, goals, strict=True)) if text == goal}
        self.pairs: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for name, members in self.rows.items():
            found = [(sources[goals[row]], row) for row in members.tolist() if sources.get(goals[row], row) != row]
            if len(found) > 1:
                first, second = np.array(found).T
                self.pairs[f"{languages[first[0]]}-{name}"] = (first, second)

    def __call__(self, student: np.ndarray, teacher: np.ndarray) -> dict[str, float]:
        """Agreement with the teacher within each language, and how many sentences find their translation.

        Args:
            student: [n, d_S].
            teacher: [n, d_T].

        Returns:
            {"agreement_spearman_<language>", "translation_accuracy_<pair>" (mean of both ways), "translation_accuracy"
            (mean over pairs)}.
        """
        found: dict[str, float] = {}
        for name, rows in self.rows.items():
            if len(rows) > 2:
                found[f"agreement_spearman_{name}"] = quick_agreement(student[rows], teacher[rows])["agreement_spearman"]
        accuracies = {name: translation_accuracy(student[first], student[second]) for name, (first, second) in self.pairs.items()}
        if accuracies:
            found |= {f"translation_accuracy_{name}": value for name, value in accuracies.items()}
            found["translation_accuracy"] = float(np.mean(list(accuracies.values())))
        return found


def check_selection(recipe: Recipe, data: PreparedData) -> None:
    """Refuse a dev metric of which these dev sentences have no number.

    Args:
        recipe: names the metric.
        data: dev sentences, and which of them translate each other.

    Raises:
        UserError: no two of them are translations of one pair of languages, and no labelled set is.
    """
    sets = any(spec.kind == "translation" for spec in recipe.data.selecting.values())
    if recipe.train.select_by != "translation_accuracy" or sets:
        return
    pairs = data.translations
    if pairs is None or not DevLanguages(data.dev, pairs.dev_goals, pairs.dev_languages).pairs:
        raise UserError(
            "the dev sentences hold no two translations of one pair of languages, so there is no translation_accuracy of them",
            where="train.select_by",
            got="translation_accuracy",
            expected="dev sentences out of data.parallel (data.dev.share), or a translation set in data.select",
        )


def dev_loss(objective: Objective, rows: Rows, collate: Collate, device: torch.device) -> float:
    """Mean loss over dev rows, without schedules of weights; where tokens are masked they are the same ones each time.

    Args:
        objective: what is trained, in eval mode.
        rows: dev examples, tokenised.
        collate: makes a batch of some, with what the losses ask for.
        device: of the objective.
    """
    order = np.argsort(-np.asarray(rows.lengths), kind="stable")
    total = 0.0
    objective.judging = True
    try:
        for start in range(0, len(order), 32):
            chosen = order[start : start + 32]
            batch = collate([rows[int(row)] for row in chosen])
            batch.pop("row")
            loss = objective(**{name: value.to(device) for name, value in batch.items()})["loss"]
            total += float(loss) * len(chosen)
    finally:
        objective.judging = False
    return total / max(1, len(order))


class EmbeddingJudge:
    """Agreement with the teacher on dev sentences, and the objective's loss where a stage is chosen by it.

    Args:
        dev: tokenised dev sentences.
        teacher: the teacher's embeddings of them, float32 [n, d_T].
        pad: collator.
        select_by: the metric that must be a number.
        extra: further metrics of the student as it is, or None.
        languages: of the dev sentences, where there are translations among them.
        asked: makes a batch with what the losses ask for, where the loss on dev sentences is wanted; else None.
    """

    def __init__(
        self,
        dev: TokenizedSentences,
        teacher: np.ndarray,
        pad: Collator,
        select_by: str,
        extra: Callable[[], dict[str, float]] | None = None,
        languages: DevLanguages | None = None,
        asked: Collate | None = None,
    ) -> None:
        self.dev, self.teacher, self.pad, self.asked = dev, teacher, pad, asked
        self.select_by, self.extra, self.languages = select_by, extra, languages

    def __call__(self, objective: nn.Module, device: torch.device, where: str) -> dict[str, float]:
        """Dev metrics.

        Raises:
            GateError: the student has collapsed: it finds every pair of sentences equally similar. Where no loss looks at its
                vectors they need not say anything yet; then the loss alone must be a number.
        """
        assert isinstance(objective, EmbeddingObjective), "judges embeddings"
        vectors = self._embed(objective, device)
        found = quick_agreement(vectors, self.teacher)
        if self.languages is not None:
            found |= self.languages(vectors, self.teacher)
        if self.extra is not None:
            with torch.autocast(device.type, enabled=False):
                found |= self.extra()
        spread, teacher_spread = found.pop("similarity_spread"), found.pop("teacher_spread")
        if self.asked is not None:
            found["loss"] = dev_loss(objective, self.dev, self.asked, device)
        value = found[self.select_by]
        if not objective.losses:
            if not np.isfinite(value):
                raise GateError(
                    f"the dev {self.select_by} is not a finite number", where=where, got=value, hint="lower learning_rate"
                )
            return {name: number for name, number in found.items() if np.isfinite(number)}
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
