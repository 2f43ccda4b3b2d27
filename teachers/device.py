"""The device that a model of this process works on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch
from torch import nn


def own_device() -> torch.device:
    """The GPU of this process, that of its number on this machine (LOCAL_RANK); the CPU where there is none."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    told = [os.environ.get(name, "").strip() for name in ("LOCAL_RANK", "RANK")]
    number = next((int(text) for text in told if text.isascii() and text.isdigit()), 0)
    return torch.device("cuda", number % torch.cuda.device_count())


@contextlib.contextmanager
def at_work(model: nn.Module) -> Iterator[torch.device]:
    """A model on this process's device for the block; one that was on the CPU goes back there.

    Args:
        model: with weights; one that is on a GPU stays on that.

    Yields:
        Where it is.
    """
    before = next(model.parameters()).device
    device = own_device() if before.type == "cpu" else before
    model.to(device)
    try:
        yield device
    finally:
        model.to(before)
