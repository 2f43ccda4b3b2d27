"""How a recipe names a student. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StrictInt, field_validator, model_validator


class _Spec(BaseModel):
    """Base of every kind of student."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)

    @property
    def start(self) -> str:
        """The model that the student is made of: `teacher`, unless its kind may name another."""
        return "teacher"


class VocabularySpec(BaseModel):
    """Which pieces of the start model's vocabulary a student keeps.

    Attributes:
        size: at most so many, the most frequent ones of the training text; None keeps every piece that occurs in it.
        languages: keep pieces written in these languages' scripts (en, ko, ...), whether they occur or not.
        min_count: a piece must occur so often in the training text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    size: StrictInt | None = Field(default=None, ge=100)
    languages: tuple[str, ...] | None = None
    min_count: StrictInt = Field(default=1, ge=1)


class LayersSpec(_Spec):
    """A student made of some layers of a trained encoder.

    Attributes:
        kind: always `layers`.
        from_: the model to cut from: `teacher`, or any model as in `teacher.model`. Written `from` in a recipe.
        layers: how many layers to keep, or their 0-based indices.
        choose: which layers a number means. `agreement` tries choices on training sentences and keeps the one whose
            untrained cut agrees best with the teacher; `spread` takes them evenly from the first to the last. Tasks
            other than embedding always spread.
        projection: what becomes of the linear bridge that maps the student up to the teacher's width. `keep`
            leaves it in the student, whose vectors then live in the teacher's space; `drop` uses it for
            training alone. Both have no effect where the widths agree. `align` is `keep` whatever the widths: for a
            start model whose vectors lie in another space than the teacher's, such as a multilingual encoder under an
            English teacher. A rotation is then solved for and need not be learnt, at the price of what was learnt before.
        max_length: longest input in tokens; None takes the teacher's, capped by the start model's positions.
        vocabulary: trim the vocabulary; None keeps it.
    """

    kind: Literal["layers"] = "layers"
    from_: str = Field(default="teacher", alias="from", min_length=1)
    layers: StrictInt | tuple[StrictInt, ...] = 3
    choose: Literal["agreement", "spread"] = "agreement"
    projection: Literal["keep", "drop", "align"] = "drop"
    max_length: StrictInt | None = Field(default=None, ge=4, le=8192)
    vocabulary: VocabularySpec | None = None

    @property
    def start(self) -> str:
        """The model that the student is cut from."""
        return self.from_

    @field_validator("layers")
    @classmethod
    def _layers(cls, value: int | tuple[int, ...]) -> int | tuple[int, ...]:
        if isinstance(value, int):
            if value < 1:
                raise ValueError("a student needs at least 1 layer")
            return value
        if not value:
            raise ValueError("a student needs at least 1 layer")
        if list(value) != sorted(set(value)) or value[0] < 0:
            raise ValueError("layer indices must rise, without repeats, from 0")
        return value


Size = Literal["4x312", "6x384", "6x768"]


def shape_problem(size: str | None, layers: int | None, hidden: int | None, heads: int | None) -> str | None:
    """Why these are no shape of a small encoder, in words; None where they are one.

    Args:
        size: by name, in place of the numbers.
        layers, hidden, heads: the numbers, all three.
    """
    if size is not None:
        given = (layers, hidden, heads) != (None, None, None)
        return "a size and numbers of its own exclude each other: leave out size, or layers, hidden and heads" if given else None
    if layers is None or hidden is None or heads is None:
        return f"a small encoder needs a size ({', '.join(get_args(Size))}), or layers, hidden and heads"
    if heads and hidden % heads:
        near = ", ".join(str(count) for count in range(1, min(hidden, 32) + 1) if hidden % count == 0)
        return f"the heads do not divide the width: hidden {hidden}, heads {heads}; heads that do: {near}"
    return None


class TinySpec(_Spec):
    """A small transformer of the teacher's family, made anew.

    Attributes:
        kind: always `tiny`.
        size: `4x312`, `6x384` or `6x768` of the TinyBERT paper and its kin; None takes the four numbers below.
        layers, hidden, heads, intermediate: where `size` is not given; intermediate defaults to 4 x hidden.
        init: `embeddings` starts the word table at the teacher's, brought to the student's width by PCA; `random`.
        projection, max_length, vocabulary: as in a student of layers.
    """

    kind: Literal["tiny"]
    size: Size | None = None
    layers: StrictInt | None = Field(default=None, ge=1)
    hidden: StrictInt | None = Field(default=None, ge=8)
    heads: StrictInt | None = Field(default=None, ge=1)
    intermediate: StrictInt | None = Field(default=None, ge=8)
    init: Literal["embeddings", "random"] = "embeddings"
    projection: Literal["keep", "drop"] = "drop"
    max_length: StrictInt | None = Field(default=None, ge=4, le=8192)
    vocabulary: VocabularySpec | None = None

    @model_validator(mode="after")
    def _shape(self) -> TinySpec:
        problem = shape_problem(self.size, self.layers, self.hidden, self.heads)
        if problem is not None:
            raise ValueError(problem)
        return self


class BiLSTMSpec(_Spec):
    """A bidirectional LSTM over word pieces (Tang et al. 2019). Pairs go through one encoder, side by side.

    Attributes:
        kind: always `bilstm`.
        dim: width of the word table.
        hidden: units of each direction.
        init: `embeddings` starts the word table at the teacher's, brought to `dim` by PCA; `random`.
        max_length, vocabulary: as in a student of layers.
    """

    kind: Literal["bilstm"]
    dim: StrictInt = Field(default=300, ge=8)
    hidden: StrictInt = Field(default=150, ge=4)
    init: Literal["embeddings", "random"] = "embeddings"
    dropout: float = Field(default=0.1, ge=0, lt=1)
    max_length: StrictInt | None = Field(default=None, ge=4, le=8192)
    vocabulary: VocabularySpec | None = None


class StaticSpec(_Spec):
    """A table of token vectors distilled from the teacher: PCA and SIF weights with no data, then training.

    Attributes:
        kind: always `static`.
        dim: width of the table.
        sif: the a in the weight a / (a + p) of a piece of frequency p.
        projection, max_length: as in a student of layers.
    """

    kind: Literal["static"]
    dim: StrictInt = Field(default=256, ge=8)
    sif: float = Field(default=1e-4, gt=0)
    projection: Literal["keep", "drop"] = "drop"
    max_length: StrictInt | None = Field(default=None, ge=4, le=8192)


StudentSpec = Annotated[LayersSpec | TinySpec | BiLSTMSpec | StaticSpec, Field(discriminator="kind")]
