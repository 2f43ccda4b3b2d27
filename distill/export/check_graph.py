"""Look at an exported file: what is in it, and whether onnxruntime 1.22 and every client can load it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import onnx

from ..errors import ModelError, UserError
from ..runtime.selfcontained import require_self_contained
from .rewrite import every_node

MIN_OPSET, MAX_OPSET = 18, 22
"""What this toolkit writes. onnxruntime 1.22, the oldest that is supported, refuses an operator set above 22."""
MAX_IR = 10
"""The newest file format that onnxruntime 1.22 reads."""
DOMAINS = frozenset({"", "ai.onnx", "com.microsoft"})
"""Where operators may come from: ONNX itself, and what every build of onnxruntime adds."""
TRAINING = frozenset({"Dropout", "Bernoulli", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"})
"""Operators that a graph for inference has no use for."""


def check_graph(path: Path) -> dict[str, Any]:
    """Look at an ONNX file and refuse one that clients could not load.

    Args:
        path: the .onnx file.

    Returns:
        What was found, see `graph_facts`.

    Raises:
        ModelError: no such file; it is damaged or cut short, keeps weights elsewhere, needs a newer onnxruntime than 1.22, uses
            operators of unknown domains, holds training nodes, or has an input of fixed size. All that is wrong is told.
    """
    if not path.is_file():
        raise ModelError("there is no such ONNX file", where=str(path))
    require_self_contained(path)
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's kind, which has no common base
        raise ModelError("this is not a readable ONNX file", where=str(path), got=error, hint="export the model again") from error
    facts = graph_facts(model)
    wrong = problems(facts)
    if wrong:
        raise ModelError(
            "this ONNX file is not one that every client can load",
            where=str(path),
            got="; ".join(wrong),
            expected=f"operator set {MIN_OPSET} to {MAX_OPSET}, IR up to {MAX_IR}, inputs of symbolic size, nothing of training",
            hint=f"export the model again with `distill export`, --opset {MAX_OPSET} at most",
        )
    return facts


def check_opset(opset: int) -> None:
    """Refuse an operator set that onnxruntime 1.22 does not load.

    Raises:
        UserError: it is not 18 to 22.
    """
    if not MIN_OPSET <= opset <= MAX_OPSET:
        raise UserError(
            "this operator set is not one that onnxruntime 1.22 and newer load",
            where="opset",
            got=opset,
            expected=f"{MIN_OPSET} to {MAX_OPSET}",
        )


def graph_facts(model: onnx.ModelProto) -> dict[str, Any]:
    """What is in a graph, as JSON values.

    Args:
        model: the graph; nodes of branches, loops and local functions count.

    Returns:
        opset {domain: version} of the domains that nodes use, ir, nodes (how many), ops {operator: how many}, most frequent
        first, an operator of another domain than ONNX's own with its domain; inputs and outputs {name: "type [axes]"};
        weights {tensors, mb}; external_data (names of tensors that lie elsewhere), unknown_domains, training_nodes {operator:
        how many}.
    """
    graph = model.graph
    own = {function.domain for function in model.functions}
    nodes = list(every_node((*graph.node, *(node for function in model.functions for node in function.node))))
    used = {_domain(node.domain) for node in nodes}
    ops = Counter(node.op_type if _domain(node.domain) == "ai.onnx" else f"{node.domain}.{node.op_type}" for node in nodes)
    return {
        "opset": {name: entry.version for entry in model.opset_import if (name := _domain(entry.domain)) in used | {"ai.onnx"}},
        "ir": model.ir_version,
        "nodes": len(nodes),
        "ops": dict(sorted(ops.items(), key=lambda item: (-item[1], item[0]))),
        "inputs": {value.name: _told(value) for value in graph.input},
        "outputs": {value.name: _told(value) for value in graph.output},
        "weights": {
            "tensors": len(graph.initializer),
            "mb": round(sum(len(tensor.raw_data) for tensor in graph.initializer) / 1e6, 3),
        },
        "external_data": [tensor.name for tensor in graph.initializer if tensor.data_location == onnx.TensorProto.EXTERNAL],
        "unknown_domains": sorted(used - {_domain(name) for name in DOMAINS | own}),
        "training_nodes": _training(nodes),
    }


def problems(facts: Mapping[str, Any]) -> list[str]:
    """What of a graph's facts keeps clients from loading it, in words; nothing where all is well."""
    found = []
    opset = facts["opset"].get("ai.onnx", 0)
    if not MIN_OPSET <= opset <= MAX_OPSET:
        found.append(f"operator set {opset}")
    if facts["ir"] > MAX_IR:
        found.append(f"IR {facts['ir']}")
    found += [f"weights of {name} outside the file" for name in facts["external_data"][:1]]
    found += [f"operators of the unknown domain {name}" for name in facts["unknown_domains"]]
    found += [f"{count} {name} of training" for name, count in facts["training_nodes"].items()]
    for name, told in facts["inputs"].items():
        axes = told.partition("[")[2].rstrip("]").split(", ")
        if any(axis.isdigit() for axis in axes):
            found.append(f"input {name} of fixed size {told}")
    return found


def _training(nodes: Iterable[onnx.NodeProto]) -> dict[str, int]:
    """Operators of training, and how many there are of each."""
    names = [
        node.op_type
        for node in nodes
        if node.op_type in TRAINING or any(part.name == "training_mode" and part.i for part in node.attribute)
    ]
    return dict(sorted(Counter(names).items()))


def _domain(name: str) -> str:
    return name or "ai.onnx"


def _told(value: onnx.ValueInfoProto) -> str:
    """An input or output in words: int64 [batch, sequence]."""
    tensor = value.type.tensor_type
    kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name if tensor.elem_type else "?"
    axes = [axis.dim_param or (str(axis.dim_value) if axis.HasField("dim_value") else "?") for axis in tensor.shape.dim]
    return f"{kind} [{', '.join(axes)}]"
