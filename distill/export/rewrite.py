"""Small changes to an exported graph that keep its values: what the quantizers need to see every weight."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx
from onnx import helper, numpy_helper

TURNED = "_matmul"
"""Ends the name of a product that was a Gemm: its left side has two axes, one row per sentence."""


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
        nodes.append(helper.make_node("MatMul", [node.input[0], name], [product], name=f"{node.name}{TURNED}"))
        if biased:
            nodes.append(helper.make_node("Add", [product, node.input[2]], [node.output[0]], name=f"{node.name}_add"))
        turned += 1
    del graph.node[:]
    graph.node.extend(nodes)
    drop_unused(graph)
    return turned


def drop_unused(graph: onnx.GraphProto) -> None:
    """Take out, in place, the weights that no node reads and no output is."""
    used = {name for node in every_node(graph.node) for name in node.input} | {output.name for output in graph.output}
    kept = [w for w in graph.initializer if w.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def sentence_products(model: onnx.ModelProto) -> list[str]:
    """Names of the products that run once per sentence, not once per token: a dense head after pooling, a classifier.

    Args:
        model: a graph that `gemm_to_matmul` went over. A product of constants alone (relative positions) is none.

    Returns:
        Node names, in the graph's order.
    """
    constant = {w.name for w in model.graph.initializer} | {""}
    found = []
    for node in model.graph.node:
        if all(name in constant for name in node.input):
            constant.update(node.output)
        elif node.op_type == "MatMul" and node.name.endswith(TURNED) and f"{TURNED}_" in node.input[1]:
            found.append(node.name)
    return found


def split_lstm_weights(model: onnx.ModelProto) -> int:
    """Give every LSTM matrices of its own, in place: onnxruntime's quantizer turns a shared matrix for one node alone.

    Returns:
        How many copies were made; `merge_equal_weights` undoes them.
    """
    weights = {w.name: w for w in model.graph.initializer}
    seen: set[str] = set()
    copies = 0
    for node in model.graph.node:
        for place in (1, 2) if node.op_type == "LSTM" else ():
            name = node.input[place]
            if name in seen and name in weights:
                copy = onnx.TensorProto()
                copy.CopyFrom(weights[name])
                copy.name = node.input[place] = f"{name}_copy_{copies}"
                model.graph.initializer.append(copy)
                copies += 1
            seen.add(name)
    return copies


def merge_equal_weights(model: onnx.ModelProto) -> None:
    """Keep one of several weights of equal shape, type and bytes, in place. Branches and loops are not looked into."""
    first: dict[bytes, str] = {}
    renamed: dict[str, str] = {}
    outputs = {output.name for output in model.graph.output}
    inner = {name for node in every_node(model.graph.node) for name in node.input} - {
        name for node in model.graph.node for name in node.input
    }
    kept = []
    for weight in model.graph.initializer:
        bare = onnx.TensorProto()
        bare.CopyFrom(weight)
        bare.ClearField("name")
        known = first.setdefault(bare.SerializeToString(deterministic=True), weight.name)
        if known == weight.name or weight.name in outputs | inner:
            kept.append(weight)
        else:
            renamed[weight.name] = known
    for node in model.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


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
