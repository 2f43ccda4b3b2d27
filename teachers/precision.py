"""Numbers inside a teacher's matrix products while it labels text."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, Literal

import torch

Precision = Literal["fp32", "bf16"]


def native_bf16() -> bool:
    """Whether the device that models are loaded on multiplies bfloat16 itself: a GPU, or a CPU with AVX512-BF16 or AMX."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def resolve(asked: Literal["auto", "fp32", "bf16"]) -> Precision:
    """The precision that a recipe's `teacher.precision` means here; `auto` is bf16 where the device has it."""
    if asked == "auto":
        return "bf16" if native_bf16() else "fp32"
    return asked


def products(precision: Precision, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Matrix products in this precision, as torch's autocast has it: the sums of a layer's input and output stay float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def keyed(key: Mapping[str, Any], precision: Precision) -> dict[str, Any]:
    """A teacher's fingerprint with what it is asked in: labels of two precisions never share a store."""
    return dict(key) if precision == "fp32" else {**key, "precision": precision}
