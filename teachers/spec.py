"""How a recipe names a teacher. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, field_validator, model_validator


class FinetuneSpec(BaseModel):
    """Training a teacher's task head and body on gold labels, before anything is distilled.

    Attributes:
        epochs, batch_size, learning_rate, warmup: of the training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: float = Field(default=3, gt=0)
    batch_size: StrictInt = Field(default=32, ge=2)
    learning_rate: float = Field(default=3e-5, gt=0, lt=1)
    warmup: float = Field(default=0.1, ge=0, lt=1)


class SentenceStage(BaseModel):
    """One stage of a sentence teacher's training, on sentence-transformers' losses.

    Attributes:
        name: shown in logs; unique.
        objective: `sts_cosine` (squared error of cosine to a score of 0..1), `sts_cosent` (order of cosines, CoSENT),
            `nli_softmax` (classifier over u, v, |u - v|), `nli_ranking` (entailed sentence against contradiction and the
            batch), `triplet` (anchor, positive, negative), `simcse` (a sentence against itself under other dropout),
            `simcse_nli` (supervised SimCSE).
        data: names in `data.teaching`; several are joined.
        epochs, max_steps, batch_size, learning_rate, warmup, weight_decay: of the training.
        scale: inverse temperature of the ranking objectives and of CoSENT; None takes 20.
        margin: of `triplet`, in units of the cosine distance.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    objective: Literal["sts_cosine", "sts_cosent", "nli_softmax", "nli_ranking", "triplet", "simcse", "simcse_nli"]
    data: tuple[str, ...] = Field(min_length=1)
    epochs: float = Field(default=1, gt=0)
    max_steps: StrictInt | None = Field(default=None, ge=1)
    batch_size: StrictInt = Field(default=32, ge=2)
    learning_rate: float = Field(default=2e-5, gt=0, lt=1)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    scale: float | None = Field(default=None, gt=0)
    margin: float = Field(default=0.5, gt=0)


class SentenceFinetuneSpec(BaseModel):
    """Training a sentence teacher on labelled pairs, before anything is distilled.

    Attributes:
        stages: one after the other (continue learning): NLI, then STS.
        pooling: how tokens become a vector; None keeps the model's own. `last4_concat` joins the last four layers,
            `last4_weighted` learns their weights.
        freeze_embeddings: leave the word table as it is, which saves most of the memory of multilingual models.
        precision: numbers inside the matrix products.
        evaluate_every: in epochs; the best checkpoint by `data.select` is kept (without it: the last).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    stages: tuple[SentenceStage, ...] = Field(min_length=1)
    pooling: Literal["mean", "cls", "max", "last4_concat", "last4_weighted"] | None = None
    freeze_embeddings: bool = False
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    evaluate_every: float = Field(default=0.25, gt=0, le=1)

    @field_validator("stages")
    @classmethod
    def _unique(cls, value: tuple[SentenceStage, ...]) -> tuple[SentenceStage, ...]:
        names = [stage.name for stage in value]
        if len(set(names)) != len(names):
            raise ValueError(f"every stage needs a name of its own, got {names}")
        return value


class OtherTeacher(BaseModel):
    """One more teacher beside the first.

    Attributes:
        model: named as `teacher.model` is.
        prompt: text put before every sentence that it reads, as `teacher.prompt`; None keeps its own default prompt.
        max_length: its longest input in tokens; None takes `teacher.max_length`.
        revision: hub commit, tag or branch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str = Field(min_length=1)
    prompt: str | None = None
    max_length: StrictInt | None = Field(default=None, ge=4, le=8192)
    revision: str | None = None


class TeacherSpec(BaseModel):
    """The model that is distilled, or several.

    Attributes:
        model: hub id, folder, or `package:IMPORT_NAME` (an installed package that ships a model folder).
        others: more teachers, each a name or a mapping. `teacher: [A, B]` is short for this.
        combine: how several become one. Embeddings: `concatenate` (the default; unit vectors side by side, as Jasper does) or
            `mean` of unit vectors, for teachers of one space and width. Predictions: `mean` of logits (the default) or
            `confidence`, a mean in which each row has weights of its own (classification and multilabel).
        weights: of the teachers, the first before the others; brought to a sum of 1. None: all the same.
        pca: bring concatenated embeddings to so many numbers, by what a sample of the training text says.
        prompt: text put before every sentence ("query: "), or the name of a prompt the model defines.
            None keeps the model's own default prompt. Of several teachers, the student reads the first's prompt.
        max_length: longest input in tokens; None keeps the model's own.
        revision: hub commit, tag or branch.
        batch_size: sentences per forward when the teacher labels text.
        precision: numbers inside the matrix products when the teacher labels text; `auto` is bf16 where the device multiplies
            it itself, else fp32. What is measured of a teacher is measured in fp32.
        finetune: train it for the task first; None takes it as it is. A sentence encoder is trained in `stages`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str = Field(min_length=1)
    others: tuple[OtherTeacher, ...] = ()
    combine: Literal["concatenate", "mean", "confidence"] | None = None
    weights: tuple[Annotated[float, Field(gt=0, strict=True)], ...] | None = None
    pca: StrictInt | None = Field(default=None, ge=4)
    prompt: str | None = None
    max_length: StrictInt | None = Field(default=None, ge=4, le=8192)
    revision: str | None = None
    batch_size: StrictInt = Field(default=32, ge=1)
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    finetune: FinetuneSpec | SentenceFinetuneSpec | None = None

    @model_validator(mode="after")
    def _several(self) -> TeacherSpec:
        if not self.others:
            alone = [name for name in ("combine", "weights", "pca") if getattr(self, name) is not None]
            if alone:
                raise ValueError(f"{alone[0]} goes with several teachers: teacher: [A, B], or teacher.others")
            return self
        if self.finetune is not None:
            raise ValueError("finetune trains one teacher: train each in a run of its own, then name them here")
        count = len(self.others) + 1
        if self.weights is not None and len(self.weights) != count:
            raise ValueError(f"weights has one number for each of the {count} teachers, got {len(self.weights)}")
        if self.weights is not None and self.combine == "confidence":
            raise ValueError("weights goes with mean and concatenate: combine 'confidence' finds the weights of each row itself")
        if self.pca is not None and self.combine != "concatenate":
            raise ValueError(f"pca goes with combine 'concatenate', not with {self.combine!r}")
        return self

    @property
    def alike(self) -> bool:
        """Whether several teachers have the same say in a plain mean, which is what TextBrewer's `MultiTeacherDistiller` has."""
        return bool(self.others) and self.combine in (None, "mean") and len(set(self.weights or (1.0,))) == 1

    @property
    def every(self) -> tuple[TeacherSpec, ...]:
        """Each teacher as if it were the only one, the first before the others."""
        first = self.model_copy(update={"others": (), "combine": None, "weights": None, "pca": None})
        more = [
            {
                "model": other.model,
                "prompt": other.prompt,
                "max_length": other.max_length or self.max_length,
                "revision": other.revision,
            }
            for other in self.others
        ]
        return (first, *(first.model_copy(update=values) for values in more))
