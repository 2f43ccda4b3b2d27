"""8-bit products: what is near to fp32, and what a neighbour in the batch can and cannot change."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from distill.export.int8 import int8_products, rounded_columns, scale_of

WIDTH, OUT = 24, 12
RANDOM = np.random.default_rng(5)
MATRIX = RANDOM.normal(size=(WIDTH, OUT)).astype(np.float32)
BIAS = RANDOM.normal(size=OUT).astype(np.float32)


def product(bias=True, twice=False):
    """x [b, s, 24] -> MatMul (-> Add), as a graph; `twice`: two products of one input."""
    weights = [numpy_helper.from_array(MATRIX, "matrix"), numpy_helper.from_array(BIAS, "bias")]
    nodes = [helper.make_node("MatMul", ["x", "matrix"], ["p" if bias else "y"], name="dense")]
    if bias:
        nodes.append(helper.make_node("Add", ["p", "bias"], ["y"], name="add"))
    outputs = ["y"]
    if twice:
        nodes.append(helper.make_node("MatMul", ["x", "matrix"], ["z"], name="again"))
        outputs.append("z")
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["b", "s", OUT]) for n in outputs]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", "s", WIDTH])], ends, weights
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def turned(how, around=(-4.0, 4.0), **options):
    model = product(**options)
    assert int8_products(model, {"dense", "again"}, how, None if around is None else {"x": around}) == 1 + options.get(
        "twice", False
    )
    onnx.checker.check_model(model)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def exact(x, bias=True):
    return x @ MATRIX + (BIAS if bias else 0)


@pytest.mark.parametrize("how", ["token", "static", "tensor"])
@pytest.mark.parametrize("bias", [True, False])
def test_values_are_as_near_as_8_bits_allow(how, bias):
    x = RANDOM.normal(size=(2, 5, WIDTH)).astype(np.float32)
    (found,) = turned(how, bias=bias).run(None, {"x": x})
    assert 0 < np.abs(found - exact(x, bias)).max() < 0.02 * np.abs(exact(x, bias)).max() * 3


@pytest.mark.parametrize("how", ["token", "static"])
def test_a_neighbour_changes_nothing(how):
    """The scale of a whole batch, as onnxruntime's dynamic quantizer has it, gives a sentence another vector in other company."""
    alone = RANDOM.normal(size=(1, 3, WIDTH)).astype(np.float32)
    loud = 50 * RANDOM.normal(size=(1, 3, WIDTH)).astype(np.float32)
    session = turned(how)
    (by_itself,), (together,) = session.run(None, {"x": alone}), session.run(None, {"x": np.concatenate([alone, loud])})
    np.testing.assert_allclose(together[:1], by_itself, rtol=1e-6)
    dynamic = turned("tensor")
    (by_itself,), (together,) = dynamic.run(None, {"x": alone}), dynamic.run(None, {"x": np.concatenate([alone, loud])})
    assert np.abs(together[:1] - by_itself).max() > 0.1


def test_one_input_is_quantized_once():
    model = product(twice=True)
    assert int8_products(model, {"dense", "again"}, "token") == 2
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("QuantizeLinear") == 1
    assert kinds.count("MatMulIntegerToFloat") == 2
    assert sum(w.name == "matrix_int8" for w in model.graph.initializer) == 1
    assert all(w.name != "matrix" for w in model.graph.initializer)


def test_what_is_outside_a_fixed_range_is_cut():
    x = np.full((1, 1, WIDTH), 100, np.float32)
    (found,) = turned("static").run(None, {"x": x})
    np.testing.assert_allclose(found[0, 0], exact(np.full((1, 1, WIDTH), 4, np.float32))[0, 0], rtol=0.1, atol=0.5)


def test_a_token_of_zeros_gives_the_bias():
    (found,) = turned("token").run(None, {"x": np.zeros((1, 2, WIDTH), np.float32)})
    np.testing.assert_allclose(found[0, 0], BIAS, atol=1e-6)


def test_a_fixed_scale_needs_a_range():
    with pytest.raises(ValueError, match="range of 'x'"):
        int8_products(product(), {"dense"}, "static")


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 9), st.floats(1e-3, 1e3))
def test_any_shape_and_size_keeps_its_relative_error(batch, length, size):
    x = (size * np.random.default_rng(batch * length).normal(size=(batch, length, WIDTH))).astype(np.float32)
    (found,) = turned("token", None, bias=False).run(None, {"x": x})
    wanted = exact(x, bias=False)
    per_row = np.abs(found - wanted).max(-1) / np.linalg.norm(x, axis=-1)
    assert per_row.max() < 0.05 * np.abs(MATRIX).max()


def test_scales_cover_their_range_and_zero():
    assert scale_of(0.0, 0.0) == (1.0, 0)
    assert scale_of(-1.0, 1.0) == (2 / 255, 128)
    assert scale_of(2.0, 4.0) == (4 / 255, 0)
    values, scales = rounded_columns(np.array([[1.0, 0.0], [-2.0, 0.0]]))
    assert values.tolist() == [[64, 0], [-127, 0]]
    assert scales.tolist() == pytest.approx([2 / 127, 1.0])
