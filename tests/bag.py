"""A bag-of-words encoder as an exported folder, written by hand: its vectors can be worked out on paper.

The vector of a sentence is the mean, over its tokens, of the row (id, id squared, 1) times a scale that tells which file
ran: 1 for fp32, 2 for fast, 3 for faithful. No torch, no training, a few kilobytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "query", ":", "a", "cat", "dog", "sat", "ran", "mat", "on", "the"]
IDS = {word: number for number, word in enumerate(WORDS)}
FILES = {"fp32": "model.onnx", "fast": "model_quantized.onnx", "faithful": "model_faithful.onnx"}
SCALES = {"fp32": 1.0, "fast": 2.0, "faithful": 3.0}


def vector(text: str, *, scale: float = 1.0, max_length: int = 16) -> list[float]:
    """The vector of a text whose words are separated by spaces, by hand."""
    ids = [IDS.get(word, IDS["[UNK]"]) for word in text.lower().split()][: max_length - 2]
    ids = [IDS["[CLS]"], *ids, IDS["[SEP]"]]
    return [scale * sum(ids) / len(ids), scale * sum(i * i for i in ids) / len(ids), scale]


def graph(scale: float = 1.0, *, inputs: int = 3, output: str = "sentence_embedding", dim: int | str = 3) -> Any:
    """The encoder as an onnx.ModelProto.

    Args:
        scale: of every vector.
        inputs: 3, or 2 for a graph without token_type_ids.
        output: name of the result.
        dim: how the graph declares the width of its result.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    number = np.arange(len(WORDS), dtype=np.float32)
    table = scale * np.stack([number, number**2, np.ones_like(number)], axis=1)
    weights = [
        numpy_helper.from_array(table.astype(np.float32), "table"),
        numpy_helper.from_array(np.array([1], np.int64), "tokens"),
        numpy_helper.from_array(np.array([2], np.int64), "width"),
    ]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "width"], ["column"]),
        helper.make_node("Mul", ["rows", "column"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "tokens"], ["total"], keepdims=0),
        helper.make_node("ReduceSum", ["column", "tokens"], ["count"], keepdims=0),
        helper.make_node("Div", ["total", "count"], [output]),
    ]
    names = ["input_ids", "attention_mask", "token_type_ids"][:inputs]
    body = helper.make_graph(
        nodes,
        "bag",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"]) for name in names],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", dim])],
        weights,
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def folder(
    path: Path,
    *,
    files: tuple[str, ...] = ("fp32", "fast", "faithful"),
    max_length: int = 16,
    prompts: dict[str, str] | None = None,
    default_prompt_name: str | None = None,
    inputs: int = 3,
    dim: int | str = 3,
) -> Path:
    """Write an exported folder: tokenizer, settings and the ONNX files asked for.

    The tokenizer pads every text to 12 tokens by itself, as those of some published models do.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    words = Tokenizer(models.WordLevel(IDS, unk_token="[UNK]"))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    words.add_special_tokens(WORDS[:5])
    words.enable_padding(pad_id=0, pad_token="[PAD]", length=12)
    (path / "onnx").mkdir(parents=True)
    words.save(str(path / "tokenizer.json"))
    settings = {
        "config.json": {"model_type": "bert", "vocab_size": len(WORDS), "max_position_embeddings": 64, "pad_token_id": 0},
        "tokenizer_config.json": {"pad_token": "[PAD]", "model_max_length": max_length},
        "sentence_bert_config.json": {"max_seq_length": max_length, "do_lower_case": False},
        "config_sentence_transformers.json": {"prompts": prompts or {}, "default_prompt_name": default_prompt_name},
    }
    for name, value in settings.items():
        (path / name).write_text(json.dumps(value), "utf-8")
    for name in files:
        (path / "onnx" / FILES[name]).write_bytes(graph(SCALES[name], inputs=inputs, dim=dim).SerializeToString())
    return path


def logits_folder(
    path: Path,
    *,
    labels: Any = None,
    table: Any = None,
    rank: int = 2,
    names: tuple[str, ...] = ("logits",),
    **config: Any,
) -> Path:
    """A folder whose logits of a token are rows of a table; a text's are the sum over its tokens."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    folder(path, files=("fp32",))
    table = np.eye(len(WORDS), 3, dtype=np.float32) if table is None else table
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["rows"])]
    for name in names:
        nodes.append(
            helper.make_node("ReduceSum", ["rows", "axis"], [name], keepdims=0)
            if rank == 2
            else helper.make_node("Identity", ["rows"], [name])
        )
    shape = ["batch", "n", "m"][:rank]
    body = helper.make_graph(
        nodes,
        "logits",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
            for name in ("input_ids", "attention_mask", "token_type_ids")
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([1], np.int64), "axis")],
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    (path / "onnx" / "model.onnx").write_bytes(model.SerializeToString())
    told = json.loads((path / "config.json").read_text())
    told |= {} if labels is None else {"id2label": labels}
    (path / "config.json").write_text(json.dumps({**told, **config}))
    return path
