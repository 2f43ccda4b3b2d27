"""The recipe: YAML and dotted overrides -> one frozen, validated object. Imports no torch.

A recipe is resolved when every value that the run will use is written in it; `to_yaml` gives that form,
and it runs again as it is.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from students.spec import StudentSpec
from teachers.spec import TeacherSpec

from .recipe_augment import AugmentSpec, VocabularyMixSpec, with_method
from .recipe_base import Schema
from .recipe_losses import INNER, OF_TASK, EmbeddingCosine, EmbeddingMSE, LossSpec, PairOrder, SimilarityMatrix
from .recipe_tree import normalise

__all__ = [
    "EmbeddingCosine",
    "EmbeddingMSE",
    "LossSpec",
    "PairOrder",
    "Recipe",
    "SimilarityMatrix",
    "VocabularyMixSpec",
    "normalise",
]

Column = str | int
Task = Literal["embedding", "classification", "multilabel", "regression", "tokens", "spans"]
BY_TOKEN = ("tokens", "spans")
"""Tasks whose labels and logits belong to tokens of a text, not to the whole of it."""
LayerMap = Literal["kept", "uniform", "top", "bottom", "skip", "last"]


class SourceSpec(Schema):
    """Where text comes from.

    Attributes:
        source: a file (.txt .csv .tsv .jsonl .parquet, .gz too), a hub dataset id, or `python-docs`
            (English prose of the docstrings that are installed on this machine).
        columns: names or 0-based numbers of the columns to read as sentences; None takes every line of a .txt,
            and the only text column of other formats. Of labelled text: text and label, or text, second text and
            label; None finds the usual names.
        format: file format, where the ending does not tell. `conll` (a word and its tag a line) and `squad` (JSON) are
            for the tasks tokens and spans.
        header: whether a .csv or .tsv starts with column names; None: yes if the columns are given by name.
        quoting: whether double quotes mean anything in .csv/.tsv; None: yes for csv, no for tsv.
        split: which split of a hub dataset.
        subset: which configuration of a hub dataset.
        revision: commit of a hub dataset.
        limit: at most this many sentences, taken in order.
        encoding: of a text file.
    """

    source: str = Field(min_length=1)
    columns: tuple[Column, ...] | None = None
    format: Literal["txt", "csv", "tsv", "jsonl", "parquet", "conll", "squad"] | None = None
    header: bool | None = None
    quoting: bool | None = None
    split: str = "train"
    subset: str | None = None
    revision: str | None = None
    limit: int | None = Field(default=None, ge=1)
    encoding: str = "utf-8"


class ShareSpec(Schema):
    """Hold out this share of the training sentences, chosen by hash."""

    share: float = Field(default=0.05, gt=0, le=0.5)


class EvaluationSpec(SourceSpec):
    """A labelled evaluation set.

    Attributes:
        kind: `sts`: two sentences and a similarity score; otherwise the recipe's task, which is the default there.
        columns: sentence 1, sentence 2, score; None finds the usual names (sentence1, sentence2, score). For other
            kinds as in training data.
    """

    kind: Literal["sts", "classification", "multilabel", "regression", "tokens", "spans"] = "sts"
    split: str = "test"

    @model_validator(mode="after")
    def _three(self) -> EvaluationSpec:
        if self.kind == "sts" and self.columns is not None and len(self.columns) != 3:
            raise ValueError("an sts set needs three columns: sentence 1, sentence 2, score")
        return self


class DataSpec(Schema):
    """Text for training, for choosing the best checkpoint and for the final numbers.

    Attributes:
        train: one source or several.
        dev: a share of train, held out by hash, or a source of its own.
        dev_limit: at most this many dev sentences.
        evaluate: name -> labelled set, measured once at the end; their sentences are removed from train and dev.
        select: a labelled set to choose the best checkpoint by, instead of agreement with the teacher.
        on_bad_row: stop at a malformed row, or skip and count it.
        augment: make more training examples out of those that are there, see `distill.recipe_augment`.
        min_chars, max_chars: sentences outside these lengths are dropped and counted.
        unlabelled: further text for a labelled task: the teacher's predictions are all its labels.
        labels: the names of the labels, in the order of the student's outputs; None takes those that occur.
        label_separator: between the labels of a multi-label row that is written as text.
        stride: tokens shared by neighbouring windows of a long context (task spans).
        joined_words: whether the words of the task tokens are written without spaces between them.
        answer_unit: what the F1 of answers counts: words, or characters as Korean benchmarks do.
    """

    train: tuple[SourceSpec, ...] = Field(min_length=1)
    dev: ShareSpec | SourceSpec = ShareSpec()
    dev_limit: int = Field(default=1000, ge=2, le=5000)
    evaluate: dict[str, EvaluationSpec] = Field(default={})
    select: EvaluationSpec | None = None
    on_bad_row: Literal["error", "skip"] = "error"
    min_chars: int = Field(default=3, ge=1)
    max_chars: int = Field(default=2000, ge=10)
    augment: AugmentSpec | None = None
    unlabelled: tuple[SourceSpec, ...] = ()
    labels: tuple[str, ...] | None = Field(default=None, min_length=1)
    label_separator: str = Field(default="|", min_length=1)
    stride: int = Field(default=64, ge=0)
    joined_words: bool = False
    answer_unit: Literal["word", "character"] = "word"

    @field_validator("augment", mode="before")
    @classmethod
    def _method(cls, value: Any) -> Any:
        return with_method(value)

    @field_validator("evaluate")
    @classmethod
    def _names(cls, value: dict[str, EvaluationSpec]) -> dict[str, EvaluationSpec]:
        for name in value:
            if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
                raise ValueError(f"an evaluation set is named with letters, digits, '-' and '_', got '{name}'")
            if name == "agreement":
                raise ValueError("'agreement' is the name of the agreement with the teacher: name this evaluation set otherwise")
        return value


class StageSpec(Schema):
    """One stage of training.

    Attributes:
        name: shown in logs; unique in the recipe.
        losses: what is minimised: the weighted sum.
        epochs: passes over the data; may be a fraction.
        max_steps: stop after this many optimizer steps, whatever `epochs` says.
        batch_size: sentences per step and process.
        warmup: share of the steps in which the rate rises.
        schedule: how the rate falls afterwards.
        layer_map: which teacher layer each student layer learns from, for losses between inner states: `kept` (the
            one it was copied from), `uniform` (the last layer of each of the teacher's equal blocks), `top`, `bottom`, `skip`
            (PKD's: every k-th, the last left out), `last` (the last layers alone), or pairs of 0-based numbers [teacher,
            student]. None is `kept` for a student that was cut from its teacher, else `uniform`.
        data: the rows trained on: `train` (with `data.unlabelled`, if there is any) or `labelled` alone.
        toward: whose embeddings the stage trains toward. `start` is the uncut model that the student was cut from: a
            student with a bridge first becomes a good small copy of it, and is mapped to the teacher afterwards.
    """

    name: str = "main"
    losses: tuple[LossSpec, ...] = Field(min_length=1)
    layer_map: LayerMap | Annotated[tuple[tuple[int, int], ...], Field(min_length=1)] | None = None
    epochs: float = Field(default=2, gt=0)
    max_steps: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=3e-4, gt=0, lt=1)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    data: Literal["train", "labelled"] = "train"
    toward: Literal["teacher", "start"] = "teacher"


class TrainSpec(Schema):
    """How every stage is trained.

    Attributes:
        engine: `trainer` is transformers.Trainer; `textbrewer` runs TextBrewer's GeneralDistiller on the losses that both
            define, without resume or mixed precision.
        precision: numbers inside the student's matrix products; `auto` times a step of each and keeps the faster.
        select_by: dev metric that chooses the checkpoint to keep. `task_metric` (accuracy, F1, ...) is the default of
            labelled tasks; `loss` is the dev loss, for stages whose outputs say nothing yet.
        evaluate_every: in epochs if below or equal to 1, else in steps.
        patience: stop after this many evaluations without a better one; None never stops early.
        gradient_accumulation: batches per optimizer step.
        dropout: of the student while it trains; None keeps the model's own. A student that copies a fixed function has
            no labels to overfit, so none is the default.
        report_to: trackers that transformers knows (tensorboard, wandb, ...).
    """

    engine: Literal["trainer", "textbrewer"] = "trainer"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    select_by: Literal["agreement_spearman", "agreement_cosine", "sts_spearman", "task_metric", "loss"] = "agreement_spearman"
    evaluate_every: float = Field(default=0.25, gt=0)
    patience: int | None = Field(default=4, ge=1)
    gradient_accumulation: int = Field(default=1, ge=1)
    dropout: float | None = Field(default=0.0, ge=0, lt=1)
    weight_decay: float = Field(default=0.01, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    report_to: tuple[str, ...] = ()


class ExportSpec(Schema):
    """Which ONNX files to write. `fp32` is always among them: the others are made from it."""

    presets: tuple[Literal["fp32", "fast", "faithful"], ...] = ("fp32", "fast", "faithful")
    opset: int = Field(default=20, ge=18, le=23)

    @field_validator("presets")
    @classmethod
    def _fp32(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "fp32" not in value:
            raise ValueError("presets must hold 'fp32': the others are made from it")
        if len(set(value)) != len(value):
            raise ValueError("a preset is named twice")
        return value


class MeasureSpec(Schema):
    """The grid of latency measurements, each variant in a process of its own.

    Attributes:
        batch, sequence, threads: every combination is timed; sequence in tokens.
        min_runs, min_seconds: both are met by every row.
    """

    batch: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(default=(1, 32), min_length=1)
    sequence: tuple[Annotated[int, Field(ge=4, le=8192)], ...] = Field(default=(32, 128), min_length=1)
    threads: tuple[Annotated[int, Field(ge=1, le=256)], ...] = Field(default=(1,), min_length=1)
    min_runs: int = Field(default=30, ge=3)
    min_seconds: float = Field(default=1.0, ge=0)


class ReportSpec(Schema):
    """Language of the report's prose."""

    language: Literal["en"] = "en"


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
    measure: MeasureSpec = MeasureSpec()
    report: ReportSpec = ReportSpec()

    @model_validator(mode="after")
    def _together(self) -> Recipe:
        names = [stage.name for stage in self.stages]
        if len(set(names)) != len(names):
            raise ValueError(f"every stage needs a name of its own, got {names}")
        goals = [stage.toward for stage in self.stages]
        if "start" in goals and self.student.start == "teacher":
            raise ValueError("a stage toward 'start' needs student.from to be another model than the teacher")
        if goals != sorted(goals) or "teacher" not in goals:
            raise ValueError(f"stages toward 'start' come first and one toward 'teacher' last, got {goals}")
        if self.train.select_by == "sts_spearman" and self.data.select is None:
            raise ValueError("train.select_by 'sts_spearman' needs data.select, a labelled set")
        self._of_task()
        return self

    def _of_task(self) -> None:
        """What a task allows: its losses, kinds of students, of evaluation sets and of dev metrics."""
        allowed = OF_TASK[self.task] | INNER
        for stage in self.stages:
            wrong = [loss.name for loss in stage.losses if loss.name not in allowed]
            if wrong:
                fitting = ", ".join(sorted(OF_TASK[self.task]))
                raise ValueError(
                    f"the loss {wrong[0]} is none of the task {self.task}, which has {fitting} and those of inner states"
                )
            repeated = len({loss.name for loss in stage.losses}) < len(stage.losses)
            if repeated:
                raise ValueError(f"stage '{stage.name}' names a loss twice")
        embedding = self.task == "embedding"
        kinds = {"layers", "tiny", "static"} if embedding else {"layers", "tiny"}
        if self.task in ("classification", "multilabel", "regression"):
            kinds |= {"bilstm"}
        if self.student.kind not in kinds:
            raise ValueError(
                f"a student of kind {self.student.kind} does not fit the task {self.task}: {', '.join(sorted(kinds))}"
            )
        metrics = {"task_metric", "loss"} if not embedding else {"agreement_spearman", "agreement_cosine", "sts_spearman"}
        if self.train.select_by not in metrics:
            raise ValueError(
                f"train.select_by {self.train.select_by} does not fit the task {self.task}: {', '.join(sorted(metrics))}"
            )
        for name, labelled in self.data.evaluate.items():
            if labelled.kind != ("sts" if embedding else self.task):
                raise ValueError(
                    f"the evaluation set '{name}' is of kind {labelled.kind}, which does not fit the task {self.task}"
                )
        if embedding and self.teacher.finetune is not None:
            raise ValueError("teacher.finetune trains task heads; an embedding teacher has none")
        if self.train.engine == "textbrewer" and embedding:
            raise ValueError("train.engine textbrewer runs the tasks with predictions, not embedding")

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values, every default written out."""
        return self.model_dump(mode="json", by_alias=True)

    def with_values(self, **values: Any) -> Recipe:
        """A copy with top-level parts replaced, validated again."""
        return Recipe.model_validate({**self.to_dict(), **values})
