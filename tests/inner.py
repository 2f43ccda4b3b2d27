"""Small encoders whose inner states are captured."""

from __future__ import annotations

import copy
import functools
from typing import Any

import tiny
from torch import Tensor

from teachers.capture import Capture, States, Wanted

LAYERS = 4
EVERY = frozenset(range(LAYERS))
ALL = Wanted(True, EVERY, EVERY, EVERY)
NO_INTERFACE = ("mpnet", "deberta", "deberta-v2")  # their one way to attend is eager
TEXTS = ["A dog runs.", "The old man is reading a book in the morning near the river.", "비를 기다린다"]


@functools.cache
def built(family: str, **shape: int) -> Any:
    return tiny.sentence_transformer(family, **{"layers": LAYERS, **shape})[0].auto_model


def fresh(family: str, **shape: int) -> Any:
    """A model of its own, its config included: same weights every time, eval, sdpa where there is a choice."""
    return copy.deepcopy(built(family, **shape))


def features(family: str = "bert", texts: list[str] = TEXTS) -> dict[str, Tensor]:
    return dict(tiny.tokenizer(family)(texts, padding=True, return_tensors="pt"))


def eager(model: Any) -> Any:
    other = copy.deepcopy(model)
    if other.config.model_type not in NO_INTERFACE:
        other.set_attn_implementation("eager")
    return other


def run(model: Any, wanted: Wanted = ALL, batch: dict[str, Tensor] | None = None) -> States:
    with Capture(model, wanted) as capture:
        model(**(features(model.config.model_type) if batch is None else batch))
        return capture.take()
