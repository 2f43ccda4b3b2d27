"""The recipe: YAML and dotted overrides -> one frozen, validated object. Imports no torch.

A recipe is resolved when every value that the run will use is written in it; `to_yaml` gives that form,
and it runs again as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from students.spec import StudentSpec
from teachers.spec import FinetuneSpec, SentenceFinetuneSpec, TeacherSpec

from .recipe_augment import VocabularyMixSpec
from .recipe_base import Schema
from .recipe_card import CardSpec
from .recipe_convention import task_problem
from .recipe_data import EMBEDDING_KINDS, DataSpec, EvaluationSpec, ParallelSpec, ShareSpec, SourceSpec, VectorSpec
from .recipe_export import BudgetSpec, ExportSpec
from .recipe_losses import (
    MASKED_LM,
    OF_TASK,
    STATES,
    EmbeddingCosine,
    EmbeddingMSE,
    LossSpec,
    PairOrder,
    SimilarityMatrix,
)
from .recipe_measure import MeasureSpec, ReportSpec
from .recipe_stages import StageSpec, TrainSpec
from .recipe_tree import normalise

__all__ = [
    "BudgetSpec",
    "DataSpec",
    "EmbeddingCosine",
    "EmbeddingMSE",
    "EvaluationSpec",
    "ExportSpec",
    "LossSpec",
    "PairOrder",
    "ParallelSpec",
    "Recipe",
    "ShareSpec",
    "SimilarityMatrix",
    "SourceSpec",
    "VectorSpec",
    "VocabularyMixSpec",
    "normalise",
]

Task = Literal["embedding", "classification", "multilabel", "regression", "tokens", "spans"]
BY_TOKEN = ("tokens", "spans")
"""Tasks whose labels and logits belong to tokens of a text, not to the whole of it."""
CONFIDENT = ("classification", "multilabel")
"""Tasks whose teachers say with a row's prediction how sure they are of it."""
DEV_METRICS = {
    "embedding": frozenset({"agreement_spearman", "agreement_cosine", "sts_spearman", "translation_accuracy", "loss"}),
    "labelled": frozenset({"task_metric", "loss"}),
}


class Recipe(Schema):
    """A whole run, from teacher to report."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")
    seed: int = Field(default=42, ge=0, lt=2**31)
    task: Task = "embedding"
    teacher: TeacherSpec
    data: DataSpec
    student: StudentSpec
    stages: tuple[StageSpec, ...] = Field(min_length=1)
    train: TrainSpec = TrainSpec()
    export: ExportSpec = ExportSpec()
    vectors: VectorSpec = VectorSpec()
    measure: MeasureSpec = MeasureSpec()
    report: ReportSpec = ReportSpec()
    card: CardSpec | None = None

    @model_validator(mode="before")
    @classmethod
    def _combine(cls, values: Any) -> Any:
        """How several teachers become one, where the recipe leaves it open."""
        teacher = values.get("teacher") if isinstance(values, dict) else None
        if isinstance(teacher, dict) and teacher.get("others") and teacher.get("combine") is None:
            way = "concatenate" if values.get("task", "embedding") == "embedding" else "mean"
            return {**values, "teacher": {**teacher, "combine": way}}
        return values

    @model_validator(mode="after")
    def _together(self) -> Recipe:
        names = [stage.name for stage in self.stages]
        if len(set(names)) != len(names):
            raise ValueError(f"every stage needs a name of its own, got {names}")
        self._toward_start()
        goals = [stage.toward for stage in self.stages]
        if "start" in goals and self.student.start == "teacher":
            raise ValueError("a stage toward 'start' needs student.from to be another model than the teacher")
        if goals != sorted(goals) or "teacher" not in goals:
            raise ValueError(f"stages toward 'start' come first and one toward 'teacher' last, got {goals}")
        self._selection()
        self._budget()
        self._of_task()
        return self

    def _toward_start(self) -> None:
        """What stages toward the start model have not: it is another model's sentence vectors that they compare with."""
        for stage in self.stages:
            if stage.toward != "start":
                continue
            if self.task != "embedding":
                raise ValueError(f"a stage toward 'start' belongs to the task embedding, not to {self.task}")
            inner = [loss.name for loss in stage.losses if loss.name in STATES | MASKED_LM]
            if inner:
                raise ValueError(f"stage '{stage.name}' toward 'start' compares sentence vectors alone: leave out {inner[0]}")
            if stage.matryoshka:
                raise ValueError(f"stage '{stage.name}' toward 'start' trains whole vectors: leave out matryoshka")

    def _selection(self) -> None:
        """What the dev metric needs."""
        kinds = {spec.kind for spec in self.data.selecting.values()}
        if self.train.select_by == "sts_spearman" and "sts" not in kinds:
            raise ValueError("train.select_by 'sts_spearman' needs data.select, a labelled set")
        if self.train.select_by == "translation_accuracy" and "translation" not in kinds and not self.data.parallel:
            raise ValueError("train.select_by 'translation_accuracy' needs data.parallel, or a translation set in data.select")

    def _budget(self) -> None:
        """A loss of the dev metric needs labelled dev rows."""
        budget = self.export.budget
        scored = any(spec.kind == "sts" for spec in self.data.selecting.values())
        if budget is not None and budget.metric_drop is not None and self.task == "embedding" and not scored:
            raise ValueError("export.budget.metric_drop needs an sts set in data.select; without labels use min_cosine")

    def _of_task(self) -> None:
        """What a task allows: its losses, kinds of students, of evaluation sets and of dev metrics."""
        allowed = OF_TASK[self.task] | STATES
        for stage in self.stages:
            wrong = [loss.name for loss in stage.losses if loss.name not in allowed]
            if wrong:
                fitting = ", ".join(sorted(OF_TASK[self.task]))
                raise ValueError(
                    f"the loss {wrong[0]} is none of the task {self.task}, which has {fitting} and those of inner states"
                )
            names = [loss.name for loss in stage.losses if loss.name != "match"]
            if len(set(names)) < len(names):
                raise ValueError(f"stage '{stage.name}' names a loss twice")
            problem = task_problem(stage.losses, stage.convention, self.task)
            if problem:
                raise ValueError(f"stage '{stage.name}': {problem}")
        embedding = self.task == "embedding"
        kinds = {"layers", "tiny", "static"} if embedding else {"layers", "tiny"}
        if self.task in ("classification", "multilabel", "regression"):
            kinds |= {"bilstm"}
        if self.student.kind not in kinds:
            raise ValueError(
                f"a student of kind {self.student.kind} does not fit the task {self.task}: {', '.join(sorted(kinds))}"
            )
        metrics = DEV_METRICS["embedding" if embedding else "labelled"]
        if self.train.select_by not in metrics:
            raise ValueError(
                f"train.select_by {self.train.select_by} does not fit the task {self.task}: {', '.join(sorted(metrics))}"
            )
        if self.train.engine == "textbrewer" and embedding:
            raise ValueError("train.engine textbrewer runs the tasks with predictions, not embedding")
        self._teachers()
        self._finetune()
        if self.train.compile is True and self.train.engine == "textbrewer":
            raise ValueError("train.compile belongs to train.engine trainer; TextBrewer's distillers run models as they are")
        self._stored_states()
        self._token_budget()
        self._data_of_task()

    def _token_budget(self) -> None:
        """What batches of so many tokens do not go with."""
        if all(stage.batch_tokens is None for stage in self.stages):
            return
        if self.train.engine == "textbrewer":
            raise ValueError("batch_tokens belongs to train.engine trainer; TextBrewer takes batch_size rows a step")
        if self.data.language_temperature != 1:
            raise ValueError("batch_tokens needs every row once an epoch: leave it out, or data.language_temperature")

    def _stored_states(self) -> None:
        """That states which are to be stored are asked for, and are the same every time a row is read."""
        if self.train.store_states is None:
            return
        names = [{loss.name for loss in stage.losses} for stage in self.stages]
        if not any(asked & STATES for asked in names):
            raise ValueError("train.store_states keeps inner states of the teacher, and no stage has a loss between inner states")
        if any(asked & STATES and asked & MASKED_LM for asked in names):
            raise ValueError("train.store_states: a stage with mlm or mlm_kl masks other tokens at every step; leave it out")
        if self.train.engine == "textbrewer":
            raise ValueError("train.store_states belongs to train.engine trainer; TextBrewer runs the teacher beside the student")

    def _teachers(self) -> None:
        """What several teachers allow."""
        spec, embedding = self.teacher, self.task == "embedding"
        if not spec.others:
            return
        allowed = ("concatenate", "mean") if embedding else ("mean", "confidence") if self.task in CONFIDENT else ("mean",)
        if spec.combine not in allowed:
            raise ValueError(f"teacher.combine '{spec.combine}' does not fit the task {self.task}: {', '.join(allowed)}")
        if not embedding and any(other.prompt is not None for other in spec.others):
            raise ValueError(f"a prompt of teacher.others belongs to the task embedding, not to {self.task}")
        inner = [loss.name for stage in self.stages for loss in stage.losses if loss.name in STATES | MASKED_LM]
        if inner:
            what = "one vector of a sentence" if embedding else "one mean of predictions"
            raise ValueError(f"several teachers have {what}, but no inner states or predicted tokens: leave out {inner[0]}")
        if self.student.kind == "static":
            raise ValueError("a static student is a table of what one teacher says of each token: name one teacher")
        if self.student.kind == "layers" and self.student.start == "teacher":
            raise ValueError(f"of several teachers, student.from names the one to cut: {spec.model}, or another model")

    def _data_of_task(self) -> None:
        """Which data a task has."""
        embedding = self.task == "embedding"
        for name, labelled in self.data.evaluate.items():
            if labelled.kind not in (EMBEDDING_KINDS if embedding else {self.task}):
                raise ValueError(
                    f"the evaluation set '{name}' is of kind {labelled.kind}, which does not fit the task {self.task}"
                )
        if not embedding:
            for part in ("parallel", "start", "teaching"):
                if getattr(self.data, part):
                    raise ValueError(f"data.{part} belongs to the task embedding, not to {self.task}")

    def _finetune(self) -> None:
        """Which kind of fine-tuning a task has, and that the text for it is named."""
        spec, embedding = self.teacher.finetune, self.task == "embedding"
        if spec is None:
            return
        if isinstance(spec, FinetuneSpec) and embedding:
            raise ValueError("the teacher of an embedding task is fine-tuned in stages: teacher.finetune.stages")
        if isinstance(spec, SentenceFinetuneSpec):
            if not embedding:
                raise ValueError(f"teacher.finetune.stages train sentence encoders, not the task {self.task}")
            for stage in spec.stages:
                unknown = [name for name in stage.data if name not in self.data.teaching]
                if unknown:
                    known = ", ".join(self.data.teaching) or "none"
                    raise ValueError(f"teacher.finetune: no data called '{unknown[0]}' in data.teaching, which has {known}")

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values, every default written out."""
        return self.model_dump(mode="json", by_alias=True)

    def with_values(self, **values: Any) -> Recipe:
        """A copy with top-level parts replaced, validated again."""
        return Recipe.model_validate({**self.to_dict(), **values})

    def resolved(self, **chosen: Mapping[Any, Any]) -> Recipe:
        """A copy with what a run has chosen by itself, part by part: `resolved(train={"precision": "bf16"})`."""
        parts = self.to_dict()
        return self.with_values(**{name: {**parts[name], **values} for name, values in chosen.items()})
