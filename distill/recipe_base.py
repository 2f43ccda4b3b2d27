"""The base of every part of a recipe. Imports no torch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Schema(BaseModel):
    """Base of every part of a recipe: no unknown key passes, nothing changes afterwards; true, inf and nan are no numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_number(cls, values: Any) -> Any:
        for name, value in values.items() if isinstance(values, dict) else ():
            field = cls.model_fields.get(name)
            found = [item for item in (value if isinstance(value, list | tuple) else [value]) if isinstance(item, bool)]
            if field is not None and found and "bool" not in str(field.annotation):
                raise ValueError(f"{name}: {str(found[0]).lower()} is no value for this")
        return values


class WeightedLoss(Schema):
    """Base of every loss entry.

    Attributes:
        weight: its share in the total.
        weight_schedule: how the share changes over the steps of the stage: it stays, falls to zero, or rises from zero.
    """

    weight: float = Field(default=1.0, gt=0)
    weight_schedule: Literal["constant", "linear_decay", "linear_growth"] = "constant"
