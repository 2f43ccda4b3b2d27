"""How much memory a stage will take at most, known before its first step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import psutil
import torch
from torch import Tensor

from ..progress import memory_mb, note
from .ahead import AHEAD
from .objective import Objective
from .trainer import Collate, Rows

SAMPLE = 4
"""Rows that are run to learn what one row takes."""

OPTIMIZER = 12
"""Bytes a trained number takes beside itself: its gradient and AdamW's two averages, in fp32."""


@dataclass(frozen=True)
class Memory:
    """Megabytes of a stage, on the machine's memory or a GPU's.

    Attributes:
        now: what the process holds before the first step.
        training: gradients and averages of the optimizer.
        batch: what a batch of the longest rows keeps for the backward pass, and the batches that wait behind it.
        free: what the machine, or the GPU, could still give.
    """

    now: float
    training: float
    batch: float
    free: float

    @property
    def peak(self) -> float:
        """All of it."""
        return self.now + self.training + self.batch

    @property
    def fits(self) -> bool:
        """Whether it is there."""
        return self.training + self.batch <= self.free


def stage_memory(
    objective: Objective, rows: Rows, collate: Collate, batch_size: int, *, bf16: bool, accumulation: int = 1
) -> Memory:
    """Estimate the peak of a stage: a few of the longest rows are run forward, and scaled to a whole batch.

    Tensors that grow with the square of the batch, and what an operator needs for a moment, are not in it.

    Args:
        objective: left as it was, random state included.
        rows, collate: of the stage.
        batch_size: rows a step and process.
        bf16: whether products run in bfloat16.
        accumulation: batches of an optimizer step: all of them are there at once, those made ahead behind them.
    """
    count = min(SAMPLE, batch_size, len(rows))
    longest = np.argsort(-np.asarray(rows.lengths), kind="stable")[:count]
    batch = collate([rows[int(row)] for row in longest])
    batch.pop("row")
    weights = list(objective.parameters())
    device = weights[0].device
    kept = saved_bytes(objective, {name: value.to(device) for name, value in batch.items()}, bf16=bf16)
    given = (accumulation + AHEAD + 1) * sum(value.nbytes for value in batch.values())
    trained = sum(weight.numel() for weight in weights if weight.requires_grad)
    cuda = torch.cuda.is_available()
    free = torch.cuda.mem_get_info()[0] if cuda else psutil.virtual_memory().available
    now = sum(weight.nbytes for weight in weights) / 1e6 if cuda else memory_mb()
    return Memory(now, trained * OPTIMIZER / 1e6, (kept + given) / count * batch_size / 1e6, free / 1e6)


def saved_bytes(objective: Objective, batch: Mapping[str, Tensor], *, bf16: bool = False) -> int:
    """Bytes that a forward pass keeps for the backward pass, weights and the batch itself apart."""
    apart = {value.untyped_storage().data_ptr() for value in [*objective.parameters(), *objective.buffers(), *batch.values()]}
    seen: dict[int, int] = {}

    def keep(value: Tensor) -> Tensor:
        memory = value.untyped_storage()
        if memory.data_ptr() not in apart:
            seen[memory.data_ptr()] = memory.nbytes()
        return value.detach()  # the value itself, saved by what made it, would be a circle that nothing ends

    was, kind = objective.training, next(iter(batch.values())).device.type
    objective.train()
    try:
        with torch.random.fork_rng(), torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
            with torch.autocast(kind, dtype=torch.bfloat16, enabled=bf16):
                loss = objective(**batch)["loss"]  # keeps the graph, so that no memory is counted under two names
            del loss
    finally:
        objective.train(was)
    return sum(seen.values())


def tell_memory(found: Memory, stage: str, batch_size: int) -> None:
    """Say what a stage will take, and warn where it is not there."""
    parts = (
        f"{found.now:,.0f} now, {found.training:,.0f} for the optimizer, {found.batch:,.0f} for {batch_size} of the longest rows"
    )
    note(f"training: stage '{stage}' takes about {found.peak:,.0f} MB of memory at most ({parts}); {found.free:,.0f} MB are free")
    if not found.fits:
        note(
            f"warning: that is more than there is; a smaller stages.{stage}.batch_size with train.gradient_accumulation, or a "
            "smaller max_length, takes less"
        )
