"""Smaller ONNX files from the fp32 one, and the proof that what should be quantized is.

`fast`: int8 weights with a scale a column; int8 activations, evened out before (`smooth`), with a scale a token or, behind a
layer normalisation, a fixed one (`int8`); int8 tables with a scale a row. `faithful`: 8-bit weights in blocks of 32 (MatMulNBits,
whose kernel quantizes activations per row and block), and the same tables: nearly lossless. `portable`: the same weights, fp32
once they are loaded (`unpacked`). None minds what else is in the batch, but for an LSTM in `fast`, whose operator has one scale a
batch. `fp16`: for GPUs (`half`).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx

from ..errors import DistillError
from ..files import atomic_write
from ..runtime.precision import FILES
from .assemble import Choices, assemble, candidates, preset_choices
from .calibrate import ChannelRanges, Feeds, channel_ranges, product_inputs
from .half import half_weights, to_half
from .rewrite import every_node
from .unpacked import is_unpacked

__all__ = ["FILES", "expected_nodes", "quantize", "quantized_nodes", "strip", "write_choices"]


PRODUCTS = ("MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "MatMulNBits", "QLinearMatMul")
"""Products of 8-bit weights."""


def expected_nodes(model: onnx.ModelProto, preset: str = "fast") -> Counter[str]:
    """What a quantizer has to turn: products with a constant matrix, look-ups in a float table, LSTM layers.

    Args:
        model: the fp32 graph.
        preset: `faithful` and `portable` have no 8-bit form of an LSTM and leave it in fp32: there it is not expected.

    Returns:
        {"MatMul": n, "Gather": m}, and {"LSTM": k} where there are any.
    """
    found = Counter(candidates(model).values())
    if preset != "fast":
        del found["LSTM"]
    return found


def quantized_nodes(model: onnx.ModelProto) -> Counter[str]:
    """How many nodes of a quantized graph run on 8-bit weights: {"MatMul": n, "Gather": m}, and "LSTM" where there are any."""
    weights = {w.name: w for w in model.graph.initializer}
    makers = {out: node for node in model.graph.node for out in node.output}
    found: Counter[str] = Counter()
    for node in model.graph.node:
        found["MatMul"] += node.op_type == "MatMul" and is_unpacked(node.input[1], makers, weights)
        if node.op_type in PRODUCTS and any(name in weights for name in node.input[1:2]):
            found["MatMul"] += 1
        if node.op_type == "Gather" and node.input[0] in weights:
            kind = weights[node.input[0]].data_type
            found["Gather"] += kind in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8) and len(weights[node.input[0]].dims) == 2
        if node.op_type == "DynamicQuantizeLSTM":
            found["LSTM"] += 1
    return found


def quantize(source: Path, target: Path, preset: str, feeds: Feeds = ()) -> dict[str, int]:
    """Write the smaller form of an fp32 graph.

    Args:
        source: the fp32 .onnx file, self-contained.
        target: the file to write; whole or absent.
        preset: `fast`, `faithful`, `portable` or `fp16`.
        feeds: real inputs of the graph, by which `fast` evens out activations before they become int8; none: as they are.

    Returns:
        {"MatMul": n, "Gather": m}: how many nodes were quantized: all that could be. A graph with LSTM layers has them
        under "LSTM"; `faithful` and `portable` leave them in fp32, which is told as 0. Of `fp16` {"float16": how many matrices}.

    Raises:
        DistillError: a node was left in fp32 that should have been turned.
    """
    model = onnx.load(source)
    if preset == "fp16":
        return _write_half(model, source, target)
    ranges = channel_ranges(model, product_inputs(model), feeds) if preset == "fast" and feeds else None
    choices = preset_choices(model, preset, calibrated=bool(ranges))
    return write_choices(model, choices, target, ranges, source=source.name, preset=preset)


def write_choices(
    model: onnx.ModelProto, choices: Choices, target: Path, ranges: ChannelRanges | None, *, source: str, preset: str
) -> dict[str, int]:
    """Write a graph in which each node has its chosen form.

    Args:
        model: the fp32 graph; not to be used any more.
        choices, ranges: see `assemble`.
        target: the file to write; whole or absent.
        source, preset: for the error.

    Returns:
        As `quantize`.

    Raises:
        DistillError: a node was left in fp32 that should have been turned.
    """
    kinds = candidates(model)
    expected = Counter(kind for name, kind in kinds.items() if choices.get(name, "fp32") != "fp32")
    result = assemble(model, choices, ranges)
    strip(result)
    found = quantized_nodes(result)
    if found != expected:
        raise DistillError(
            f"the quantizer for '{preset}' left nodes in fp32",
            where=source,
            got=dict(found),
            expected=str(dict(expected)),
            hint="this onnxruntime treats the graph differently; use the tested versions of constraints.txt",
        )
    atomic_write(target, result.SerializeToString(deterministic=True))
    recurrent = ["LSTM"] if "LSTM" in kinds.values() else []
    return {name: int(found[name]) for name in ("MatMul", "Gather", *recurrent)}


def _write_half(model: onnx.ModelProto, source: Path, target: Path) -> dict[str, int]:
    """Write the float16 form of a graph."""
    result = to_half(model)
    strip(result)
    half, full = half_weights(result)
    if full:
        raise DistillError(
            "the converter to float16 left matrices in fp32", where=source.name, got=f"{full} of {half + full}", expected="0"
        )
    atomic_write(target, result.SerializeToString(deterministic=True))
    return {"float16": half}


def strip(model: onnx.ModelProto) -> None:
    """Drop what does not compute: stack traces, source paths, documentation, the exporter's own notes. In place."""
    del model.metadata_props[:]
    model.doc_string = ""
    graph = model.graph
    del graph.metadata_props[:]
    del graph.value_info[:]
    graph.doc_string = ""
    functions = [node for function in model.functions for node in function.node]
    nodes = every_node((*graph.node, *functions))
    for part in (*nodes, *graph.initializer, *graph.input, *graph.output, *model.functions):
        part.doc_string = ""
        del part.metadata_props[:]
