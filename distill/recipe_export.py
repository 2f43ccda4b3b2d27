"""The part `export` of a recipe: which ONNX files to write, and what `searched` may lose. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from .recipe_base import Schema


class BudgetSpec(Schema):
    """What the preset `searched` may lose: one of the two.

    Attributes:
        metric_drop: share of the fp32 file's metric on the dev set: 0.005 is half a percent. Of sentence encoders the dev set
            is the sts sets of `data.select`.
        min_cosine: least mean cosine to the fp32 file's vectors (of task models: probabilities) on dev text.
    """

    metric_drop: float | None = Field(default=None, ge=0, lt=1)
    min_cosine: float | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _one(self) -> BudgetSpec:
        if (self.metric_drop is None) == (self.min_cosine is None):
            raise ValueError("a budget is metric_drop or min_cosine, one of them")
        return self


class ExportSpec(Schema):
    """Which ONNX files to write. `fp32` is always among them: the others are made from it.

    Attributes:
        presets: `fast` and `faithful` are 8-bit files for CPUs, `portable` is of their size and gives the same vectors on every
            machine, in a browser too, at the speed of `fp32`; `fp16` is for GPUs, `searched` the quickest mix of precisions
            inside `budget`.
        opset: ONNX operator set.
        budget: of `searched`; None is a metric_drop of 0.005 for task models and a min_cosine of 0.995 for sentence encoders.
    """

    presets: tuple[Literal["fp32", "fast", "faithful", "portable", "fp16", "searched"], ...] = ("fp32", "fast", "faithful")
    opset: int = Field(default=20, ge=18, le=22)
    budget: BudgetSpec | None = None

    @field_validator("presets")
    @classmethod
    def _fp32(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "fp32" not in value:
            raise ValueError("presets must hold 'fp32': the others are made from it")
        if len(set(value)) != len(value):
            raise ValueError("a preset is named twice")
        return value

    @model_validator(mode="after")
    def _spent(self) -> ExportSpec:
        if self.budget is not None and "searched" not in self.presets:
            raise ValueError("export.budget is what the preset 'searched' may lose: add it to export.presets")
        return self
