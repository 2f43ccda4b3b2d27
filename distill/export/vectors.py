"""What a session says of texts, and what neighbours and padding change in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evaluate.agreement import row_cosines
from ..runtime.session import open_session
from ..runtime.text import TextInput

PADDED = 128
"""Tokens that a sentence is padded to, where the model takes as many."""


def encode_with(session: Any, reader: TextInput, texts: Sequence[str], size: int, padded: int = 0) -> NDArray[np.float32]:
    """Vectors of texts, [n, d]; texts of like length together.

    Args:
        session: of an exported sentence encoder.
        reader: of its folder.
        texts: without the prompt.
        size: texts a batch.
        padded: tokens that every batch is padded to at least.
    """
    names = [node.name for node in session.get_inputs()]
    encodings = reader.tokenize([reader.default_prompt + text for text in texts])
    order = sorted(range(len(encodings)), key=lambda row: -len(encodings[row].ids))
    found: list[Any] = [None] * len(order)
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        arrays = reader.pad([encodings[row] for row in rows])
        more = max(min(padded, reader.max_length) - arrays["input_ids"].shape[1], 0)
        sides = (more, 0) if reader.pad_left else (0, more)
        for name, array in arrays.items():
            filler = reader.pad_id if name == "input_ids" else 0
            arrays[name] = np.pad(array, ((0, 0), sides), constant_values=filler)
        (vectors,) = session.run(["sentence_embedding"], {name: arrays[name] for name in names})
        for row, vector in zip(rows, vectors, strict=True):
            found[row] = vector
    return np.stack(found)


def invariance(file: Path, texts: Sequence[str], alone: NDArray[np.float32]) -> dict[str, float] | None:
    """The lowest cosine between a sentence alone and the same sentence in a batch of 8, of 32, and padded.

    Args:
        file: in onnx/ of an exported folder.
        texts: without the prompt.
        alone: what the file says of each sentence alone, [n, d].

    Returns:
        {"batch_8", "batch_32", "padded_128"}; None where a number is none.
    """
    session, reader = open_session(file), TextInput(file.parent.parent)
    found = {f"batch_{size}": encode_with(session, reader, texts, size) for size in (8, 32)}
    found[f"padded_{PADDED}"] = encode_with(session, reader, texts, 1, PADDED)
    least = {name: float(cosines(alone, vectors).min()) for name, vectors in found.items()}
    return least if np.isfinite(list(least.values())).all() else None


def cosines(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosine of each row to its counterpart, [n]. Zero and zero agree: a token table says that of a text it cannot read."""
    return np.where(first.any(1) | second.any(1), row_cosines(first, second), 1.0)
