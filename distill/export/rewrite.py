"""Small changes to an exported graph that keep its values: what the quantizers need to see every weight."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx
from onnx import helper, numpy_helper


def gemm_to_matmul(model: onnx.ModelProto) -> int:
    """Turn each Gemm with a constant matrix into MatMul and Add, in place.

    The exporter writes a linear layer on a 2-D input (a dense head after pooling) as Gemm, which one of the
    quantizers takes for a product and the other leaves in fp32.

    Args:
        model: the graph; only Gemm with alpha = beta = 1 and an untransposed first input is changed.

    Returns:
        How many nodes were turned.
    """
    graph = model.graph
    weights = {w.name: w for w in graph.initializer}
    turned = 0
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type != "Gemm" or node.input[1] not in weights or not _plain(node):
            nodes.append(node)
            continue
        matrix = numpy_helper.to_array(weights[node.input[1]])
        if _attribute(node, "transB", 0):
            matrix = matrix.T
        name = f"{node.input[1]}_matmul_{turned}"
        graph.initializer.append(numpy_helper.from_array(matrix.copy(), name))
        biased = len(node.input) > 2 and node.input[2] != ""
        product = f"{node.output[0]}_product" if biased else node.output[0]
        nodes.append(helper.make_node("MatMul", [node.input[0], name], [product], name=f"{node.name}_matmul"))
        if biased:
            nodes.append(helper.make_node("Add", [product, node.input[2]], [node.output[0]], name=f"{node.name}_add"))
        turned += 1
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in every_node(graph.node) for name in node.input} | {output.name for output in graph.output}
    kept = [w for w in graph.initializer if w.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return turned


def every_node(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """The nodes, and those of the graphs inside them (branches, loops)."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from every_node(inner.node)


def _attribute(node: onnx.NodeProto, name: str, default: float) -> float:
    """A numeric attribute of a node, or its default."""
    for attribute in node.attribute:
        if attribute.name == name:
            return float(helper.get_attribute_value(attribute))
    return default


def _plain(node: onnx.NodeProto) -> bool:
    """Whether a Gemm is just x @ W (+ b)."""
    return _attribute(node, "alpha", 1) == 1 and _attribute(node, "beta", 1) == 1 and _attribute(node, "transA", 0) == 0
