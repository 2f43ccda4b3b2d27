"""Products whose weights are 8-bit numbers in the file and fp32 as soon as it is loaded.

A weight W [K, N] is kept as int8 in blocks of at most 32 rows with a scale a block and column, and the graph itself turns it
back: Cast, Mul, Reshape, of constants alone, which every runtime computes once as it loads the file. From there on the arithmetic
is that of the fp32 file: the same vectors on every machine, in a browser too, where 8-bit activations are rounded otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .rewrite import drop_unused
from .rounding import to_int8

BLOCK = 32
"""Weights of a column that share a scale, at most."""


def unpacked_products(model: onnx.ModelProto, names: Collection[str]) -> int:
    """Keep the constant matrices of some products as 8-bit numbers; in place. Only operators of plain ONNX.

    A weight w becomes round(w / s) with s = max |w| / 127 of its block, and a block of zeros stays one.

    Args:
        model: the graph.
        names: of the MatMul nodes, whose second input is a matrix of the graph.

    Returns:
        How many products there were.
    """
    graph = model.graph
    weights = {w.name: w for w in graph.initializer}
    chosen = [node for node in graph.node if node.name in names]
    made: list[onnx.NodeProto] = []
    for name in dict.fromkeys(node.input[1] for node in chosen):
        matrix = numpy_helper.to_array(weights[name])
        values, scales = rounded(matrix)
        whole, packed, scale, shape = (f"{name}_{part}" for part in ("fp32", "int8", "scale", "shape"))
        size = np.array(matrix.shape, dtype=np.int64)
        graph.initializer.extend(
            numpy_helper.from_array(array, title) for array, title in ((values, packed), (scales, scale), (size, shape))
        )
        made += [
            helper.make_node("Cast", [packed], [f"{packed}_cast"], name=f"{name}_cast", to=onnx.TensorProto.FLOAT),
            helper.make_node("Mul", [f"{packed}_cast", scale], [f"{packed}_scaled"], name=f"{name}_scaled"),
            helper.make_node("Reshape", [f"{packed}_scaled", shape], [whole], name=f"{name}_whole"),
        ]
        for node in chosen:
            if node.input[1] == name:
                node.input[1] = whole
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*made, *rest])
    drop_unused(graph)
    return len(chosen)


def rounded(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[K, N] float32 -> int8 [K / b, b, N] and float32 scales [K / b, 1, N]; b: the largest divisor of K from 8 to 32, else K."""
    rows, columns = matrix.shape
    block = next((size for size in range(BLOCK, 7, -1) if rows % size == 0), rows)
    return to_int8(matrix.reshape(rows // block, block, columns), 1)


def is_unpacked(name: str, makers: Mapping[str, onnx.NodeProto], weights: Mapping[str, onnx.TensorProto]) -> bool:
    """Whether a value is a matrix that was kept as 8-bit numbers.

    Args:
        name: of the value.
        makers: of every value that is computed -> its node.
        weights: of the graph, by name.
    """
    for kind in ("Reshape", "Mul", "Cast"):
        node = makers.get(name)
        if node is None or node.op_type != kind:
            return False
        name = node.input[0]
    return name in weights and weights[name].data_type == onnx.TensorProto.INT8
