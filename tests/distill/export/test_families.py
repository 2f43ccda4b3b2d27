"""Every encoder family as an ONNX graph, run by plain onnxruntime with inputs by name."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import tiny
import torch

from distill.export.quantize import PRODUCTS
from distill.runtime.selfcontained import external_tensor

pytestmark = pytest.mark.parametrize("family", tiny.FAMILIES)

WITH_TYPES = {"bert", "electra", "deberta-v2", "albert"}
SHAPES = [(1, 1), (1, 7), (5, 33), (2, 64)]


def features(model, rows, length):
    """Random ids; every row but the first is padded, each by a different length."""
    rng = np.random.default_rng(rows * 100 + length)
    ids = rng.integers(5, len(model.tokenizer), (rows, length))
    mask = np.ones_like(ids)
    for row in range(1, rows):
        mask[row, max(1, length - 6 * row) :] = 0
    ids[mask == 0] = model.tokenizer.pad_token_id
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


@pytest.mark.parametrize(("rows", "length"), SHAPES)
def test_the_graph_says_what_torch_says(exported, family, rows, length):
    model, folder = exported(family)
    session = onnxruntime.InferenceSession(folder / "onnx" / "model.onnx", providers=["CPUExecutionProvider"])
    given = features(model, rows, length)
    names = [node.name for node in session.get_inputs()]
    embedding, hidden = session.run(["sentence_embedding", "last_hidden_state"], {name: given[name] for name in names})
    with torch.no_grad():
        expected = model({name: torch.from_numpy(given[name]) for name in names})
    width = 24 if family == "bert" else 32
    assert embedding.shape == (rows, width)
    assert embedding.dtype == hidden.dtype == np.float32
    assert hidden.shape == (rows, length, 32)
    np.testing.assert_allclose(embedding, expected["sentence_embedding"].numpy(), atol=1e-4)
    tokens = given["attention_mask"].astype(bool)
    np.testing.assert_allclose(hidden[tokens], expected["token_embeddings"].numpy()[tokens], atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, atol=1e-5)


def test_names_types_and_dynamic_axes(exported, family):
    graph = onnx.load(exported(family).onnx()).graph
    inputs = ["input_ids", "attention_mask", *(["token_type_ids"] if family in WITH_TYPES else [])]
    assert [node.name for node in graph.input] == inputs
    assert [node.name for node in graph.output] == ["sentence_embedding", "last_hidden_state"]
    for node in graph.input:
        assert node.type.tensor_type.elem_type == onnx.TensorProto.INT64
        assert [axis.dim_param for axis in node.type.tensor_type.shape.dim] == ["batch", "sequence"]
    embedding, hidden = ([axis.dim_param or axis.dim_value for axis in o.type.tensor_type.shape.dim] for o in graph.output)
    assert embedding == ["batch", 24 if family == "bert" else 32]
    assert hidden == ["batch", "sequence", 32]


@pytest.mark.parametrize("preset", ["fp32", "fast", "faithful", "portable"])
def test_one_valid_file_that_tells_nothing_of_this_machine(exported, family, preset):
    path = exported(family).onnx(preset)
    model = onnx.load(path, load_external_data=False)
    assert {entry.version for entry in model.opset_import if entry.domain == ""} == {20}
    if preset in ("fp32", "portable"):
        onnx.checker.check_model(model, full_check=True)
        assert {entry.domain for entry in model.opset_import if any(n.domain == entry.domain for n in model.graph.node)} == {""}
    data = path.read_bytes()
    assert external_tensor(data) is None
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    for secret in (b"/home", b"/tmp", b"/usr", b"site-packages", b".py", b"stack_trace", b"Traceback", b"forward("):
        assert secret not in data, f"{secret!r} is in the file"
    parts = [model, model.graph, *model.graph.node, *model.graph.initializer]
    assert not any(part.metadata_props or part.doc_string for part in parts)
    files = {"model.onnx", "model_faithful.onnx", "model_portable.onnx", "model_quantized.onnx"}
    assert {file.name for file in path.parent.iterdir()} == {*files, "gates.json"}


def test_every_weight_is_quantized_and_the_files_shrink(exported, family):
    found = exported(family)
    parity = json.loads((found.folder / "parity.json").read_text("utf-8"))["models"]
    assert parity["fast"]["nodes"] == parity["faithful"]["nodes"] == parity["portable"]["nodes"]
    # In `fast` what runs once a sentence, such as a dense head, has 8-bit weights alone.
    for preset, operators in (("fast", set(PRODUCTS)), ("faithful", {"MatMulNBits"}), ("portable", {"Reshape"})):
        model = onnx.load(found.onnx(preset))
        weights = {tensor.name: tensor for tensor in model.graph.initializer}
        products = [node for node in model.graph.node if node.op_type in operators]
        if preset == "portable":  # the matrices that are made of 8-bit weights, each for as many products as it has
            made = {node.output[0] for node in products if node.input[0].endswith("_int8_scaled")}
            products = [node for node in model.graph.node if made & set(node.input[1:2])]
        assert len(products) == parity[preset]["nodes"]["MatMul"] > 0
        left = [
            t.name for t in weights.values() if t.data_type == onnx.TensorProto.FLOAT and len(t.dims) == 2 and min(t.dims) > 1
        ]
        assert not [
            node.name for node in model.graph.node if node.op_type in ("MatMul", "Gemm", "Gather") and set(node.input) & set(left)
        ]
        # These models are so small that node names and scales are a good part of their files.
        assert found.onnx(preset).stat().st_size < 0.55 * found.onnx().stat().st_size


def test_the_gates_of_every_preset_hold(exported, family):
    parity = json.loads((exported(family).folder / "parity.json").read_text("utf-8"))
    assert parity["sentences"] == 48
    assert list(parity["models"]) == ["fp32", "fast", "faithful", "portable"]
    assert {name: row["passed"] for name, row in parity["models"].items()} == dict.fromkeys(parity["models"], True)
    assert parity["models"]["fp32"]["max_abs"] <= 1e-4
    assert parity["models"]["fp32"]["batch_invariance"] == pytest.approx(1, abs=1e-5)
    assert parity["models"]["faithful"]["batch_invariance"] == pytest.approx(1, abs=1e-4)
    assert parity["models"]["portable"]["batch_invariance"] == pytest.approx(1, abs=1e-5)
