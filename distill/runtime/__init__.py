"""Torch-free inference on an exported folder: numpy, onnxruntime and tokenizers alone.

The public names are loaded when first used, so that reading a folder's list of files loads no onnxruntime.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .answers import Answer, QuestionAnswerer
    from .classifier import Classifier, Prediction
    from .encoder import Encoder
    from .kinds import load
    from .pairs import CrossPair
    from .tagger import Entity, Tagged, TokenClassifier, Word

__all__ = [
    "Answer",
    "Classifier",
    "CrossPair",
    "Encoder",
    "Entity",
    "Prediction",
    "QuestionAnswerer",
    "Tagged",
    "TokenClassifier",
    "Word",
    "load",
]

_HOMES = {
    "Answer": "answers",
    "Classifier": "classifier",
    "CrossPair": "pairs",
    "Encoder": "encoder",
    "Entity": "tagger",
    "Prediction": "classifier",
    "QuestionAnswerer": "answers",
    "Tagged": "tagger",
    "TokenClassifier": "tagger",
    "Word": "tagger",
    "load": "kinds",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'distill.runtime' has no attribute '{name}'")
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
