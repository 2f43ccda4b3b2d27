"""Evening out activations changes no value in fp32 and brings int8 nearer to it."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import tiny
from onnx import TensorProto, helper, numpy_helper

from distill.export.quantize import quantize
from distill.export.rewrite import sentence_products
from distill.export.smooth import smooth, text_feeds

ROWS, WIDTH, OUT = 24, 16, 8


def product(shared=False):
    """ids -> look-up -> MatMul (twice the same matrix, if shared): one channel of the table is fifty times larger."""
    random = np.random.default_rng(0)
    table = random.normal(size=(40, WIDTH)).astype(np.float32)
    table[:, 3] *= 50
    matrix = random.normal(size=(WIDTH, OUT)).astype(np.float32)
    square = random.normal(size=(WIDTH, WIDTH)).astype(np.float32)
    weights = [numpy_helper.from_array(v, n) for n, v in (("table", table), ("matrix", matrix), ("square", square))]
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["x"], name="look")]
    if shared:
        nodes += [
            helper.make_node("MatMul", ["x", "square"], ["h"], name="first"),
            helper.make_node("MatMul", ["h", "square"], ["y"], name="second"),
        ]
    else:
        nodes.append(helper.make_node("MatMul", ["x", "matrix"], ["y"], name="first"))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "sequence", WIDTH if shared else OUT])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


FEEDS = [{"input_ids": np.arange(40, dtype=np.int64).reshape(4, 10)}]


def run(model, feeds=FEEDS):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["y"], feed)[0] for feed in feeds])


def test_values_stay_as_they_are_and_channels_come_nearer_to_each_other():
    model, before = product(), run(product())
    assert smooth(model, FEEDS) == 1
    np.testing.assert_allclose(run(model), before, rtol=2e-5, atol=1e-4)
    weights = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
    table, factor = weights["table"], weights["x_smoothing"]
    ranges = np.abs(table).max(0)
    assert ranges.max() / np.median(ranges) > 20
    even = ranges * factor
    assert even.max() / np.median(even) < 1.2 * np.sqrt(ranges.max() / np.median(ranges)), "half of it goes into the weights"


def test_the_scale_is_that_of_the_paper():
    model = product()
    matrix = numpy_helper.to_array(next(w for w in model.graph.initializer if w.name == "matrix"))
    activations = np.abs(numpy_helper.to_array(next(w for w in model.graph.initializer if w.name == "table"))).max(0)
    smooth(model, FEEDS, alpha=0.5)
    factor = numpy_helper.to_array(next(w for w in model.graph.initializer if w.name == "x_smoothing"))
    np.testing.assert_allclose(1 / factor, np.sqrt(activations / np.abs(matrix).max(1)), rtol=1e-5)


def test_int8_is_nearer_to_fp32(tmp_path):
    """The graph's input itself has the large channel here: a look-up table would have an int8 scale of its own."""
    random = np.random.default_rng(1)
    values = random.normal(size=(4, 10, WIDTH)).astype(np.float32)
    values[..., 3] *= 50
    matrix = numpy_helper.from_array(random.normal(size=(WIDTH, OUT)).astype(np.float32), "matrix")
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", "sequence", w]) for n, w in (("x", WIDTH), ("y", OUT))]
    copied = helper.make_node("Identity", ["x"], ["z"], name="copy")
    graph = helper.make_graph(
        [copied, helper.make_node("MatMul", ["z", "matrix"], ["y"], name="first")], "g", *([e] for e in ends), [matrix]
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), tmp_path / "fp32.onnx")
    feeds = [{"x": values}]
    wanted = run(onnx.load(tmp_path / "fp32.onnx"), feeds)
    errors = []
    for seen in ((), feeds):
        assert quantize(tmp_path / "fp32.onnx", tmp_path / "int8.onnx", "fast", seen) == {"MatMul": 1, "Gather": 0}
        errors.append(np.abs(run(onnx.load(tmp_path / "int8.onnx"), feeds) - wanted).mean())
    assert errors[1] < 0.6 * errors[0]


def test_a_matrix_that_layers_share_stays_one():
    model = product(shared=True)
    before = model.SerializeToString(deterministic=True)
    assert smooth(model, FEEDS) == 0
    assert model.SerializeToString(deterministic=True) == before


def test_what_is_to_be_left_is_left():
    model = product()
    assert smooth(model, FEEDS, {"first"}) == 0


def test_a_channel_that_is_never_used_is_no_division_by_zero():
    model = product()
    table = next(w for w in model.graph.initializer if w.name == "table")
    values = numpy_helper.to_array(table).copy()
    values[:, 5] = 0
    table.CopyFrom(numpy_helper.from_array(values, "table"))
    before = run(model)
    smooth(model, FEEDS)
    np.testing.assert_allclose(run(model), before, rtol=2e-5, atol=1e-4)


@pytest.mark.slow
def test_a_whole_encoder_says_the_same_and_its_head_is_left(tmp_path):
    from distill.export.onnx import write_presets
    from students.save import save_student

    encoder = tiny.sentence_transformer(layers=2, dim=24)
    save_student(encoder, tmp_path)
    write_presets(encoder, tmp_path, ("fp32",), 20)
    model = onnx.load(tmp_path / "onnx" / "model.onnx")
    feeds = text_feeds(tmp_path, tiny.SENTENCES[:20])
    assert [len(feed["input_ids"]) for feed in feeds] == [8, 8, 4]
    head = sentence_products(model)
    found = [
        onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
        for proto in (onnx.load(tmp_path / "onnx" / "model.onnx"), (smooth(model, feeds, head), model)[1])
    ]
    names = [value.name for value in model.graph.input]
    before, after = (s.run(["sentence_embedding"], {n: feeds[0][n] for n in names})[0] for s in found)
    np.testing.assert_allclose(after, before, atol=1e-5)
    left = [node for node in model.graph.node if node.name in head]
    assert left
    assert not any(node.input[0].endswith("_smoothed") for node in left)
    # query, key and value share one input: four inputs a layer
    assert sum(node.op_type == "Mul" and node.name.endswith("_smoothed") for node in model.graph.node) == 8
