"""Products on 8-bit integers: where an activation's scale comes from decides speed, quality and what a neighbour can change.

`tensor`: one scale for all that is in the batch, found as it comes (dynamic int8): padding and neighbours change a result.
`static`: one scale for ever, found on real text: nothing else in the batch matters, but what exceeds it is cut off.
`token`: a scale for each token, found as it comes: exact about the batch, nearer to fp32, at a little more time.

Weights are int8 with a scale a column in all three. The product itself is onnxruntime's MatMulIntegerToFloat.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from .rewrite import drop_unused
from .rounding import to_int8

Activations = Literal["token", "static", "tensor"]
Ranges = Mapping[str, tuple[float, float]]
"""Name of an activation -> its least and largest value on real text."""

CONTRIB = "com.microsoft"
MIDDLE = 128
"""The zero point of a scale a token. One where the range of real text says, for one-sided values, is worse: rows differ."""
LEAST = 1e-10
"""The smallest scale: of a token that is all zeros."""


def int8_products(model: onnx.ModelProto, names: Collection[str], how: Activations, ranges: Ranges | None = None) -> int:
    """Turn products with a constant matrix into products of 8-bit integers, in place.

    Args:
        model: the graph.
        names: of the MatMul nodes to turn.
        how: where an activation's scale comes from, see the module.
        ranges: of the products' inputs, which `static` needs.

    Returns:
        How many nodes were turned.
    """
    graph = model.graph
    weights = {w.name: w for w in graph.initializer}
    wanted = {n.name for n in graph.node if n.name in names and n.op_type == "MatMul" and n.input[1] in weights}
    readers = Counter(name for node in graph.node for name in node.input)
    readers.update(output.name for output in graph.output)
    biases = _biases(graph, weights, wanted, readers) if how != "token" else {}
    absorbed = {add.output[0] for add, _ in biases.values()}
    matrices: dict[str, tuple[str, str]] = {}
    inputs: dict[str, tuple[str, str, str]] = {}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.output and node.output[0] in absorbed:
            continue
        if node.name not in wanted:
            nodes.append(node)
            continue
        x, weight, out = node.input[0], node.input[1], node.output[0]
        if x not in inputs:
            made, inputs[x] = _QUANTIZED[how](graph, x, f"{x}_{how}", (ranges or {}).get(x))
            nodes += made
        if weight not in matrices:
            matrices[weight] = f"{weight}_int8", f"{weight}_int8_scale"
            values, scales = rounded_columns(numpy_helper.to_array(weights[weight]))
            _constant(graph, matrices[weight][0], values)
            _constant(graph, matrices[weight][1], scales)
        (rows, scale, zero), (matrix, columns) = inputs[x], matrices[weight]
        if how == "token":
            one = _shared(graph, "int8_one", np.array(1, np.float32))
            plain = f"{out}_columns"
            nodes.append(_product(f"{node.name}_int8", [rows, matrix, one, columns, zero], plain))
            nodes.append(helper.make_node("Mul", [plain, scale], [out], name=f"{node.name}_rows"))
        else:
            add, bias = biases.get(node.name, (None, ""))
            result = out if add is None else add.output[0]
            nodes.append(
                _product(f"{node.name}_int8", [rows, matrix, scale, columns, zero, "", bias][: 7 if bias else 5], result)
            )
    del graph.node[:]
    graph.node.extend(nodes)
    drop_unused(graph)
    if wanted and all(opset.domain != CONTRIB for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid(CONTRIB, 1))
    return len(wanted)


def rounded_columns(matrix: NDArray[np.floating]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """[k, n] float -> int8 [k, n] and the scale of each column, float32 [n]."""
    values, scales = to_int8(matrix, 0)
    return values, scales[0]


def scale_of(low: float, high: float) -> tuple[float, int]:
    """The scale and zero point with which uint8 covers a range; zero is always among its values."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255 or 1.0
    return scale, int(np.clip(round(-low / scale), 0, 255))


def _biases(
    graph: onnx.GraphProto, weights: Mapping[str, onnx.TensorProto], wanted: Collection[str], readers: Counter[str]
) -> dict[str, tuple[onnx.NodeProto, str]]:
    """Name of a product -> the Add of a constant vector that alone reads it, and that vector."""
    products = {node.output[0]: node.name for node in graph.node if node.name in wanted and readers[node.output[0]] == 1}
    found = {}
    for node in graph.node:
        for x, bias in (node.input[:2], node.input[1::-1]) if node.op_type == "Add" else ():
            if x in products and bias in weights and len(weights[bias].dims) == 1:
                found[products[x]] = (node, bias)
    return found


def _token(
    graph: onnx.GraphProto, x: str, name: str, around: tuple[float, float] | None
) -> tuple[list[onnx.NodeProto], tuple[str, str, str]]:
    """A scale for each row of x, by its largest absolute value."""
    last = _shared(graph, "int8_last_axis", np.array([-1], np.int64))
    share, least = (
        _shared(graph, key, np.array(value, np.float32)) for key, value in (("int8_share", 1 / 127), ("int8_least", LEAST))
    )
    one = _shared(graph, "int8_one", np.array(1, np.float32))
    middle = _shared(graph, f"int8_zero_{MIDDLE}", np.array(MIDDLE, np.uint8))
    nodes = [
        helper.make_node("Abs", [x], [f"{name}_size"], name=f"{name}_size"),
        helper.make_node("ReduceMax", [f"{name}_size", last], [f"{name}_largest"], name=f"{name}_largest", keepdims=1),
        helper.make_node("Mul", [f"{name}_largest", share], [f"{name}_step"], name=f"{name}_step"),
        helper.make_node("Max", [f"{name}_step", least], [f"{name}_scale"], name=f"{name}_scale"),
        helper.make_node("Reciprocal", [f"{name}_scale"], [f"{name}_shrink"], name=f"{name}_shrink"),
        helper.make_node("Mul", [x, f"{name}_shrink"], [f"{name}_unit"], name=f"{name}_unit"),
        helper.make_node("QuantizeLinear", [f"{name}_unit", one, middle], [name], name=name),
    ]
    return nodes, (name, f"{name}_scale", middle)


def _static(
    graph: onnx.GraphProto, x: str, name: str, around: tuple[float, float] | None
) -> tuple[list[onnx.NodeProto], tuple[str, str, str]]:
    """The scale that real text had."""
    if around is None:
        raise ValueError(f"static int8 needs the range of '{x}'")
    scale, zero = scale_of(*around)
    _constant(graph, f"{name}_scale", np.array(scale, np.float32))
    middle = _shared(graph, f"int8_zero_{zero}", np.array(zero, np.uint8))
    return [helper.make_node("QuantizeLinear", [x, f"{name}_scale", middle], [name], name=name)], (name, f"{name}_scale", middle)


def _tensor(
    graph: onnx.GraphProto, x: str, name: str, around: tuple[float, float] | None
) -> tuple[list[onnx.NodeProto], tuple[str, str, str]]:
    """The scale of what is there."""
    outputs = [name, f"{name}_scale", f"{name}_zero"]
    return [helper.make_node("DynamicQuantizeLinear", [x], outputs, name=name)], (outputs[0], outputs[1], outputs[2])


_QUANTIZED = {"token": _token, "static": _static, "tensor": _tensor}


def _product(name: str, inputs: list[str], output: str) -> onnx.NodeProto:
    """a [.., k] uint8 times b [k, n] int8, times both scales: float32 [.., n]."""
    return helper.make_node("MatMulIntegerToFloat", inputs, [output], name=name, domain=CONTRIB)


def _constant(graph: onnx.GraphProto, name: str, value: NDArray) -> str:
    graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def _shared(graph: onnx.GraphProto, name: str, value: NDArray) -> str:
    """A constant that many nodes read, made at the first call."""
    if all(weight.name != name for weight in graph.initializer):
        _constant(graph, name, value)
    return name
