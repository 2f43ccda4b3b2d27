"""The graph in float16, for GPUs: weights and activations of half the size, inputs and outputs as they were."""

from __future__ import annotations

import warnings

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16

from .assemble import quiet

LARGEST = 65504.0
"""What float16 can hold. A mask's "minus infinity" becomes the least of it."""


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Turn weights and computations into float16; outputs stay float32, token ids int64.

    Args:
        model: the fp32 graph; it is changed on the way, and not to be used any more.

    Returns:
        The graph. onnxruntime runs it on a GPU in float16; its CPU provider computes in float32 and rounds in between.
    """
    del model.graph.value_info[:]
    with warnings.catch_warnings(), quiet():
        warnings.simplefilter("ignore")  # a weight beyond float16's range is cut: the parity gate judges what that does
        return convert_float_to_float16(model, keep_io_types=True, max_finite_val=LARGEST)


def half_weights(model: onnx.ModelProto) -> tuple[int, int]:
    """How many weights of at least two axes are float16, and how many are still float32."""
    kinds = [w.data_type for w in model.graph.initializer if len(w.dims) >= 2]
    return kinds.count(onnx.TensorProto.FLOAT16), kinds.count(onnx.TensorProto.FLOAT)
