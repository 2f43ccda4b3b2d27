"""8-bit weights that are fp32 once they are loaded: the values, the blocks, and that loading does it once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, helper, numpy_helper

from distill.export.quantize import quantize
from distill.export.unpacked import rounded, unpacked_products


def graph_of(matrices: dict[str, np.ndarray], *, twice: bool = False) -> onnx.ModelProto:
    """x [n, K] -> one product a matrix; the first one once more where `twice` asks."""
    rows = next(iter(matrices.values())).shape[0]
    names = [*matrices, *list(matrices)[: int(twice)]]
    outs = [f"y{number}" for number in range(len(names))]
    nodes = [
        helper.make_node("MatMul", ["x", name], [out], name=f"product{number}")
        for number, (name, out) in enumerate(zip(names, outs, strict=True))
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", rows])],
        [helper.make_tensor_value_info(out, TensorProto.FLOAT, ["n", None]) for out in outs],
        [numpy_helper.from_array(value, name) for name, value in matrices.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def back(values: np.ndarray, scales: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return (values.astype(np.float32) * scales).reshape(shape)


@pytest.mark.parametrize(
    ("rows", "blocks"),
    [(384, (12, 32)), (312, (12, 26)), (300, (10, 30)), (31, (1, 31)), (37, (1, 37)), (1, (1, 1)), (20, (1, 20))],
)
def test_blocks_divide_what_there_is(rows: int, blocks: tuple[int, int]) -> None:
    values, scales = rounded(np.ones((rows, 3), dtype=np.float32))
    assert values.shape == (*blocks, 3)
    assert scales.shape == (blocks[0], 1, 3)


@given(arrays.arrays(np.float32, (64, 3), elements=st.floats(-1e3, 1e3, width=32)))
def test_no_weight_moves_by_more_than_half_a_step(matrix: np.ndarray) -> None:
    values, scales = rounded(matrix)
    moved = np.abs(back(values, scales, matrix.shape) - matrix).reshape(values.shape)
    assert (moved <= 0.5001 * scales + 1e-30).all()


def test_values_by_hand() -> None:
    matrix = np.array([[127.0, 0.0], [-63.6, 0.0], [0.4, 0.0]], dtype=np.float32)
    values, scales = rounded(matrix)
    assert values[0].tolist() == [[127, 0], [-64, 0], [0, 0]]
    assert scales[0].tolist() == [[1.0, 1.0]]


def test_the_arithmetic_is_that_of_fp32(tmp_path: Path) -> None:
    """Not an approximation of it: the same product of the rounded weights, whatever stands beside a row."""
    rng = np.random.default_rng(0)
    matrices = {name: rng.normal(size=(64, 5)).astype(np.float32) for name in ("a", "b")}
    model = graph_of(matrices, twice=True)
    assert unpacked_products(model, ["product0", "product1", "product2"]) == 3
    onnx.checker.check_model(model)
    assert (
        Counter(weight.data_type for weight in model.graph.initializer)[TensorProto.INT8] == 2
    )  # one a matrix, not one a product
    x = rng.normal(size=(7, 64)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found = session.run(None, {"x": x})
    for got, name in zip(found, ("a", "b", "a"), strict=True):
        weight = back(*rounded(matrices[name]), matrices[name].shape)
        np.testing.assert_allclose(got, x @ weight, rtol=1e-5, atol=1e-5)
    alone = np.concatenate([session.run(["y0"], {"x": x[i : i + 1]})[0] for i in range(len(x))])
    np.testing.assert_allclose(alone, found[0], rtol=1e-6, atol=1e-6)


def test_only_the_named_products_are_turned() -> None:
    model = graph_of({"a": np.ones((8, 2), dtype=np.float32), "b": np.ones((8, 2), dtype=np.float32)})
    unpacked_products(model, ["product1"])
    assert {node.name: node.input[1] for node in model.graph.node if node.op_type == "MatMul"} == {
        "product0": "a",
        "product1": "b_fp32",
    }


def test_the_weights_are_unpacked_when_the_file_is_loaded(tmp_path: Path) -> None:
    """And not at every run: the graph that onnxruntime makes of it has the products alone."""
    matrix = np.random.default_rng(0).normal(size=(64, 512)).astype(np.float32)
    onnx.save(graph_of({"a": matrix}), tmp_path / "plain.onnx")
    assert quantize(tmp_path / "plain.onnx", tmp_path / "small.onnx", "portable") == {"MatMul": 1, "Gather": 0}
    assert (tmp_path / "small.onnx").stat().st_size < 0.32 * (tmp_path / "plain.onnx").stat().st_size
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    onnxruntime.InferenceSession(tmp_path / "small.onnx", options)
    loaded = onnx.load(tmp_path / "loaded.onnx")
    assert [node.op_type for node in loaded.graph.node] == ["MatMul"]
    assert [weight.data_type for weight in loaded.graph.initializer] == [TensorProto.FLOAT]
