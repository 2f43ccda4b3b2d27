"""How a recipe names a student. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, field_validator


class LayersSpec(BaseModel):
    """A student made of some layers of a trained encoder.

    Attributes:
        kind: always `layers`.
        from_: the model to cut from: `teacher`, or any model as in `teacher.model`. Written `from` in a recipe.
        layers: how many layers to keep, or their 0-based indices.
        choose: which layers a number means. `agreement` tries choices on training sentences and keeps the one whose
            untrained cut agrees best with the teacher; `spread` takes them evenly from the first to the last.
        projection: what becomes of the linear bridge that maps the student up to the teacher's width. `keep`
            leaves it in the student, whose vectors then live in the teacher's space; `drop` uses it for
            training alone. Has no effect where the widths agree.
        max_length: longest input in tokens; None takes the teacher's, capped by the start model's positions.
        vocabulary: reserved for vocabulary trimming.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    kind: Literal["layers"] = "layers"
    from_: str = Field(default="teacher", alias="from", min_length=1)
    layers: StrictInt | tuple[StrictInt, ...] = 3
    choose: Literal["agreement", "spread"] = "agreement"
    projection: Literal["keep", "drop"] = "drop"
    max_length: StrictInt | None = Field(default=None, ge=4, le=8192)
    vocabulary: None = None

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


StudentSpec = LayersSpec
