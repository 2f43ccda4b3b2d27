"""The code the report prints is run as printed, on a small graph whose answer is known by hand."""

import json

import numpy as np
import pytest

from distill.report.model import build_report
from distill.report.sections import usage

WORDS = ["[UNK]", "[PAD]", "A", "cat", "sits", "on", "the", "mat.", "The", "weather", "is", "fine.", "query:"]


def save_student(folder):
    """`sentence_embedding` = sum of the unmasked token ids; padding has id 1, so an unmasked pad would show."""
    from onnx import TensorProto, helper, save
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit

    (folder / "onnx").mkdir(parents=True)
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.enable_padding(length=128)  # as some published tokenizers have it: fixed, and to be undone
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"pad_token_id": 1}))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 5}))
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "s"]) for name in ("attention_mask", "input_ids")]
    output = helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["b", 1])
    nodes = [
        helper.make_node("Mul", ["input_ids", "attention_mask"], ["kept"]),
        helper.make_node("Cast", ["kept"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["numbers", "axes"], ["sentence_embedding"], keepdims=1),
    ]
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    graph = helper.make_graph(nodes, "sum", inputs, [output], [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    save(model, str(folder / "onnx" / "model_quantized.onnx"))


@pytest.mark.parametrize(("prompt", "expected"), [("", [20, 38]), ("query: ", [26, 50])])
def test_the_plain_onnxruntime_code_runs(run, monkeypatch, prompt, expected):
    # "A cat sits on the mat." cut to five tokens is 2 + 3 + 4 + 5 + 6; "The weather is fine." is 8 + 9 + 10 + 11.
    save_student(run.write() / "student")
    run.facts("teacher")["prompt"] = prompt
    code = usage(build_report(run.write()))[2][2]
    monkeypatch.chdir(run.folder)
    scope = {}
    exec(compile(code, "usage", "exec"), scope)
    assert np.array_equal(scope["vectors"], np.array(expected, dtype=np.float32)[:, None])


def test_the_other_code_is_python(run):
    shown = usage(build_report(run.write()), "a folder's name")
    assert [language for _, language, _ in shown] == ["python", "python", "python", "js"]
    for _, _, code in shown[:3]:
        compile(code, "usage", "exec")
