"""Groups of nodes that a precision search decides together: the products that share an input, the look-ups, the LSTMs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from .assemble import candidates
from .rewrite import sentence_products

FORMS = {"MatMul": ("fp32", "blocks", "token", "static"), "Gather": ("fp32", "rows"), "LSTM": ("fp32", "dynamic")}
"""Kind of node -> the forms that a search chooses among, the nearest to fp32 first."""
HEAD_FORMS = ("fp32", "blocks")
"""Of products that run once a sentence: 8-bit activations would lose much and save nothing."""


@dataclass(frozen=True)
class Group:
    """Nodes that have one form.

    Attributes:
        name: unique; made of a weight's name where that tells something.
        kind: MatMul, Gather or LSTM.
        nodes: their names.
        shapes: of the matrix of each node, [k, n]; of a table [rows, width].
        per_token: whether they run once a token, not once a sentence; what multiplies constants alone runs once, too.
    """

    name: str
    kind: str
    nodes: tuple[str, ...]
    shapes: tuple[tuple[int, int], ...]
    per_token: bool = True

    @property
    def forms(self) -> tuple[str, ...]:
        """What the group may become."""
        return FORMS[self.kind] if self.per_token or self.kind != "MatMul" else HEAD_FORMS

    @property
    def weights(self) -> int:
        """How many numbers the matrices hold."""
        return sum(rows * columns for rows, columns in self.shapes)


def find_groups(model: onnx.ModelProto) -> list[Group]:
    """The groups of a graph, in its order. Nodes without a name are given one, in place.

    Products that read one activation (query, key and value) are a group, so are all look-ups; each LSTM is one. Products
    that share a matrix across layers (ALBERT) are one group: the file holds one matrix only if they have one form.
    """
    kinds, heads = candidates(model), set(sentence_products(model))
    sizes = {w.name: tuple(map(int, w.dims)) for w in model.graph.initializer}
    # The exporter names a bias as torch does, a matrix that it turned by a number; equal biases it merges.
    uses = Counter(name for node in model.graph.node for name in node.input)
    adds = [node for node in model.graph.node if node.op_type == "Add"]
    torch_names = {x: b for n in adds for x, b in (n.input[:2], n.input[1::-1]) if b in sizes and uses[b] == 1}
    members: dict[str, list[onnx.NodeProto]] = {}
    shared: dict[str, str] = {}
    for node in model.graph.node:
        kind = kinds.get(node.name)
        if kind is None:
            continue
        key = {"Gather": "look-ups", "LSTM": f"LSTM {node.name}"}.get(kind) or f"input {node.input[0]}"
        if kind == "MatMul":
            key = shared.setdefault(node.input[1], key)
        members.setdefault(key, []).append(node)
    groups: list[Group] = []
    for nodes in members.values():
        kind, first = kinds[nodes[0].name], nodes[0]
        place = {"Gather": 0, "MatMul": 1, "LSTM": 1}[kind]
        shapes = tuple((sizes[node.input[place]][-2], sizes[node.input[place]][-1]) for node in nodes)
        if kind == "LSTM":  # input and recurrent weights, both directions: [directions, 4h, k] and [directions, 4h, h]
            shapes = tuple(
                (sum(sizes[n.input[i]][0] * sizes[n.input[i]][2] for i in (1, 2)), sizes[n.input[1]][1]) for n in nodes
            )
        name = _title(kind, [torch_names.get(node.output[0], node.input[place]) for node in nodes], first.name)
        names = {group.name for group in groups}
        title = next(n for n in (name, *(f"{name} ({i})" for i in range(2, 10000))) if n not in names)
        per_token = first.name not in heads and (kind != "MatMul" or first.input[0] not in sizes)
        groups.append(Group(title, kind, tuple(n.name for n in nodes), shapes, per_token))
    return groups


def _title(kind: str, weights: Sequence[str], node: str) -> str:
    """What a group is called: by its weight as torch named it, without what all have in common; else by its node."""
    if kind == "Gather":
        return "embeddings"
    layer = next((found[0] for name in weights if (found := re.search(r"layers?\.\d+\.[A-Za-z_.]+", name))), None)
    known = layer or next((name for name in weights if re.fullmatch(r"[A-Za-z_][A-Za-z_.]*\.(weight|bias)", name)), None)
    more = f" + {len(weights) - 1}" if len(weights) > 1 else ""
    return (re.sub(r"\.(weight|bias)$", "", known) if known else node) + more
