"""Task models of every family as ONNX graphs, run by plain onnxruntime, and the code that the report shows for them."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import tiny
import torch
from transformers import AutoModel

from distill.errors import ModelError
from distill.export.graph import graph_positions
from distill.export.heads import head_inputs, head_outputs, write_head_graph
from distill.export.quantize import expected_nodes, quantized_nodes
from distill.export.rewrite import sentence_products
from distill.runtime.encoder import Encoder
from distill.runtime.session import graph_outputs, open_session

CASES = [(family, "classification") for family in (*tiny.FAMILIES, "bilstm")]
CASES += [(family, task) for family in tiny.FAMILIES for task in ("tokens", "spans")]
CASES += [("bert", "regression"), ("bilstm", "regression"), ("bilstm", "multilabel")]
WITH_TYPES = {"bert", "electra", "deberta-v2", "albert", "bilstm"}
SHAPES = [(1, 1), (1, 20), (5, 33)]


def features(words, rows, length):
    """Random ids and token types; every row but the first is padded, each by a different length."""
    rng = np.random.default_rng(rows * 100 + length)
    ids = rng.integers(5, len(words), (rows, length))
    mask = np.ones_like(ids)
    for row in range(1, rows):
        mask[row, max(1, length - 6 * row) :] = 0
    ids[mask == 0] = words.pad_token_id
    types = (np.arange(length)[None, :] >= length // 2) * mask
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


@pytest.mark.parametrize(("family", "task"), CASES)
def test_the_graph_says_what_torch_says(headed, family, task):
    found = headed(family, task)
    session = onnxruntime.InferenceSession(found.onnx(), providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]
    assert names == ["input_ids", "attention_mask", *(["token_type_ids"] if family in WITH_TYPES else [])]
    outputs = [node.name for node in session.get_outputs()]
    assert outputs == (["start_logits", "end_logits"] if task == "spans" else ["logits"])
    for rows, length in SHAPES:
        given = {name: value for name, value in features(found.tokenizer, rows, length).items() if name in names}
        results = session.run(outputs, given)
        with torch.no_grad():
            expected = found.model(**{name: torch.from_numpy(value) for name, value in given.items()})
        shape = {"tokens": (rows, length, 3), "spans": (rows, length), "regression": (rows, 1)}.get(task, (rows, 3))
        real = given["attention_mask"] == 1 if task in ("tokens", "spans") else slice(None)
        for name, result in zip(outputs, results, strict=True):
            assert result.shape == shape
            assert result.dtype == np.float32
            np.testing.assert_allclose(result[real], expected[name].numpy()[real], atol=1e-4)


@pytest.mark.parametrize(("family", "task"), [("bert", "classification"), ("roberta", "tokens"), ("bilstm", "classification")])
def test_every_product_table_and_lstm_is_quantized(headed, family, task):
    found = headed(family, task)
    plain = onnx.load(found.onnx())
    for preset in ("fast", "faithful", "portable"):
        graph = onnx.load(found.onnx(preset))
        assert quantized_nodes(graph) == expected_nodes(plain, preset)
        assert found.onnx(preset).stat().st_size < 0.65 * found.onnx().stat().st_size
        left = {node.op_type for node in graph.graph.node} & {"Gemm", "LSTM"}
        assert left == ({"LSTM"} if family == "bilstm" and preset != "fast" else set())
    per_sentence = sentence_products(plain)
    assert len(per_sentence) == (0 if task == "tokens" else 2)  # pooler or hidden layer, and classifier
    blocks = [node for node in onnx.load(found.onnx("fast")).graph.node if node.op_type == "MatMulNBits"]
    assert len(blocks) == len(per_sentence)


def test_roberta_positions_limit_the_graph(headed):
    """64 + 2 rows of its table, of which padding takes the first."""
    found = headed("roberta")
    assert graph_positions(found.model) == 65
    session = onnxruntime.InferenceSession(found.onnx())
    given = {name: value for name, value in features(found.tokenizer, 2, 65).items() if name != "token_type_ids"}
    with torch.no_grad():
        expected = found.model(**{name: torch.from_numpy(value) for name, value in given.items()}).logits
    np.testing.assert_allclose(session.run(["logits"], given)[0], expected.numpy(), atol=1e-4)


def test_exporting_leaves_the_model_as_it_is_and_writes_no_paths(headed, tmp_path):
    found = headed("distilbert", "spans")
    model = found.model.half()
    attention = model.config._attn_implementation
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    write_head_graph(model, found.tokenizer, tmp_path / "model.onnx", opset=18)
    assert model.config._attn_implementation == attention != "eager"
    assert all(torch.equal(before[name], weight) and weight.dtype == torch.float16 for name, weight in model.state_dict().items())
    data = (tmp_path / "model.onnx").read_bytes()
    assert b"site-packages" not in data
    assert {entry.domain: entry.version for entry in onnx.load_from_string(data).opset_import}[""] == 18


def test_a_model_without_a_head_is_refused(tmp_path):
    tiny.write_encoder(tmp_path / "plain", layers=1)
    model = AutoModel.from_pretrained(tmp_path / "plain")
    with pytest.raises(ModelError, match=r"(?s)no task head.*BertModel.*ForTokenClassification"):
        write_head_graph(model, tiny.tokenizer(), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_types_are_an_input_only_where_both_sides_know_them(headed):
    model, words = headed("bert").model, tiny.tokenizer("roberta")
    assert head_inputs(model, words) == ("input_ids", "attention_mask")
    assert head_outputs(model) == ("logits",)


def test_the_session_knows_every_kind_and_the_encoder_takes_its_own_alone(headed, exported):
    logits, spans, vectors = headed("bert").onnx(), headed("bert", "spans").onnx(), exported("bert").onnx()
    for path, outputs in ((logits, ("logits",)), (spans, ("start_logits", "end_logits")), (vectors, ("sentence_embedding",))):
        assert graph_outputs(open_session(path, 1, outputs=None)) == outputs
        open_session(path, 1, outputs=outputs)
    with pytest.raises(ModelError, match=r"(?s)a classifier of texts, not a sentence encoder.*distill.load"):
        Encoder.load(headed("bert").folder, precision="fp32")
    with pytest.raises(ModelError, match="a reader that finds answers, not a classifier"):
        open_session(spans, 1, outputs=("logits",))
    with pytest.raises(ModelError, match=r"(?s)a sentence encoder, not a classifier.*distill.load"):
        open_session(vectors, 1, outputs=("logits",))


@pytest.mark.parametrize("outputs", [None, ("logits",)])
def test_a_graph_that_is_none_of_ours_is_refused(tmp_path, outputs):
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n"]) for name in ("x", "logits")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["logits"])], "g", value[:1], value[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ModelError, match=r"(?s)this graph is .*inputs x; outputs logits.*distill export"):
        open_session(tmp_path / "model.onnx", 1, outputs=outputs)


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression", "tokens", "spans"])
@pytest.mark.parametrize("way", [0, 1])
def test_the_code_in_the_report_runs(headed, capsys, task, way):
    """As printed, on a real folder: torch and onnxruntime print the same labels, tags or answer."""
    from distill.report.schema import Cost, Headline, Report
    from distill.report.usage import task_usage

    kind = {"tokens": "tokens", "spans": "spans"}.get(task, "classification")
    head = Headline(task="x", metric="f1", retained=None, smaller=None, faster=None, best=None)
    report = Report(name="x", headline=head, gates=(), models=(), cost=Cost(), recipe={"task": task})
    code = task_usage(report, str(headed("bert", kind).folder), "onnx/model.onnx")[way][2]
    exec(compile(code, "usage", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_both_ways_of_the_reader_print_one_answer(headed, capsys):
    from distill.report.schema import Cost, Headline, Report
    from distill.report.usage import task_usage

    head = Headline(task="x", metric="f1", retained=None, smaller=None, faster=None, best=None)
    report = Report(name="x", headline=head, gates=(), models=(), cost=Cost(), recipe={"task": "spans"})
    said = []
    shown = task_usage(report, str(headed("bert", "spans").folder), "onnx/model.onnx")
    for code in [code for _, language, code in shown if language == "python"]:
        exec(compile(code, "usage", "exec"), {})
        said.append(capsys.readouterr().out.strip().lower())
    # One prints the tokens put together, the other the text they came from.
    assert said[0].replace(" ", "") == said[1].replace(" ", "")
