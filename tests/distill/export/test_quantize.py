"""Quantizing: every node that should, an error where not, and values as near as 8 bits allow."""

from __future__ import annotations

import logging
from collections import Counter
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from distill.errors import DistillError
from distill.export import assemble as steps
from distill.export.assemble import preset_choices
from distill.export.quantize import expected_nodes, quantize, quantized_nodes, strip
from distill.export.rewrite import gemm_to_matmul, sentence_products

WORDS, WIDTH, OUT = 50, 20, 7
"""Sizes that are no multiple of the block of 32."""


@pytest.fixture
def plain(tmp_path):
    """ids [n] -> table [50, 20] -> product [20, 7], as an ONNX file with its two weights."""
    rng = np.random.default_rng(1)
    weights = {
        "table": rng.normal(size=(WORDS, WIDTH)),
        "matrix": rng.normal(size=(WIDTH, OUT)),
        "scale": rng.normal(size=(OUT,)),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "ids"], ["rows"], name="look_up"),
            helper.make_node("MatMul", ["rows", "matrix"], ["product"], name="dense"),
            helper.make_node("Mul", ["product", "scale"], ["y"], name="scale_up"),
        ],
        "g",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", OUT])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    path = tmp_path / "plain.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path, weights


@pytest.mark.parametrize("preset", ["fast", "faithful", "portable"])
def test_values_are_as_near_as_8_bits_allow(plain, tmp_path, preset):
    path, weights = plain
    assert quantize(path, tmp_path / "q.onnx", preset) == {"MatMul": 1, "Gather": 1}
    ids = np.arange(WORDS, dtype=np.int64)
    (found,) = onnxruntime.InferenceSession(tmp_path / "q.onnx").run(None, {"ids": ids})
    exact = weights["table"] @ weights["matrix"] * weights["scale"]
    error = np.abs(found - exact).max() / np.abs(exact).max()
    assert 0 < error < 0.03
    counts = Counter(node.op_type for node in onnx.load(tmp_path / "q.onnx").graph.node)
    assert counts["Gather"] == 2  # the row and its scale
    product = {"fast": "MatMulIntegerToFloat", "faithful": "MatMulNBits", "portable": "MatMul"}[preset]
    assert {"MatMulIntegerToFloat", "MatMulNBits", "MatMul"} & set(counts) == {product}


@pytest.mark.parametrize("preset", ["fast", "faithful", "portable"])
def test_the_same_file_gives_the_same_bytes(plain, tmp_path, preset):
    for name in ("a", "b"):
        quantize(plain[0], tmp_path / name / "q.onnx", preset)
    assert (tmp_path / "a" / "q.onnx").read_bytes() == (tmp_path / "b" / "q.onnx").read_bytes()


def test_one_weight_may_serve_two_nodes(plain, tmp_path):
    """As in ALBERT, whose layers share their weights."""
    path, weights = plain
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("MatMul", ["rows", "matrix"], ["again"], name="dense_again"))
    model.graph.output.append(helper.make_tensor_value_info("again", TensorProto.FLOAT, ["n", OUT]))
    onnx.save(model, path)
    for preset in ("fast", "faithful", "portable"):
        assert quantize(path, tmp_path / "q.onnx", preset) == {"MatMul": 2, "Gather": 1}
        _, again = onnxruntime.InferenceSession(tmp_path / "q.onnx").run(None, {"ids": np.arange(4)})
        np.testing.assert_allclose(again, weights["table"][:4] @ weights["matrix"], atol=0.3)


def test_only_constant_matrices_and_float_tables_are_expected(plain):
    model = onnx.load(plain[0])
    assert expected_nodes(model) == {"MatMul": 1, "Gather": 1}
    assert quantized_nodes(model).total() == 0
    lookups = numpy_helper.from_array(np.zeros((4, 4), dtype=np.int64), "places")
    cube = numpy_helper.from_array(np.zeros((2, 3, 4), dtype=np.float32), "cube")
    model.graph.initializer.extend([lookups, cube])
    model.graph.node.extend(
        [
            helper.make_node("Gather", ["places", "ids"], ["a"]),  # numbers, not vectors
            helper.make_node("Gather", ["product", "ids"], ["b"]),  # not constant
            helper.make_node("MatMul", ["rows", "product"], ["c"]),  # not constant
            helper.make_node("MatMul", ["matrix", "product"], ["d"]),  # constant on the left
            helper.make_node("MatMul", ["rows", "cube"], ["e"]),  # a stack of matrices
        ]
    )
    assert expected_nodes(model) == {"MatMul": 1, "Gather": 1}


@pytest.mark.parametrize(("left", "step"), [("MatMul", "int8_products"), ("Gather", "quantize_rows")])
def test_a_node_left_in_fp32_stops_the_export(plain, tmp_path, monkeypatch, left, step):
    """As onnxruntime 1.21 did, silently, to every transformer layer."""
    monkeypatch.setattr(steps, step, lambda *arguments: 0)
    with pytest.raises(DistillError, match=r"(?s)plain\.onnx.*'fast' left nodes in fp32.*got: .*expected:") as caught:
        quantize(plain[0], tmp_path / "q.onnx", "fast")
    assert caught.value.exit_code == 3
    assert caught.value.got.get(left, 0) == 0
    assert not (tmp_path / "q.onnx").exists()


def test_faithful_is_watched_as_well(plain, tmp_path, monkeypatch):
    class Idle:
        def __init__(self, model, **options):
            self.model = SimpleNamespace(model=model)

        def process(self):
            """Does nothing, and says nothing."""

    monkeypatch.setattr(steps, "nbits_quantizer", lambda: Idle)
    with pytest.raises(DistillError, match="'faithful' left nodes in fp32"):
        quantize(plain[0], tmp_path / "q.onnx", "faithful")


def test_an_unknown_preset_is_named(plain, tmp_path):
    with pytest.raises(ValueError, match="no preset 'int4'"):
        quantize(plain[0], tmp_path / "q.onnx", "int4")


def test_shapes_that_contradict_the_weights_do_not_stop_it(plain, tmp_path):
    """The exporter leaves such shapes behind for a linear head after pooling."""
    model = onnx.load(plain[0])
    model.graph.value_info.append(helper.make_tensor_value_info("product", TensorProto.FLOAT, ["n", WIDTH]))
    onnx.save(model, plain[0])
    for preset in ("fast", "faithful", "portable"):
        assert quantize(plain[0], tmp_path / "q.onnx", preset) == {"MatMul": 1, "Gather": 1}


def test_the_quantizers_leave_logging_as_it_was(plain, tmp_path, caplog):
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    with caplog.at_level(logging.DEBUG):
        for preset in ("fast", "faithful", "portable"):
            quantize(plain[0], tmp_path / "q.onnx", preset)
    assert "pre-processing" not in caplog.text
    assert (root.level, list(root.handlers)) == before


def test_strip_takes_all_notes_and_no_numbers(plain):
    """Inside branches and functions, too."""
    model = onnx.load(plain[0])
    graph = model.graph
    branch = helper.make_graph([helper.make_node("Identity", ["y"], ["r"])], "branch", [], [])
    graph.node.append(helper.make_node("If", ["yes"], ["z"], then_branch=branch, else_branch=branch))
    inner = helper.make_node("Identity", ["a"], ["b"])
    model.functions.append(helper.make_function("ours", "f", ["a"], ["b"], [inner], []))
    clean = onnx.ModelProto.FromString(model.SerializeToString())
    strip(clean)
    function, choice = model.functions[0], graph.node[-1]
    for part in (
        *(model, graph, graph.node[0], graph.initializer[0], graph.input[0], graph.output[0]),
        *(choice, choice.attribute[0].g.node[0], choice.attribute[1].g.node[0], function, function.node[0]),
    ):
        part.doc_string = "File /home/someone/model.py, line 7"
        part.metadata_props.add(key="pkg.torch.onnx.stack_trace", value="/home/someone/model.py")
    graph.value_info.append(helper.make_tensor_value_info("rows", TensorProto.FLOAT, None))
    strip(model)
    assert b"someone" not in model.SerializeToString()
    assert [node.op_type for node in model.graph.node] == ["Gather", "MatMul", "Mul", "If"]
    for found, expected in zip(model.graph.initializer, clean.graph.initializer, strict=True):
        np.testing.assert_array_equal(numpy_helper.to_array(found), numpy_helper.to_array(expected))


@pytest.mark.parametrize("family", ["bert", "deberta-v2"])
def test_real_files_shrink_in_the_order_of_their_bits(exported, family):
    sizes = [exported(family).onnx(preset).stat().st_size for preset in ("fp32", "fast", "faithful", "portable")]
    assert sizes[0] > 1.9 * max(sizes[1:])


def test_fast_has_a_fixed_scale_behind_a_normalisation_and_one_a_token_elsewhere(exported):
    """What leaves a normalisation has the same length in every token; the rest has not."""
    model = onnx.load(exported("bert").onnx())
    chosen = Counter(preset_choices(model, "fast", calibrated=True).values())
    assert chosen == {"static": 8, "token": 4, "rows": 3, "blocks": 1}  # two layers of 6 + 2 and 2 + 2, three tables, the bridge
    assert "static" not in preset_choices(model, "fast").values()  # no text, no fixed scale
    kinds = Counter(node.op_type for node in onnx.load(exported("bert").onnx("fast")).graph.node)
    assert kinds["QuantizeLinear"] == 8  # four inputs a layer
    assert kinds["ReduceMax"] == 4  # of which two have a scale a token
    assert kinds["DynamicQuantizeLinear"] == 0


@pytest.mark.parametrize("preset", ["fast", "faithful", "portable"])
def test_neighbours_and_padding_change_nothing(exported, preset):
    session = onnxruntime.InferenceSession(exported("bert").onnx(preset), providers=["CPUExecutionProvider"])
    ids = np.random.default_rng(1).integers(5, 200, (6, 20))
    mask = np.ones_like(ids)
    mask[0, 9:] = 0
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    (together,) = session.run(["sentence_embedding"], feeds)
    (alone,) = session.run(["sentence_embedding"], {name: value[:1, :9] for name, value in feeds.items()})
    assert (alone[0] @ together[0]) / np.linalg.norm(alone[0]) / np.linalg.norm(together[0]) > 0.99999


def test_a_product_per_sentence_keeps_its_activations_in_fast(exported):
    """The bridge behind the pooling: int8 activations would cost accuracy and save nothing."""
    found = exported("bert")
    (bridge,) = sentence_products(onnx.load(found.onnx()))
    nodes = onnx.load(found.onnx("fast")).graph.node
    blocks = [node for node in nodes if node.op_type == "MatMulNBits"]
    assert [node.name.startswith(bridge) for node in blocks] == [True]
    assert sum(node.op_type == "MatMulIntegerToFloat" for node in nodes) == expected_nodes(onnx.load(found.onnx()))["MatMul"] - 1
    assert quantized_nodes(onnx.load(found.onnx("fast"))) == expected_nodes(onnx.load(found.onnx()))


def test_a_head_in_blocks_is_as_near_and_no_larger(exported, tmp_path, monkeypatch):
    source = exported("bert").onnx()
    quantize(source, tmp_path / "now.onnx", "fast")
    monkeypatch.setattr(steps, "sentence_products", lambda model: [])
    quantize(source, tmp_path / "all.onnx", "fast")
    ids = np.random.default_rng(0).integers(5, 200, (64, 12))
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    exact, now, before = (
        onnxruntime.InferenceSession(path).run(["sentence_embedding"], feeds)[0]
        for path in (source, tmp_path / "now.onnx", tmp_path / "all.onnx")
    )
    assert (now * exact).sum(1).mean() > (before * exact).sum(1).mean() - 1e-5
    assert (tmp_path / "now.onnx").stat().st_size < 1.05 * (tmp_path / "all.onnx").stat().st_size


def test_products_per_sentence_are_those_that_were_gemms_of_an_input():
    weights = [
        numpy_helper.from_array(np.ones(shape, dtype=np.float32), name)
        for name, shape in (("w", (3, 2)), ("places", (4, 3)), ("v", (3, 2)))
    ]
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["y"], name="head"),
        helper.make_node("Gemm", ["places", "v"], ["p"], name="relative"),
        helper.make_node("MatMul", ["x", "v"], ["z"], name="node_matmul"),
    ]
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y", "p", "z")]
    model = helper.make_model(helper.make_graph(nodes, "g", value[:1], value[1:], weights))
    assert gemm_to_matmul(model) == 2
    assert sentence_products(model) == ["head_matmul"]
