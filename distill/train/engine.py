"""Train a sentence encoder through the stages of a recipe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from students.build import Student

from ..data.collate import Collator
from ..data.sampler import GroupDraw
from ..data.saved import Translations
from ..data.tokens import TokenizedSentences
from ..data.translations import draw_counts
from ..errors import UserError
from ..progress import note
from ..recipe import Recipe
from ..recipe_losses import VECTOR
from ..recipe_stages import StageSpec
from .inner import InnerTeacher
from .judges import DevLanguages, EmbeddingJudge
from .objective import EmbeddingObjective, set_dropout
from .stages import StagePlan, train_stages
from .stored import on_stored
from .trainer import Collate

Gather = Callable[[np.ndarray], np.ndarray]
"""Row numbers [k] -> teacher embeddings float32 [k, d_T]."""


@dataclass(frozen=True)
class TrainingData:
    """What every stage trains on and is judged by.

    Attributes:
        train, dev: sentences, the prompt in front.
        teacher_rows: teacher embeddings of training rows.
        teacher_dev: teacher embeddings of the dev sentences, float32 [n, d_T].
        dev_metric: further dev metrics of the student as it is, or None.
        translations: goals and languages of train and dev, where there are translations among them.
    """

    train: Sequence[str]
    dev: Sequence[str]
    teacher_rows: Gather
    teacher_dev: np.ndarray
    dev_metric: Callable[[], dict[str, float]] | None = None
    translations: Translations | None = None


def train_student(
    recipe: Recipe,
    student: Student,
    data: TrainingData,
    *,
    teacher_normalizes: bool,
    work: Path,
    log: Path,
    start: TrainingData | None = None,
    start_normalizes: bool = False,
    before_teacher: Callable[[], None] | None = None,
    inner: InnerTeacher | None = None,
) -> dict[str, Any]:
    """Train the student in place through every stage of the recipe.

    Args:
        recipe: resolved but for `train.precision`, which may still be `auto`.
        student: from `students.build_student`; holds the best weights afterwards.
        data: sentences and teacher embeddings.
        teacher_normalizes: whether those have length 1.
        work: folder for checkpoints; what is whole there is used, the rest is redone.
        log: log.jsonl.
        start: sentences and the start model's embeddings, for stages toward it.
        start_normalizes: whether those have length 1.
        before_teacher: called when stages toward the start model are done, before the first toward the teacher.
        inner: the teacher itself, for stages with losses between inner states or token predictions.

    Returns:
        Facts: {"precision", "stages": [{name, steps, epochs, seconds, best_step, best_value, select_by, stopped}]}.

    Raises:
        UserError: `select_by` is a cosine to the teacher, and the student's vectors have another width.
        GateError: the loss is not finite or the student collapsed.
    """
    if recipe.train.select_by == "agreement_cosine" and student.dim != data.teacher_dev.shape[1]:
        raise UserError(
            "the student's vectors have another width than the teacher's, so there is no cosine between them",
            where="train.select_by",
            got=f"agreement_cosine, widths {student.dim} and {data.teacher_dev.shape[1]}",
            expected="agreement_spearman, or student.projection keep",
        )
    tokenizer = student.model.tokenizer
    length = int(student.model.max_seq_length)
    dev = TokenizedSentences(data.dev, tokenizer, length)
    tokenized: dict[int, TokenizedSentences] = {}
    collator = Collator(tokenizer.pad_token_id, "token_type_ids" in tokenizer.model_input_names)
    if recipe.train.dropout is not None:
        set_dropout(student.model, recipe.train.dropout)
    waiting = [before_teacher] if before_teacher is not None else []

    def plan(stage: StageSpec) -> StagePlan:
        goal, select_by = data, chosen_by(recipe, stage)
        if stage.toward == "start":
            assert start is not None, "the pipeline gives the start model's embeddings where a stage asks for them"
            goal = start
            below = student.below_bridge(normalize=start_normalizes)
            objective = EmbeddingObjective(below, None, stage.losses, teacher_normalizes=start_normalizes)
        else:
            if waiting:
                waiting.pop()()
            losses = None if inner is None else inner.losses(student.model, stage, recipe.seed)
            masked = None if inner is None else inner.masked(student.model, stage, recipe.seed)
            objective = EmbeddingObjective(
                student.model,
                student.bridge,
                stage.losses,
                teacher_normalizes=teacher_normalizes,
                inner=losses,
                masked=masked,
                matryoshka=stage.matryoshka,
            )
        stored = any(loss.name in VECTOR for loss in stage.losses)
        collate = _collate(collator, goal.teacher_rows if stored else None)
        pairs = goal.translations
        if id(goal) not in tokenized:
            tokenized[id(goal)] = found = TokenizedSentences(goal.train, tokenizer, length)
            if long := int((found.lengths >= length).sum()):
                note(f"training: {long:,} of {len(found):,} sentences fill the student's {length} tokens: longer ones are cut")
        rows, states, numbers = tokenized[id(goal)], None, recipe.train.store_states
        asked = _collate(collator, goal.teacher_dev.__getitem__ if stored else None) if select_by == "loss" else None
        if numbers is not None and inner is not None and objective.inner is not None:
            (collate, asked), states = on_stored(inner, objective.inner, (rows, dev), (collate, asked), collator, numbers)
        judge = EmbeddingJudge(
            dev,
            goal.teacher_dev,
            collator,
            select_by,
            goal.dev_metric,
            None if pairs is None else DevLanguages(data.dev, pairs.dev_goals, pairs.dev_languages),
            asked,
        )
        return StagePlan(objective, rows, collate, judge, select_by, _language_draw(recipe, pairs), states)

    facts = train_stages(recipe, plan, work=work, log=log)
    student.model.eval()
    return facts


def _collate(pad: Collator, teacher_rows: Gather | None) -> Collate:
    """Pads a batch and adds what the teacher says of its sentences, where a loss asks for that."""

    def collate(items: list[dict[str, Any]]) -> dict[str, Tensor]:
        batch = pad(items)
        if teacher_rows is not None:
            batch["teacher_embedding"] = torch.from_numpy(teacher_rows(batch["row"].numpy()))
        return batch

    return collate


def _language_draw(recipe: Recipe, pairs: Translations | None) -> GroupDraw | None:
    """How much each language counts, where the recipe does not take rows as they come."""
    temperature = recipe.data.language_temperature
    if pairs is None or temperature == 1:
        return None
    sizes = Counter(pairs.train_languages)
    wanted = draw_counts(sizes, temperature)
    said = ", ".join(f"{name or 'other text'} {wanted[name]:,} of {sizes[name]:,}" for name in sorted(sizes))
    note(f"training: rows of each language an epoch: {said}")
    return GroupDraw(pairs.train_languages, wanted, recipe.seed)


def chosen_by(recipe: Recipe, stage: StageSpec) -> str:
    """The dev metric that chooses a stage's checkpoint.

    A stage without a loss on the student's vectors is judged by its loss: they need not say anything yet (MiniLM v2 leaves
    what follows the last layer's queries, keys and values as it was), unless the recipe asks for labelled sets. Those judge the
    finished student; on the way to the start model its bridge is not there yet.
    """
    labelled = recipe.train.select_by in ("sts_spearman", "translation_accuracy")
    if not labelled and not any(loss.name in VECTOR for loss in stage.losses):
        return "loss"
    return "agreement_spearman" if stage.toward == "start" and labelled else recipe.train.select_by
