"""Smoother activations before int8: what a channel has too much of moves into the weights, so that values stay the same.

int8 gives all channels of an activation one scale. Encoders have a few channels that are ten to a hundred times larger
than the rest, which then share what is left of 8 bits. Dividing each channel by s and multiplying the weight's row by s changes
nothing in exact numbers, and evens out what is quantized (SmoothQuant, Xiao et al. 2022, arXiv 2211.10438).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from ..runtime.text import TextInput
from .calibrate import ChannelRanges, Feeds, channel_ranges
from .rewrite import drop_unused

ALPHA = 0.5
"""How much of the activation's range moves into the weights; 0 moves none, 1 all."""

TEXTS, BATCH = 96, 8
"""How many texts are looked at, and how many at once."""


def text_feeds(folder: Path, texts: Sequence[str]) -> Feeds:
    """Texts as inputs of a graph, as the exported folder's own files say; the first 96 are taken.

    Args:
        folder: a saved encoder with its tokenizer.
        texts: without the prompt.
    """
    reader = TextInput(folder)
    encodings = reader.tokenize([reader.default_prompt + text for text in texts[:TEXTS]])
    return [reader.pad(encodings[start : start + BATCH]) for start in range(0, len(encodings), BATCH)]


def smooth(
    model: onnx.ModelProto,
    feeds: Feeds,
    leave: Collection[str] = (),
    *,
    alpha: float = ALPHA,
    known: ChannelRanges | None = None,
) -> int:
    """Even out the inputs of products with a constant matrix, in place.

    For each such input, with a_k the largest absolute value of channel k over all feeds and w_k that of the row k of all
    matrices it meets: s_k = a_k^alpha / w_k^(1 - alpha). The input is multiplied by 1 / s, the rows of the matrices by s.

    Args:
        model: the fp32 graph.
        feeds: real inputs of the graph: what a user's text gives.
        leave: names of products to leave as they are.
        alpha: see `ALPHA`.
        known: ranges of the products' inputs, where they were looked at already; None looks at `feeds`.

    Returns:
        How many inputs were evened out.
    """
    weights = {w.name: w for w in model.graph.initializer}
    uses = Counter(name for node in model.graph.node for name in node.input)
    groups: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        constant = node.op_type == "MatMul" and node.input[1] in weights and len(weights[node.input[1]].dims) == 2
        # A matrix that several layers share (ALBERT) would become several matrices.
        if constant and uses[node.input[1]] == 1 and node.name not in leave and node.input[0] not in weights:
            groups.setdefault(node.input[0], []).append(node)
    if not groups:
        return 0
    ranges = channel_ranges(model, list(groups), feeds) if known is None else known
    made: dict[str, onnx.NodeProto] = {}
    for name, nodes in groups.items():
        matrices = {node.input[1]: numpy_helper.to_array(weights[node.input[1]]) for node in nodes}
        rows = np.maximum.reduce([np.abs(matrix).max(1) for matrix in matrices.values()])
        scale = _scale(np.maximum(*map(np.abs, ranges[name])), rows, alpha)
        smoothed, factor = f"{name}_smoothed", f"{name}_smoothing"
        model.graph.initializer.append(numpy_helper.from_array((1 / scale).astype(np.float32), factor))
        made[name] = helper.make_node("Mul", [name, factor], [smoothed], name=smoothed)
        for number, node in enumerate(nodes):
            own = f"{node.input[1]}_smoothed_{number}_{len(made)}"
            matrix = (matrices[node.input[1]] * scale[:, None]).astype(np.float32)
            model.graph.initializer.append(numpy_helper.from_array(matrix, own))
            node.input[0], node.input[1] = smoothed, own
    _insert(model, made)
    drop_unused(model.graph)
    return len(made)


def _scale(activations: NDArray[np.float64], rows: NDArray[np.floating], alpha: float) -> NDArray[np.float64]:
    """s for each channel; 1 for a channel that is always, or whose row is, zero."""
    live = (activations > 0) & (rows > 0)
    scale = np.ones_like(activations)
    scale[live] = activations[live] ** alpha / rows[live].astype(np.float64) ** (1 - alpha)
    return np.clip(scale, 1e-3, 1e3)


def _insert(model: onnx.ModelProto, made: Mapping[str, onnx.NodeProto]) -> None:
    """Put each new node behind the one that gives its input."""
    waiting = dict(made)
    ordered = [waiting.pop(value.name) for value in model.graph.input if value.name in waiting]
    for node in model.graph.node:
        ordered.append(node)
        ordered += [waiting.pop(name) for name in node.output if name in waiting]
    del model.graph.node[:]
    model.graph.node.extend(ordered)
