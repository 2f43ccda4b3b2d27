"""What a task model says of every example of a data set, padding cut off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..data.features import TaskCollator
from ..progress import track

Batch = dict[str, Tensor]
Predict = Callable[[Batch], np.ndarray]
"""A padded batch -> its logits, as float [B, C], [B, L, C] (tokens) or [B, 2, L] (spans: start and end)."""


class Features(Protocol):
    """A tokenised data set.

    Attributes:
        lengths: tokens of each example.
    """

    lengths: np.ndarray

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, Any]: ...


def run_over(
    predict: Predict, features: Features, collate: TaskCollator, *, batch_size: int = 32, description: str = ""
) -> list[np.ndarray]:
    """Run a model over a data set, texts of like length together.

    Args:
        predict: the model.
        features: the data set.
        collate: of its task.
        batch_size: examples per run.
        description: of a progress bar; "" shows none.

    Returns:
        For each example its logits without padding: float32 [C], [tokens, C] or [2, tokens].
    """
    order = np.argsort(-np.asarray(features.lengths), kind="stable")
    found: list[np.ndarray] = [np.empty(0, np.float32)] * len(order)
    starts: Any = range(0, len(order), batch_size)
    if description:
        starts = track(starts, total=len(starts), description=description, unit="batches")
    for start in starts:
        rows = order[start : start + batch_size]
        batch = collate([features[int(row)] for row in rows])
        logits = predict(batch)
        for place, row in enumerate(rows):
            found[int(row)] = np.asarray(unpadded(logits[place], int(features.lengths[row]), collate.task), dtype=np.float32)
    return found


def unpadded(logits: np.ndarray, tokens: int, task: str) -> np.ndarray:
    """The logits of one row of so many tokens, without those of its padding."""
    return logits[:tokens] if task == "tokens" else logits[:, :tokens] if task == "spans" else logits


def torch_predict(logits: Callable[[Mapping[str, Tensor]], Tensor], device: torch.device) -> Predict:
    """A torch model as `Predict`: without gradient, on its device. The caller sees to eval mode."""

    def predict(batch: Batch) -> np.ndarray:
        with torch.no_grad():
            moved = {name: value.to(device) for name, value in batch.items()}
            return np.asarray(logits(moved).float().cpu().numpy())

    return predict


def onnx_predict(session: Any, task: str) -> Predict:
    """An onnxruntime session of an exported task model as `Predict`."""
    names = [node.name for node in session.get_inputs()]
    outputs = ["start_logits", "end_logits"] if task == "spans" else ["logits"]

    def predict(batch: Batch) -> np.ndarray:
        found = session.run(outputs, {name: batch[name].numpy() for name in names})
        return np.stack(found, axis=1) if task == "spans" else np.asarray(found[0])

    return predict
