"""Smaller ONNX files from the fp32 one, and the proof that what should be quantized is.

`fast`: int8 weights per output channel and int8 activations, quantized as they come (MatMulInteger), plus int8
embedding tables. `faithful`: 8-bit weights in blocks of 32 (MatMulNBits, whose kernel quantizes activations per row and
block), plus int8 embedding tables: a row does not depend on what else is in the batch, and it is nearly lossless.
A product that runs once per sentence (the head behind the pooling) takes next to no time but what it loses is lost for
good: `fast` quantizes it as `faithful` does. Where the table is all that there is of the model, each of its rows
has a scale of its own.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from ..errors import DistillError
from ..files import atomic_write
from ..runtime.precision import FILES
from .rewrite import every_node, merge_equal_weights, sentence_products, split_lstm_weights
from .rows import quantize_rows, tables_alone
from .smooth import Feeds, smooth

__all__ = ["FILES", "expected_nodes", "quantize", "quantized_nodes", "strip"]

BLOCK = 32


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """onnxruntime's quantizer advises shape pre-processing for every file, on the root logger; the advice does not apply."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


def _nbits_quantizer() -> Any:
    """onnxruntime's MatMulNBitsQuantizer; importing its module makes every library log to stderr, which is undone."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    root.handlers[:] = handlers
    root.setLevel(level)
    return MatMulNBitsQuantizer


def expected_nodes(model: onnx.ModelProto, preset: str = "fast") -> Counter[str]:
    """What a quantizer has to turn: products with a constant matrix, look-ups in a float table, LSTM layers.

    Args:
        model: the fp32 graph.
        preset: `faithful` has no 8-bit form of an LSTM and leaves it in fp32: there it is not expected.

    Returns:
        {"MatMul": n, "Gather": m}, and {"LSTM": k} where there are any.
    """
    weights = {w.name: w for w in model.graph.initializer}
    found: Counter[str] = Counter()
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in weights and len(weights[node.input[1]].dims) == 2:
            found["MatMul"] += 1
        table = weights.get(node.input[0]) if node.op_type == "Gather" else None
        if table is not None and table.data_type == onnx.TensorProto.FLOAT and len(table.dims) == 2:
            found["Gather"] += 1
        if node.op_type == "LSTM" and preset == "fast" and all(name in weights for name in node.input[1:3]):
            found["LSTM"] += 1
    return found


def quantized_nodes(model: onnx.ModelProto) -> Counter[str]:
    """How many nodes of a quantized graph run on 8-bit weights: {"MatMul": n, "Gather": m}, and "LSTM" where there are any."""
    weights = {w.name: w for w in model.graph.initializer}
    found: Counter[str] = Counter()
    for node in model.graph.node:
        if node.op_type in ("MatMulInteger", "MatMulNBits") and any(name in weights for name in node.input[1:2]):
            found["MatMul"] += 1
        if node.op_type == "Gather" and node.input[0] in weights:
            kind = weights[node.input[0]].data_type
            found["Gather"] += kind in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8) and len(weights[node.input[0]].dims) == 2
        if node.op_type == "DynamicQuantizeLSTM":
            found["LSTM"] += 1
    return found


def quantize(source: Path, target: Path, preset: str, feeds: Feeds = ()) -> dict[str, int]:
    """Write the quantized form of an fp32 graph.

    Args:
        source: the fp32 .onnx file, self-contained.
        target: the file to write; whole or absent.
        preset: `fast` or `faithful`.
        feeds: real inputs of the graph, by which `fast` evens out activations before they become int8; none: as they are.

    Returns:
        {"MatMul": n, "Gather": m}: how many nodes were quantized: all that could be. A graph with LSTM layers has them
        under "LSTM"; `faithful` leaves them in fp32, which is told as 0.

    Raises:
        DistillError: the quantizer left a node in fp32 that it should have turned.
    """
    model = onnx.load(source)
    expected, copies = expected_nodes(model, preset), 0
    # The exporter may leave shapes that disagree with its own weights; shape inference rebuilds them.
    del model.graph.value_info[:]
    with tempfile.TemporaryDirectory() as folder, _quiet():
        work = Path(folder)
        plain, done = work / "plain.onnx", work / "done.onnx"
        if preset in ("fast", "faithful") and tables_alone(model):
            quantize_rows(model)
            _in_blocks(model, done)
        elif preset == "fast":
            copies = split_lstm_weights(model)
            heads = set(sentence_products(model))
            if feeds:
                smooth(model, feeds, heads)
            if heads:
                _in_blocks(model, plain, [n.name for n in model.graph.node if n.op_type == "MatMul" and n.name not in heads])
            else:
                onnx.save(model, plain)
            quantize_dynamic(
                plain,
                done,
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=False,
                op_types_to_quantize=["MatMul", "Gather", "LSTM"],
                extra_options={"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
            )
        elif preset == "faithful":
            _in_blocks(model, plain)
            quantize_dynamic(
                plain,
                done,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=["Gather"],
                extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
            )
        else:
            raise ValueError(f"no preset '{preset}': fast or faithful")
        result = onnx.load(done)
    if copies:
        merge_equal_weights(result)
    strip(result)
    found = quantized_nodes(result)
    if found != expected:
        raise DistillError(
            f"the quantizer for '{preset}' left nodes in fp32",
            where=str(source.name),
            got=dict(found),
            expected=str(dict(expected)),
            hint="this onnxruntime treats the graph differently; use the tested versions of constraints.txt",
        )
    atomic_write(target, result.SerializeToString(deterministic=True))
    recurrent = ["LSTM"] if any(node.op_type == "LSTM" for node in model.graph.node) else []
    return {name: int(found[name]) for name in ("MatMul", "Gather", *recurrent)}


def _in_blocks(model: onnx.ModelProto, target: Path, leave: Sequence[str] = ()) -> None:
    """Write the graph with its products on 8-bit weights in blocks, but for the nodes named in `leave`."""
    blocks = _nbits_quantizer()(
        model, bits=8, block_size=BLOCK, is_symmetric=True, accuracy_level=4, nodes_to_exclude=list(leave)
    )
    blocks.process()
    blocks.model.save_model_to_file(str(target), False)


def strip(model: onnx.ModelProto) -> None:
    """Drop what does not compute: stack traces, source paths, documentation, the exporter's own notes. In place."""
    del model.metadata_props[:]
    model.doc_string = ""
    graph = model.graph
    del graph.metadata_props[:]
    del graph.value_info[:]
    graph.doc_string = ""
    functions = [node for function in model.functions for node in function.node]
    nodes = every_node((*graph.node, *functions))
    for part in (*nodes, *graph.initializer, *graph.input, *graph.output, *model.functions):
        part.doc_string = ""
        del part.metadata_props[:]
