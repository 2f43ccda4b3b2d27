"""Tables in int8 with one scale per row."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from distill.export.quantize import quantize
from distill.export.rows import quantize_rows, tables_alone


def look_up(table: np.ndarray, *extra: onnx.NodeProto) -> onnx.ModelProto:
    """ids [n] -> rows [n, d], and whatever nodes follow."""
    nodes = [helper.make_node("Gather", ["table", "ids"], ["rows"], name="look"), *extra]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(table, "table")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model: onnx.ModelProto, ids: list[int]) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"ids": np.array(ids, np.int64)})[0]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 9), st.integers(0, 999))
def test_no_row_is_further_off_than_half_a_step_of_its_own(n: int, d: int, seed: int) -> None:
    chance = np.random.default_rng(seed)
    table = (chance.normal(size=(n, d)) * 10.0 ** chance.integers(-6, 3, size=(n, 1))).astype(np.float32)
    table[0] = 0
    model = look_up(table)
    assert quantize_rows(model) == 1
    found = run(model, [*range(n), 0])
    step = np.abs(table).max(1, keepdims=True) / 127
    assert (np.abs(found[:n] - table) <= step * 0.5001 + 1e-12).all()
    assert not found[0].any()
    assert not found[n].any()
    assert {w.name: w.data_type for w in model.graph.initializer} == {
        "table_int8": TensorProto.INT8,
        "table_scale": TensorProto.FLOAT,
    }


def test_one_table_looked_up_twice_is_kept_once() -> None:
    table = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    more = [
        helper.make_node("Gather", ["table", "ids"], ["again"], name="b"),
        helper.make_node("Add", ["rows", "again"], ["sum"]),
    ]
    model = look_up(table, *more)
    assert quantize_rows(model) == 2
    assert len(model.graph.initializer) == 2
    np.testing.assert_allclose(run(model, [4, 1]), 2 * table[[4, 1]], atol=0.03)


def test_what_is_no_table_of_rows_stays() -> None:
    table = np.ones((5, 3), np.float32)
    model = look_up(table)
    model.graph.node[0].attribute.append(helper.make_attribute("axis", 1))
    assert quantize_rows(model) == 0
    assert [w.name for w in model.graph.initializer] == ["table"]


def test_a_product_per_token_is_more_than_a_table() -> None:
    table = np.ones((5, 3), np.float32)
    assert tables_alone(look_up(table))
    model = look_up(table, helper.make_node("MatMul", ["rows", "w"], ["out"], name="product"))
    model.graph.initializer.append(numpy_helper.from_array(np.ones((3, 3), np.float32), "w"))
    assert not tables_alone(model)


@pytest.mark.parametrize("preset", ["fast", "faithful"])
def test_short_rows_survive_either_preset(preset, tmp_path) -> None:
    table = np.random.default_rng(1).normal(size=(50, 16)).astype(np.float32)
    table[25:] /= 10_000
    onnx.save(look_up(table), tmp_path / "a.onnx")
    assert quantize(tmp_path / "a.onnx", tmp_path / "b.onnx", preset) == {"MatMul": 0, "Gather": 1}
    found = run(onnx.load(tmp_path / "b.onnx"), list(range(50)))
    cosines = (found * table).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(table, axis=1)
    assert cosines.min() > 0.9999
