"""The recipe: YAML and dotted overrides -> one frozen, validated object. Imports no torch.

A recipe is resolved when every value that the run will use is written in it; `to_yaml` gives that form,
and it runs again as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from students.spec import StudentSpec
from teachers.spec import TeacherSpec

Column = str | int


class Schema(BaseModel):
    """Base of every part of a recipe: no unknown key passes, nothing changes afterwards, true and false are no numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _no_number(cls, values: Any) -> Any:
        for name, value in values.items() if isinstance(values, dict) else ():
            field = cls.model_fields.get(name)
            found = [item for item in (value if isinstance(value, list | tuple) else [value]) if isinstance(item, bool)]
            if field is not None and found and "bool" not in str(field.annotation):
                raise ValueError(f"{name}: {str(found[0]).lower()} is no value for this")
        return values


class SourceSpec(Schema):
    """Where text comes from.

    Attributes:
        source: a file (.txt .csv .tsv .jsonl .parquet, .gz too), a hub dataset id, or `python-docs`
            (English prose of the docstrings that are installed on this machine).
        columns: names or 0-based numbers of the columns to read as sentences; None takes every line of a .txt,
            and the only text column of other formats.
        format: file format, where the ending does not tell.
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
    format: Literal["txt", "csv", "tsv", "jsonl", "parquet"] | None = None
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
        kind: `sts`: two sentences and a similarity score.
        columns: sentence 1, sentence 2, score; None finds the usual names (sentence1, sentence2, score).
    """

    kind: Literal["sts"] = "sts"
    split: str = "test"

    @field_validator("columns")
    @classmethod
    def _three(cls, value: tuple[Column, ...] | None) -> tuple[Column, ...] | None:
        if value is not None and len(value) != 3:
            raise ValueError("an sts set needs three columns: sentence 1, sentence 2, score")
        return value


class VocabularyMixSpec(Schema):
    """More training sentences: words of the teacher's vocabulary put into the corpus's own sentences.

    Attributes:
        method: always `vocabulary_mix`.
        sentences: how many to make.
        share: how likely a word is replaced.
        max_words: longest sentence that is used as a frame.
        words: whether the vocabulary's words are trained on one by one as well.
        replace: train on what was made alone; the corpus then gives frames and dev sentences.
    """

    method: Literal["vocabulary_mix"] = "vocabulary_mix"
    sentences: int = Field(default=20000, ge=1, le=10_000_000)
    share: float = Field(default=0.6, gt=0, le=1)
    max_words: int = Field(default=25, ge=1)
    words: bool = True
    replace: bool = False


class DataSpec(Schema):
    """Text for training, for choosing the best checkpoint and for the final numbers.

    Attributes:
        train: one source or several.
        dev: a share of train, held out by hash, or a source of its own.
        dev_limit: at most this many dev sentences.
        evaluate: name -> labelled set, measured once at the end; their sentences are removed from train and dev.
        select: a labelled set to choose the best checkpoint by, instead of agreement with the teacher.
        on_bad_row: stop at a malformed row, or skip and count it.
        augment: make more training sentences out of those that are there.
        min_chars, max_chars: sentences outside these lengths are dropped and counted.
    """

    train: tuple[SourceSpec, ...] = Field(min_length=1)
    dev: ShareSpec | SourceSpec = ShareSpec()
    dev_limit: int = Field(default=1000, ge=2, le=5000)
    evaluate: dict[str, EvaluationSpec] = {}
    select: EvaluationSpec | None = None
    on_bad_row: Literal["error", "skip"] = "error"
    min_chars: int = Field(default=3, ge=1)
    max_chars: int = Field(default=2000, ge=10)
    augment: VocabularyMixSpec | None = None

    @field_validator("evaluate")
    @classmethod
    def _names(cls, value: dict[str, EvaluationSpec]) -> dict[str, EvaluationSpec]:
        for name in value:
            if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
                raise ValueError(f"an evaluation set is named with letters, digits, '-' and '_', got '{name}'")
            if name == "agreement":
                raise ValueError("'agreement' is the name of the agreement with the teacher: name this evaluation set otherwise")
        return value


class WeightedLoss(Schema):
    """Base of every loss entry: its share in the total."""

    weight: float = Field(default=1.0, gt=0)


class EmbeddingCosine(WeightedLoss):
    """1 - cos(student, teacher), mean over sentences."""

    name: Literal["embedding_cosine"]


class EmbeddingMSE(WeightedLoss):
    """Squared distance of the two vectors, summed over dimensions, mean over sentences."""

    name: Literal["embedding_mse"]


class SimilarityMatrix(WeightedLoss):
    """Squared difference of the two in-batch cosine matrices, mean over distinct pairs."""

    name: Literal["similarity_matrix"]


class PairOrder(WeightedLoss):
    """Hinge where the student orders two pairs of the batch otherwise than the teacher."""

    name: Literal["pair_order"]
    margin: float = Field(default=0.015, ge=0)


LossSpec = Annotated[EmbeddingCosine | EmbeddingMSE | SimilarityMatrix | PairOrder, Field(discriminator="name")]


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
        layer_map: reserved for inner-layer losses.
        data: reserved; `train` is the only choice.
        toward: whose embeddings the stage trains toward. `start` is the uncut model that the student was cut from: a
            student with a bridge first becomes a good small copy of it, and is mapped to the teacher afterwards.
    """

    name: str = "main"
    losses: tuple[LossSpec, ...] = Field(min_length=1)
    layer_map: None = None
    epochs: float = Field(default=2, gt=0)
    max_steps: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=3e-4, gt=0, lt=1)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    data: Literal["train"] = "train"
    toward: Literal["teacher", "start"] = "teacher"


class TrainSpec(Schema):
    """How every stage is trained.

    Attributes:
        engine: `trainer` is transformers.Trainer.
        precision: numbers inside the student's matrix products; `auto` times a step of each and keeps the faster.
        select_by: dev metric that chooses the checkpoint to keep.
        evaluate_every: in epochs if below or equal to 1, else in steps.
        patience: stop after this many evaluations without a better one; None never stops early.
        gradient_accumulation: batches per optimizer step.
        dropout: of the student while it trains; None keeps the model's own. A student that copies a fixed function has
            no labels to overfit, so none is the default.
        report_to: trackers that transformers knows (tensorboard, wandb, ...).
    """

    engine: Literal["trainer"] = "trainer"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    select_by: Literal["agreement_spearman", "agreement_cosine", "sts_spearman"] = "agreement_spearman"
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
    task: Literal["embedding"] = "embedding"
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
        if "start" in goals and self.student.from_ == "teacher":
            raise ValueError("a stage toward 'start' needs student.from to be another model than the teacher")
        if goals != sorted(goals) or "teacher" not in goals:
            raise ValueError(f"stages toward 'start' come first and one toward 'teacher' last, got {goals}")
        if self.train.select_by == "sts_spearman" and self.data.select is None:
            raise ValueError("train.select_by 'sts_spearman' needs data.select, a labelled set")
        return self

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values, every default written out."""
        return self.model_dump(mode="json", by_alias=True)

    def with_values(self, **values: Any) -> Recipe:
        """A copy with top-level parts replaced, validated again."""
        return Recipe.model_validate({**self.to_dict(), **values})


def normalise(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Accept the short spellings: `data.train: file.txt`, one source instead of a list, a bare loss name."""
    tree = dict(raw)
    data = tree.get("data")
    if isinstance(data, Mapping):
        data = dict(data)
        if "train" in data:
            train = data["train"]
            sources = train if isinstance(train, (list, tuple)) else [train]
            data["train"] = [_source(item) for item in sources]
        for key in ("dev", "select"):
            if key in data:
                data[key] = _source(data[key])
        if isinstance(data.get("evaluate"), Mapping):
            data["evaluate"] = {name: _source(item) for name, item in data["evaluate"].items()}
        tree["data"] = data
    if isinstance(tree.get("teacher"), str):
        tree["teacher"] = {"model": tree["teacher"]}
    if isinstance(tree.get("stages"), (list, tuple)):
        tree["stages"] = [_stage(stage) for stage in tree["stages"]]
    return tree


def _source(item: Any) -> Any:
    return {"source": item} if isinstance(item, str) else item


def _stage(stage: Any) -> Any:
    if isinstance(stage, Mapping) and isinstance(stage.get("losses"), (list, tuple)):
        losses = [{"name": loss} if isinstance(loss, str) else loss for loss in stage["losses"]]
        return {**stage, "losses": losses}
    return stage
