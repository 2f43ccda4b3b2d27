"""Which numbers to train with: measured, not assumed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from .objective import Objective

GAIN = 1.1
"""bf16 has to be this much faster to be chosen."""


def step_seconds(objective: Objective, batch: Mapping[str, Tensor], bf16: bool, repeats: int = 3) -> float:
    """Seconds of one forward and backward: the best of `repeats`, after one that warms up. Gradients are cleared.

    Args:
        objective: left as it was, random state included.
        batch: what the objective takes.
        bf16: run matrix products in bfloat16.
        repeats: timed passes.
    """
    return min([one_step(objective, batch, bf16)[0] for _ in range(repeats + 1)][1:])


def one_step(objective: Objective, batch: Mapping[str, Tensor], bf16: bool) -> tuple[float, float]:
    """Seconds of one forward and backward, and the loss. Gradients are cleared, the random state is left as it was."""
    kind = batch["input_ids"].device.type
    with torch.random.fork_rng():
        start = time.perf_counter()
        with torch.autocast(kind, dtype=torch.bfloat16, enabled=bf16):
            loss = objective(**batch)["loss"]
        loss.backward()
        if kind == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    objective.zero_grad(set_to_none=True)
    return seconds, float(loss.detach())


def choose_precision(objective: Objective, batch: Mapping[str, Tensor]) -> tuple[Literal["fp32", "bf16"], str]:
    """Time a step in fp32 and in bf16, in turn, and keep the faster.

    Returns:
        The precision, and the measurement in words.
    """
    seen = [[step_seconds(objective, batch, half, repeats=2) for half in (False, True)] for _ in range(3)]
    fp32, bf16 = (min(pair[i] for pair in seen) for i in (0, 1))
    words = f"a step takes {fp32 * 1000:.0f} ms in fp32, {bf16 * 1000:.0f} ms in bf16"
    return ("bf16" if fp32 > GAIN * bf16 else "fp32"), words
