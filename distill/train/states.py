"""A module's weights for a file, and back: weights that are one tensor under two names are written once."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def state_of(module: nn.Module) -> dict[str, Tensor]:
    """The state dict without second names of one tensor (a decoder tied to the word table), which safetensors refuses."""
    return without_twins(module.state_dict())


def without_twins(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of tensors that are one the first name alone, in order; the others whole, parts of one memory copied out of it."""
    seen: set[tuple[int, tuple[int, ...], tuple[int, ...]]] = set()
    memory: set[int] = set()
    kept: dict[str, Tensor] = {}
    for name, value in state.items():
        key = (value.data_ptr(), tuple(value.shape), value.stride())
        if value.numel() and key in seen:
            continue
        shared = value.untyped_storage().data_ptr() in memory
        kept[name] = value.clone(memory_format=torch.contiguous_format) if shared else value.contiguous()
        seen.add(key)
        memory.add(value.untyped_storage().data_ptr())
    return kept


def load_state(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load what `state_of` gave.

    Raises:
        RuntimeError: a weight is missing or unknown, second names of tied weights apart.
    """
    wanted = state_of(module)
    if wanted.keys() != state.keys():
        missing, unknown = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
        raise RuntimeError(f"these weights are of another model: missing {missing[:5]}, unknown {unknown[:5]}")
    module.load_state_dict(state, strict=False)
