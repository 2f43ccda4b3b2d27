"""8-bit tables with one scale per row.

onnxruntime's quantizer gives a whole table one scale, by which short rows are rounded away: much of a mean of rows that SIF
weights have made very different in length, and a little of what a transformer reads.
"""

from __future__ import annotations

from collections.abc import Collection

import onnx
from onnx import helper, numpy_helper

from .rewrite import drop_unused, every_node, sentence_products
from .rounding import to_int8


def tables_alone(model: onnx.ModelProto) -> bool:
    """Whether all that a graph does with a token is to look it up: every product runs once per sentence."""
    kinds = {node.op_type for node in every_node(model.graph.node)}
    products = [node.name for node in model.graph.node if node.op_type == "MatMul"]
    return "Gather" in kinds and "LSTM" not in kinds and set(products) == set(sentence_products(model))


def quantize_rows(model: onnx.ModelProto, names: Collection[str] | None = None) -> int:
    """Turn each look-up in a float table into one in an int8 table, times the scale of its row; in place.

    A row r becomes round(r / s) with s = max |r| / 127, and a row of zeros stays one. Only operators of plain ONNX.

    Args:
        model: the graph.
        names: of the look-ups to turn; None: all.

    Returns:
        How many look-ups were turned.
    """
    graph = model.graph
    weights = {w.name: w for w in graph.initializer}
    made: dict[str, tuple[str, str]] = {}
    nodes: list[onnx.NodeProto] = []
    turned = 0
    for node in graph.node:
        table = weights.get(node.input[0]) if node.op_type == "Gather" else None
        wanted = names is None or node.name in names
        if not wanted or table is None or table.data_type != onnx.TensorProto.FLOAT or len(table.dims) != 2 or _axis(node) != 0:
            nodes.append(node)
            continue
        if table.name not in made:
            made[table.name] = (f"{table.name}_int8", f"{table.name}_scale")
            values, scales = to_int8(numpy_helper.to_array(table), 1)
            graph.initializer.append(numpy_helper.from_array(values, made[table.name][0]))
            graph.initializer.append(numpy_helper.from_array(scales, made[table.name][1]))
        out, ids = node.output[0], node.input[1]
        rows, scale = made[table.name]
        nodes += [
            helper.make_node("Gather", [rows, ids], [f"{out}_int8"], name=f"{node.name}_rows"),
            helper.make_node("Cast", [f"{out}_int8"], [f"{out}_cast"], name=f"{node.name}_cast", to=onnx.TensorProto.FLOAT),
            helper.make_node("Gather", [scale, ids], [f"{out}_scale"], name=f"{node.name}_scales"),
            helper.make_node("Mul", [f"{out}_cast", f"{out}_scale"], [out], name=f"{node.name}_scaled"),
        ]
        turned += 1
    del graph.node[:]
    graph.node.extend(nodes)
    drop_unused(graph)
    return turned


def _axis(node: onnx.NodeProto) -> int:
    """Along which axis a Gather looks up."""
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == "axis"), 0)
