"""Gemm to MatMul: equal values, nothing lost, nothing else touched."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from distill.export.quantize import quantize
from distill.export.rewrite import gemm_to_matmul, merge_equal_weights, split_lstm_weights


def gemm_model(*, trans_b=0, bias=True, second=(), extra_nodes=(), **attributes):
    """x [n, 5] -> Gemm -> y [n, 3], with ONNX's own parts."""
    shape = (3, 5) if trans_b else (5, 3)
    rng = np.random.default_rng(0)
    weights = [numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), "w")]
    if bias:
        weights.append(numpy_helper.from_array(rng.normal(size=3).astype(np.float32), "b"))
    node = helper.make_node("Gemm", ["x", "w", *(["b"] if bias else [])], ["y"], name="dense", transB=trans_b, **attributes)
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in ("y", *second)]
    graph = helper.make_graph(
        [node, *extra_nodes], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 5])], outputs, weights
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model):
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"x": np.arange(10, dtype=np.float32).reshape(2, 5)})


def kinds(model):
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("bias", [True, False])
def test_a_dense_layer_becomes_a_product_of_equal_value(trans_b, bias):
    model = gemm_model(trans_b=trans_b, bias=bias)
    before = run(model)
    assert gemm_to_matmul(model) == 1
    assert kinds(model) == (["MatMul", "Add"] if bias else ["MatMul"])
    np.testing.assert_allclose(run(model)[0], before[0], rtol=1e-5)
    assert {w.name for w in model.graph.initializer} == {"w_matmul_0", *(["b"] if bias else [])}
    assert tuple(model.graph.initializer[0 if not bias else 1].dims) == (5, 3)
    assert gemm_to_matmul(model) == 0


@pytest.mark.parametrize("attributes", [{"alpha": 0.5}, {"beta": 2.0}])
def test_a_scaled_product_is_left_alone(attributes):
    model = gemm_model(**attributes)
    before = run(model)
    assert gemm_to_matmul(model) == 0
    assert kinds(model) == ["Gemm"]
    np.testing.assert_array_equal(run(model)[0], before[0])


def test_a_weight_that_something_else_reads_stays():
    model = gemm_model(second=("z",), extra_nodes=[helper.make_node("MatMul", ["x", "w"], ["z"])])
    before = run(model)
    gemm_to_matmul(model)
    for found, expected in zip(run(model), before, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_weight_that_only_a_branch_reads_stays():
    """Nodes inside an If see the graph's weights, too."""
    condition = helper.make_node("Constant", [], ["yes"], value=helper.make_tensor("c", TensorProto.BOOL, [], [True]))
    result = helper.make_tensor_value_info("r", TensorProto.FLOAT, ["n", 3])
    branch = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["r"])], "branch", [], [result])
    choice = helper.make_node("If", ["yes"], ["z"], then_branch=branch, else_branch=branch)
    model = gemm_model(second=("z",), extra_nodes=[condition, choice])
    before = run(model)
    assert gemm_to_matmul(model) == 1
    for found, expected in zip(run(model), before, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_head_of_an_exported_model_is_a_product(exported):
    graph = onnx.load(exported("bert").onnx()).graph
    assert "Gemm" not in {node.op_type for node in graph.node}
    heads = [w for w in graph.initializer if list(w.dims) == [32, 24]]
    assert len(heads) == 1
    dense = exported("bert").model[2].linear
    np.testing.assert_array_equal(numpy_helper.to_array(heads[0]), dense.weight.detach().numpy().T)


def lstm_model():
    """x [2, 1, 3] through two LSTM nodes that share their matrices."""
    rng = np.random.default_rng(0)
    shapes = {"w": (1, 16, 3), "r": (1, 16, 4), "b": (1, 32)}
    weights = [numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name) for name, shape in shapes.items()]
    nodes = [
        helper.make_node("LSTM", [x, "w", "r", "b"], [y], name=f"lstm_{y}", hidden_size=4) for x, y in (("x", "y"), ("z", "v"))
    ]
    value = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 1, 3]) for name in ("x", "z")}
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 1, 1, 4]) for name in ("y", "v")]
    graph = helper.make_graph(nodes, "g", list(value.values()), outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_shared_lstm_matrices_are_parted_and_put_together_again():
    model = lstm_model()
    before = model.SerializeToString(deterministic=True)
    assert split_lstm_weights(model) == 2
    assert len({name for node in model.graph.node for name in node.input[1:3]}) == 4
    assert len(model.graph.initializer) == 5
    merge_equal_weights(model)
    assert model.SerializeToString(deterministic=True) == before
    assert split_lstm_weights(lstm_model()) == 2


def test_weights_that_only_look_alike_are_not_merged():
    """Equal bytes of another shape or type; equal weights that are an output."""
    model = lstm_model()
    zeros = [np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float32), np.zeros((2, 3), np.int32)]
    model.graph.initializer.extend(numpy_helper.from_array(value, f"z{place}") for place, value in enumerate(zeros))
    model.graph.initializer.append(numpy_helper.from_array(zeros[0], "told"))
    model.graph.output.append(helper.make_tensor_value_info("told", TensorProto.FLOAT, [2, 3]))
    merge_equal_weights(model)
    assert [w.name for w in model.graph.initializer] == ["w", "r", "b", "z0", "z1", "z2", "told"]


def test_fast_quantizes_two_lstm_nodes_of_one_matrix_and_keeps_one_copy(tmp_path):
    onnx.save(lstm_model(), tmp_path / "plain.onnx")
    assert quantize(tmp_path / "plain.onnx", tmp_path / "fast.onnx", "fast") == {"MatMul": 0, "Gather": 0, "LSTM": 2}
    assert quantize(tmp_path / "plain.onnx", tmp_path / "faithful.onnx", "faithful") == {"MatMul": 0, "Gather": 0, "LSTM": 0}
    graph = onnx.load(tmp_path / "fast.onnx").graph
    assert [node.op_type for node in graph.node] == ["DynamicQuantizeLSTM"] * 2
    assert sum(w.data_type == TensorProto.INT8 and len(w.dims) == 3 for w in graph.initializer) == 2
    rng = np.random.default_rng(1)
    feeds = {name: rng.normal(size=(2, 1, 3)).astype(np.float32) for name in ("x", "z")}
    exact, fast, faithful = (
        onnxruntime.InferenceSession(tmp_path / f"{name}.onnx").run(None, feeds) for name in ("plain", "fast", "faithful")
    )
    for a, b, c in zip(exact, fast, faithful, strict=True):
        np.testing.assert_allclose(b, a, atol=0.03)
        np.testing.assert_array_equal(c, a)
