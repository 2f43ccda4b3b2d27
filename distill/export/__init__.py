"""Export: one graph from token ids to the sentence embedding, quantized variants, parity proof."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .onnx import export_onnx

__all__ = ["export_onnx"]


def __getattr__(name: str) -> object:
    if name == "export_onnx":
        from .onnx import export_onnx

        return export_onnx
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
