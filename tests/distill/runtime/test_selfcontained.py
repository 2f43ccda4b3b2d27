"""Foreign ONNX files: weights outside the file, damage, graphs that are none of ours."""

from __future__ import annotations

import contextlib

import bag
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from distill.errors import ModelError
from distill.runtime.encoder import load
from distill.runtime.selfcontained import external_tensor, require_self_contained
from distill.runtime.session import open_session


def outside(name="secret"):
    """A tensor whose bytes lie in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


def in_initializer(model):
    model.graph.initializer.append(outside())


def in_constant(model):
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=outside()))


def in_branch(model):
    branch = helper.make_graph([helper.make_node("Constant", [], ["c"], value=outside())], "then", [], [])
    outer = helper.make_graph([helper.make_node("If", ["x"], ["c"], then_branch=branch)], "outer", [], [])
    model.graph.node.append(helper.make_node("If", ["x"], ["c"], then_branch=outer))


def in_function(model):
    node = helper.make_node("Constant", [], ["c"], value=outside())
    model.functions.append(helper.make_function("d", "f", [], ["c"], [node], [helper.make_opsetid("", 20)]))


def in_sparse(model):
    sparse = onnx.SparseTensorProto(dims=[4])
    sparse.values.CopyFrom(outside())
    model.graph.sparse_initializer.append(sparse)


def in_list_attribute(model):
    model.graph.node.append(helper.make_node("X", [], ["c"], things=[outside()]))


def in_training(model):
    model.training_info.add().algorithm.initializer.append(outside())


PLACES = [in_initializer, in_constant, in_branch, in_function, in_sparse, in_list_attribute, in_training]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_weights_outside_the_file_are_refused_wherever_they_hide(tmp_path, place):
    model = bag.graph()
    assert external_tensor(model.SerializeToString()) is None
    place(model)
    assert external_tensor(model.SerializeToString()) == "secret"
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="outside itself"):
        open_session(tmp_path / "m.onnx")


def test_either_mark_alone_is_enough():
    model = bag.graph()
    model.graph.initializer.append(outside())
    model.graph.initializer[-1].data_location = TensorProto.DEFAULT
    assert external_tensor(model.SerializeToString()) == "secret"
    model.graph.initializer[-1].data_location = TensorProto.EXTERNAL
    del model.graph.initializer[-1].external_data[:]
    assert external_tensor(model.SerializeToString()) == "secret"


def test_a_model_that_onnx_itself_split_is_refused(tmp_path, monkeypatch):
    """onnxruntime would read `weights.bin` from beside the model: the reason for the check."""
    path = bag.folder(tmp_path / "m", files=("fp32",))
    onnx.save(
        bag.graph(),
        path / "onnx" / "model.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
        convert_attribute=True,
    )
    assert (path / "onnx" / "weights.bin").is_file()
    monkeypatch.chdir(path / "onnx")
    with pytest.raises(ModelError, match="outside itself"):
        load(path)


@pytest.mark.parametrize(
    "raw", [b"", b"garbage", b"\x3a\xff\xff\xff\xff\x7f", b"\x80" * 20, b"\x3a\x05ab", b"\x0b", b"version https://git-lfs"]
)
def test_a_damaged_file(tmp_path, raw):
    (tmp_path / "m.onnx").write_bytes(raw)
    with pytest.raises(ModelError) as caught:
        open_session(tmp_path / "m.onnx")
    assert "m.onnx" in str(caught.value)
    assert caught.value.exit_code == 2


def test_graphs_nested_without_end():
    """A walk that recursed would overflow the stack."""
    raw = b""
    for _ in range(2000):
        graph = b"\x0a" + _sized(b"\x2a" + _sized(b"\x32" + _sized(raw)))  # node, attribute, graph
        raw = graph
    with pytest.raises(ValueError, match="nested"):
        external_tensor(b"\x3a" + _sized(raw))


def _sized(raw):
    """`raw` with its length in front, as protobuf writes it."""
    length, head = len(raw), b""
    while length >= 0x80:
        head += bytes([length & 0x7F | 0x80])
        length >>= 7
    return head + bytes([length]) + raw


@settings(deadline=None, max_examples=150)
@given(cut=st.integers(0, 600), noise=st.binary(max_size=40))
def test_cut_and_noisy_files_never_crash(tmp_path_factory, cut, noise):
    path = tmp_path_factory.mktemp("noise") / "m.onnx"
    path.write_bytes(bag.graph().SerializeToString()[:cut] + noise)
    with contextlib.suppress(ModelError):
        require_self_contained(path)


@settings(deadline=None, max_examples=60)
@given(values=st.lists(st.floats(width=32, allow_nan=False), max_size=8), names=st.lists(st.text(max_size=12), max_size=6))
def test_the_walk_agrees_with_the_onnx_package(values, names):
    """Any names and values that the package can write are walked through; the external tensor at the end is found."""
    model = bag.graph()
    model.graph.doc_string = " ".join(names)
    for number, name in enumerate(names):
        model.graph.initializer.append(helper.make_tensor(f"{name}{number}", TensorProto.FLOAT, [len(values)], values))
        model.metadata_props.add(key=name, value=name)
    assert external_tensor(model.SerializeToString()) is None
    model.graph.initializer.append(outside("last"))
    assert external_tensor(model.SerializeToString()) == "last"


def test_a_graph_that_is_no_sentence_encoder(tmp_path):
    (tmp_path / "m.onnx").write_bytes(bag.graph(output="logits").SerializeToString())
    with pytest.raises(ModelError, match="not a sentence encoder") as caught:
        open_session(tmp_path / "m.onnx")
    assert "logits" in str(caught.value)


def test_an_operator_that_onnxruntime_does_not_know(tmp_path):
    model = bag.graph()
    model.graph.node[0].op_type = "NoSuchOperator"
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="cannot load"):
        open_session(tmp_path / "m.onnx")


def test_a_provider_that_is_not_installed(tmp_path):
    """onnxruntime alone would fall back to the CPU with a warning."""
    (tmp_path / "m.onnx").write_bytes(bag.graph().SerializeToString())
    with pytest.raises(ModelError, match="execution provider") as caught:
        open_session(tmp_path / "m.onnx", providers=["CPUExecutionProvide"])
    assert "did you mean 'CPUExecutionProvider'" in str(caught.value)


def test_large_weights_are_skipped_not_read():
    """The walk jumps over raw data: 40 MB of zeros cost no more than none."""
    import time

    import numpy as np

    model = bag.graph()
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(10_000_000, np.float32), "large"))
    raw = model.SerializeToString()
    start = time.process_time()
    assert external_tensor(raw) is None
    assert time.process_time() - start < 0.2
