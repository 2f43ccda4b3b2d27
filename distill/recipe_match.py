"""A loss between chosen layers, as TextBrewer's `intermediate_matches` name them. Imports no torch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from .recipe_base import Schema, WeightedLoss

MatchLoss = Literal[
    "attention_mse", "attention_mse_sum", "attention_ce", "attention_ce_mean",
    "hidden_mse", "cos", "pkd", "fsp", "gram", "nst", "mmd",
]  # fmt: skip
OF_TWO_LAYERS = frozenset({"fsp", "gram", "nst", "mmd"})
"""Matches that compare what lies between two layers."""
TEXTBREWER_ALONE = frozenset({"attention_ce", "attention_ce_mean"})
"""Matches that this toolkit does not define: their softmax is over what has been through one."""
PROJECTIONS = ("linear", "relu", "tanh")
PROJECTION_SETTINGS = ("lr", "weight_decay")


class Matched(Schema):
    """One of TextBrewer's `intermediate_matches`, in its own words.

    Attributes:
        layer_T, layer_S: numbers in the teacher's and in the student's list of the feature: of `hidden`, 0 is what the
            first layer sees and n what layer n gives; of `attention`, 0 is the first layer. Two numbers for fsp and nst.
        feature: which list.
        loss: `gram` is fsp, `mmd` is nst.
        weight: its share in the total.
        proj: map of the student's states: [linear | relu | tanh, the student's width, the teacher's width], maybe with a
            mapping of `lr` and `weight_decay` for the optimizer; None for none.
    """

    layer_T: int | tuple[int, int]
    layer_S: int | tuple[int, int]
    feature: Literal["hidden", "attention"]
    loss: MatchLoss
    weight: float = Field(gt=0)
    proj: tuple[Any, ...] | None = None

    @field_validator("layer_T", "layer_S", mode="before")
    @classmethod
    def _layer(cls, value: Any) -> int | tuple[int, int]:
        numbers = value if isinstance(value, list | tuple) else [value]
        whole = all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in numbers)
        if not whole or (numbers is value and len(numbers) != 2):
            raise ValueError(f"expected a whole number from 0, or a list of two, got {value!r}")
        return (numbers[0], numbers[1]) if numbers is value else numbers[0]

    @field_validator("proj", mode="before")
    @classmethod
    def _projection(cls, value: Any) -> Any:
        if value is None:
            return None
        form = f"[{' | '.join(PROJECTIONS)}, the student's width, the teacher's width], maybe with a mapping"
        if not isinstance(value, list | tuple) or len(value) not in (3, 4):
            raise ValueError(f"expected {form}, got {value!r}")
        if value[0] not in PROJECTIONS:
            raise ValueError(f"no projection is called {value[0]!r}: {', '.join(PROJECTIONS)}")
        if not all(isinstance(width, int) and not isinstance(width, bool) and width > 0 for width in value[1:3]):
            raise ValueError(f"expected {form}, got {value!r}")
        if len(value) == 3 or value[3] == {}:
            return tuple(value[:3])
        settings = value[3]
        if not isinstance(settings, dict) or set(settings) - set(PROJECTION_SETTINGS):
            raise ValueError(f"of a projection's optimizer {' and '.join(PROJECTION_SETTINGS)} can be set, got {settings!r}")
        if not all(isinstance(number, int | float) and 0 <= number < 1 for number in settings.values()):
            raise ValueError(f"expected numbers from 0 to 1, got {settings!r}")
        return (*value[:3], dict(settings))

    @model_validator(mode="after")
    def _fitting(self) -> Matched:
        of_attention = self.loss.startswith("attention")
        if of_attention != (self.feature == "attention"):
            raise ValueError(f"the loss {self.loss} compares {'attention' if of_attention else 'hidden'}, not {self.feature}")
        pairs = [isinstance(layer, tuple) for layer in (self.layer_T, self.layer_S)]
        if pairs != [self.loss in OF_TWO_LAYERS] * 2:
            wanted = "two layers of each model, as [1, 2]" if self.loss in OF_TWO_LAYERS else "one layer of each model"
            raise ValueError(f"the loss {self.loss} takes {wanted}, got layer_T {self.layer_T}, layer_S {self.layer_S}")
        if of_attention and self.proj is not None:
            raise ValueError("attention has no width to project")
        return self


class Match(Matched, WeightedLoss):
    """A loss between chosen layers, as TextBrewer's configurations name them.

    Attributes:
        origin: the file and entry that it was read from, for errors.
    """

    name: Literal["match"]
    origin: str | None = None

    @property
    def term(self) -> str:
        """What logs call it: loss, student layer, teacher layer."""
        return "_".join([self.loss, *("-".join(map(str, _listed(layer))) for layer in (self.layer_S, self.layer_T))])


def _listed(layer: int | tuple[int, int]) -> tuple[int, ...]:
    return layer if isinstance(layer, tuple) else (layer,)


def term_of(loss: Any) -> str:
    """What logs call a loss of a recipe."""
    return loss.term if isinstance(loss, Match) else str(loss.name)
