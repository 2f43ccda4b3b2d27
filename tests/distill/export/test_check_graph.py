"""The check of an exported file: what it finds, and each thing that it refuses."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from distill.errors import ModelError, UserError
from distill.export.check_graph import check_graph, check_opset, graph_facts, problems


def graph(nodes=None, *, opset=20, ir=10, shape=("batch", "sequence"), weights=()):
    """input_ids -> y, by default through Identity."""
    given = helper.make_tensor_value_info("input_ids", TensorProto.INT64, shape)
    out = helper.make_tensor_value_info("y", TensorProto.INT64, shape)
    nodes = [helper.make_node("Identity", ["input_ids"], ["y"])] if nodes is None else nodes
    made = helper.make_graph(nodes, "g", [given], [out], weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)


def saved(tmp_path, model):
    onnx.save(model, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def test_what_it_finds_is_named(exported):
    facts = check_graph(exported("bert").onnx("fast"))
    assert facts["opset"]["ai.onnx"] == 20
    assert facts["ir"] <= 10
    assert facts["inputs"]["input_ids"] == "int64 [batch, sequence]"
    assert facts["outputs"]["sentence_embedding"] == "float32 [batch, 24]"
    assert facts["ops"]["com.microsoft.MatMulIntegerToFloat"] > 0
    assert facts["ops"]["com.microsoft.MatMulNBits"] == 1  # the bridge behind the pooling
    assert facts["opset"]["com.microsoft"] == 1
    assert sum(facts["ops"].values()) == facts["nodes"]
    assert facts["training_nodes"] == {}
    assert facts["unknown_domains"] == facts["external_data"] == []
    assert 0 < facts["weights"]["mb"] <= exported("bert").onnx("fast").stat().st_size / 1e6


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (graph(opset=23), "operator set 23"),
        (graph(opset=17), "operator set 17"),
        (graph(ir=11), "IR 11"),
        (graph(shape=(1, "sequence")), r"input_ids of fixed size int64 \[1, sequence\]"),
        (graph([helper.make_node("Dropout", ["input_ids"], ["y"])]), "1 Dropout of training"),
        (graph([helper.make_node("Odd", ["input_ids"], ["y"], domain="my.ops")]), "unknown domain my.ops"),
    ],
)
def test_what_clients_cannot_load_is_refused(tmp_path, model, words):
    with pytest.raises(ModelError, match=words) as caught:
        check_graph(saved(tmp_path, model))
    assert caught.value.exit_code == 2


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    nodes = [helper.make_node("Dropout", ["input_ids"], ["y"])]
    with pytest.raises(ModelError, match=r"operator set 25; IR 12; 1 Dropout of training; input input_ids of fixed size"):
        check_graph(saved(tmp_path, graph(nodes, opset=25, ir=12, shape=(2, 8))))


def test_dropout_inside_a_branch_is_found(tmp_path):
    inner = helper.make_graph(
        [helper.make_node("Dropout", ["input_ids"], ["z"])],
        "branch",
        [],
        [helper.make_tensor_value_info("z", TensorProto.INT64, None)],
    )
    flag = helper.make_tensor("flag", TensorProto.BOOL, [], [True])
    branch = helper.make_node("If", ["flag"], ["y"], then_branch=inner, else_branch=inner)
    assert problems(graph_facts(graph([branch], weights=[flag]))) == ["2 Dropout of training"]


def test_weights_outside_the_file_are_refused(tmp_path):
    model = graph(weights=[helper.make_tensor("w", TensorProto.FLOAT, [4], bytes(16), raw=True)])
    onnx.save(model, tmp_path / "model.onnx", save_as_external_data=True, location="w.data", size_threshold=0)
    with pytest.raises(ModelError, match=r"(?s)outside itself.*'w'"):
        check_graph(tmp_path / "model.onnx")


@pytest.mark.parametrize("data", [b"", b"no graph at all", b"\xff" * 64])
def test_what_is_no_graph_is_refused(tmp_path, data):
    (tmp_path / "model.onnx").write_bytes(data)
    with pytest.raises(ModelError):
        check_graph(tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="no such ONNX file"):
        check_graph(tmp_path / "nothing.onnx")


@given(st.integers(1, 200))
@settings(max_examples=30, deadline=None)
def test_a_file_cut_short_is_refused(tmp_path_factory, lost):
    whole = graph(weights=[helper.make_tensor("w", TensorProto.FLOAT, [64], [0.5] * 64)]).SerializeToString()
    path = tmp_path_factory.mktemp("cut") / "model.onnx"
    path.write_bytes(whole[: max(0, len(whole) - lost)])
    with pytest.raises(ModelError):
        check_graph(path)


@pytest.mark.parametrize("opset", [17, 23])
def test_operator_sets_that_the_oldest_onnxruntime_refuses(opset):
    with pytest.raises(UserError, match=r"(?s)onnxruntime 1\.22.*18 to 22"):
        check_opset(opset)
