"""What real text does to the activations of a graph: the range of every channel. Padding is never looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Feeds = Sequence[Mapping[str, NDArray[np.int64]]]
"""Inputs of a graph: name -> int64 [batch, sequence]."""

ChannelRanges = Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Name of an activation -> the least and the largest value of each of its channels, [k] each."""


def product_inputs(model: onnx.ModelProto) -> list[str]:
    """Names of the activations that are multiplied with a constant matrix, in the graph's order."""
    weights = {w.name for w in model.graph.initializer if len(w.dims) == 2}
    found = [n.input[0] for n in model.graph.node if n.op_type == "MatMul" and n.input[1] in weights]
    known = {w.name for w in model.graph.initializer}
    return [name for name in dict.fromkeys(found) if name not in known]


def channel_ranges(model: onnx.ModelProto, names: Sequence[str], feeds: Feeds) -> ChannelRanges:
    """The least and the largest value of each channel of some activations, over all feeds.

    Rows go through one by one, without their padding.

    Args:
        model: the fp32 graph.
        names: activations [..., k].
        feeds: real inputs of the graph.
    """
    import onnxruntime

    if not names or not feeds:
        return {}
    inputs = [value.name for value in model.graph.input]
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    given = {output.name for output in probe.graph.output}
    probe.graph.output.extend(helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in names if n not in given)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for feed in unpadded(feeds):
        for name, value in zip(names, session.run(list(names), {key: feed[key] for key in inputs}), strict=True):
            rows = value.reshape(-1, value.shape[-1]).astype(np.float64)
            low, high = rows.min(0), rows.max(0)
            if name in found:
                low, high = np.minimum(low, found[name][0]), np.maximum(high, found[name][1])
            found[name] = low, high
    return found


def after_smoothing(model: onnx.ModelProto, ranges: ChannelRanges) -> dict[str, tuple[float, float]]:
    """The range of every product's input in a graph that `smooth` may have gone over, from the ranges before it."""
    factors = {w.name: w for w in model.graph.initializer if w.name.endswith("_smoothing")}
    found = {name: (float(low.min()), float(high.max())) for name, (low, high) in ranges.items()}
    for node in model.graph.node:
        if node.op_type == "Mul" and node.input[1] in factors and node.input[0] in ranges:
            factor = numpy_helper.to_array(factors[node.input[1]]).astype(np.float64)
            low, high = (side * factor for side in ranges[node.input[0]])
            found[node.output[0]] = float(low.min()), float(high.max())
    return found


def unpadded(feeds: Feeds) -> Iterator[dict[str, NDArray]]:
    """Each row of each feed in a batch of its own, without its padding. A feed that has no mask comes as it is."""
    for feed in feeds:
        mask = feed.get("attention_mask")
        if mask is None:
            yield dict(feed)
            continue
        for row, real in enumerate(mask.astype(bool)):
            if real.any():
                yield {name: value[row][None, real] for name, value in feed.items() if value.shape[:2] == mask.shape}
