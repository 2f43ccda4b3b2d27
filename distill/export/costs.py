"""What each form of a group costs: milliseconds, timed on this machine with matrices of its shape, and megabytes in the file."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .assemble import assemble
from .groups import Group

TOKENS = 32
"""Tokens in a timed run: one sentence, as in the headline of a report."""
ROUNDS, REPEATS = 9, 5
MS_PER_MB = 0.001
"""A megabyte in the file weighs as much as a microsecond: it decides where time does not."""
BYTES = {"fp32": 4.0, "blocks": 1.125, "token": 1.0, "static": 1.0, "rows": 1.0, "dynamic": 1.0}
RELATIVE = {"fp32": 1.0, "blocks": 0.65, "token": 0.42, "static": 0.35, "dynamic": 0.5}
"""Where nothing can be timed: the cost of a multiplication in each form, fp32 = 1, as on a CPU with int8 dot products."""
COUNTED_PER_MS = 8e7
"""Multiplications in fp32 that count as a millisecond where nothing is timed."""

Costs = Mapping[str, Mapping[str, tuple[float, float]]]
"""Name of a group -> form -> (milliseconds, megabytes)."""


def group_costs(groups: Sequence[Group], *, timed: bool = True) -> tuple[dict[str, dict[str, tuple[float, float]]], str]:
    """What each form of each group costs for one sentence of `TOKENS` tokens, on one thread.

    Look-ups take no time that could be told apart; LSTMs are counted.

    Args:
        groups: of one graph.
        timed: False counts multiplications instead of timing them: equal on every machine.

    Returns:
        The costs, and how they were found: `timed`, or `counted` where that was asked for or the timing was of no use
        (a form's runs differed by more than two times).
    """
    found: dict[str, dict[str, tuple[float, float]]] = {}
    known: dict[Any, dict[str, float]] = {}
    for group in groups:
        key = (group.kind, group.shapes, group.per_token)
        if timed and group.kind == "MatMul" and key not in known:
            milliseconds = _timed(group)
            if milliseconds is None:
                return group_costs(groups, timed=False)
            known[key] = milliseconds
        mine = known.get(key) or {form: _counted(group, form) for form in group.forms}
        found[group.name] = {form: (mine[form], group.weights * BYTES[form] / 1e6) for form in group.forms}
    return found, "timed" if timed else "counted"


def total(costs: Costs, chosen: Mapping[str, str]) -> float:
    """The cost of a choice of forms, in milliseconds, megabytes weighed in."""
    return sum(weighed(costs[name][form]) for name, form in chosen.items())


def weighed(cost: tuple[float, float]) -> float:
    """Milliseconds, with megabytes weighed in."""
    return cost[0] + MS_PER_MB * cost[1]


def _counted(group: Group, form: str) -> float:
    """Multiplications, weighed by form, as milliseconds."""
    if group.kind == "Gather":
        return 0.0
    return group.weights * (TOKENS if group.per_token else 1) * RELATIVE[form] / COUNTED_PER_MS


def _timed(group: Group) -> dict[str, float] | None:
    """Milliseconds of CPU of each form, the median of interleaved runs; None where they differ too much to be of use."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    random = np.random.default_rng(0)
    width = group.shapes[0][0]
    feed = {"x": random.standard_normal((1, TOKENS if group.per_token else 1, width)).astype(np.float32)}
    sessions = {}
    for form in group.forms:
        graph = assemble(_products(group), dict.fromkeys(group.nodes, form), {"x": (np.full(width, -4.0), np.full(width, 4.0))})
        sessions[form] = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    taken: dict[str, list[float]] = {form: [] for form in sessions}
    for number in range(ROUNDS + 1):
        for form, session in sessions.items():
            start = time.process_time()
            for _ in range(REPEATS):
                session.run(None, feed)
            if number:  # the first warms up
                taken[form].append((time.process_time() - start) * 1000 / REPEATS)
    low, middle, high = ({form: float(np.percentile(times, share)) for form, times in taken.items()} for share in (25, 50, 75))
    steady = all(middle[form] > 0 and high[form] < 2 * max(low[form], 1e-3) for form in taken)
    return middle if steady else None


def _products(group: Group) -> onnx.ModelProto:
    """A graph of nothing but a group's products, with random matrices of their shapes and a bias each."""
    random = np.random.default_rng(1)
    nodes, weights, outputs = [], [], []
    for number, (name, shape) in enumerate(zip(group.nodes, group.shapes, strict=True)):
        weights.append(numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), f"w{number}"))
        weights.append(numpy_helper.from_array(np.zeros(shape[1], np.float32), f"b{number}"))
        nodes.append(helper.make_node("MatMul", ["x", f"w{number}"], [f"p{number}"], name=name))
        nodes.append(helper.make_node("Add", [f"p{number}", f"b{number}"], [f"y{number}"], name=f"add{number}"))
        outputs.append(helper.make_tensor_value_info(f"y{number}", onnx.TensorProto.FLOAT, None))
    inputs = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["b", "s", group.shapes[0][0]])]
    graph = helper.make_graph(nodes, "products", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
