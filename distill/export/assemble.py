"""A graph of mixed precision: each product, look-up and LSTM in the form that was chosen for it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from ..loading import errors_alone
from ..scratch import scratch
from .calibrate import ChannelRanges, after_smoothing
from .int8 import int8_products
from .rewrite import merge_equal_weights, sentence_products, split_lstm_weights
from .rows import quantize_rows
from .smooth import smooth
from .unpacked import unpacked_products

BLOCK = 32
"""Weights that share a scale in `blocks`. With 128 a result depends on the batch: a row alone gets another kernel."""

Choices = Mapping[str, str]
"""Name of a node -> its form. A product: fp32, blocks (8-bit weights in blocks; MatMulNBits), unpacked (8-bit weights, fp32 once
they are loaded; see `unpacked`), token, static or tensor (8-bit integers, see `int8`). A look-up: fp32 or rows (8-bit rows with a
scale each). An LSTM: fp32 or dynamic (onnxruntime's 8-bit LSTM)."""

INT8 = ("token", "static", "tensor")


def candidates(model: onnx.ModelProto) -> dict[str, str]:
    """The nodes that can be quantized, by name -> kind: products with a constant matrix, look-ups in a float table, LSTMs.

    Nodes without a name are given one, in place.
    """
    weights = {w.name: w for w in model.graph.initializer}
    found = {}
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"
        if node.op_type == "MatMul" and node.input[1] in weights and len(weights[node.input[1]].dims) == 2:
            found[node.name] = "MatMul"
        table = weights.get(node.input[0]) if node.op_type == "Gather" else None
        if table is not None and table.data_type == onnx.TensorProto.FLOAT and len(table.dims) == 2:
            found[node.name] = "Gather"
        if node.op_type == "LSTM" and all(name in weights for name in node.input[1:3]):
            found[node.name] = "LSTM"
    return found


def preset_choices(model: onnx.ModelProto, preset: str, *, calibrated: bool = False) -> dict[str, str]:
    """What `fast`, `faithful` and `portable` choose for every node.

    `fast` has a scale a token, and a fixed one for what comes from a layer normalisation, where ranges were seen: such values
    have the same length in every token, so that the fixed scale loses nothing, and it is quicker.
    A product that runs once a sentence (the head behind the pooling) takes next to no time, but what it loses is lost for
    good: `fast` has it in blocks. `faithful` and `portable` have no 8-bit form of an LSTM.
    """
    product = {"fast": "token", "faithful": "blocks", "portable": "unpacked"}.get(preset)
    if product is None:
        raise ValueError(f"no preset '{preset}': fast, faithful or portable")
    fast, kinds = preset == "fast", candidates(model)
    form = {"MatMul": product, "Gather": "rows", "LSTM": "dynamic" if fast else "fp32"}
    chosen = {name: form[kind] for name, kind in kinds.items()}
    if fast:
        chosen |= dict.fromkeys(sentence_products(model), "blocks")
    normal = {out for node in model.graph.node if node.op_type == "LayerNormalization" for out in node.output}
    even = [n.name for n in model.graph.node if calibrated and chosen.get(n.name) == "token" and n.input[0] in normal]
    return chosen | dict.fromkeys(even, "static")


def assemble(model: onnx.ModelProto, choices: Choices, ranges: ChannelRanges | None = None) -> onnx.ModelProto:
    """Quantize nodes as chosen.

    Args:
        model: the fp32 graph; it is changed on the way, and not to be used any more.
        choices: of nodes that `candidates` names; a node that is not named stays in fp32.
        ranges: of the inputs of products, see `calibrate.channel_ranges`. With them the inputs of 8-bit products are evened
            out before; `static` cannot do without.
    """
    # The exporter may leave shapes that disagree with its own weights; shape inference rebuilds them.
    del model.graph.value_info[:]
    kinds = candidates(model)
    of = {
        form: [name for name in kinds if choices.get(name) == form] for form in (*INT8, "blocks", "unpacked", "rows", "dynamic")
    }
    eight = {name for form in INT8 for name in of[form]}
    copies = split_lstm_weights(model) if of["dynamic"] else 0
    around = {}
    if ranges and eight:
        smooth(model, (), [name for name in kinds if name not in eight], known=ranges)
        around = after_smoothing(model, ranges)
    if of["rows"]:
        quantize_rows(model, of["rows"])
    for form in INT8:
        if of[form]:
            int8_products(model, of[form], form, around)  # type: ignore[arg-type]
    if of["unpacked"]:
        unpacked_products(model, of["unpacked"])
    with quiet():
        if of["blocks"]:
            model = _in_blocks(model, of["blocks"])
        if of["dynamic"]:
            model = _dynamic_lstm(model, of["dynamic"])
    if copies:
        merge_equal_weights(model)
    return model


def _in_blocks(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """The graph with some products on 8-bit weights in blocks."""
    leave = [node.name for node in model.graph.node if node.op_type == "MatMul" and node.name not in names]
    blocks = nbits_quantizer()(model, bits=8, block_size=BLOCK, is_symmetric=True, accuracy_level=4, nodes_to_exclude=leave)
    blocks.process()
    done: onnx.ModelProto = blocks.model.model
    return done


def _dynamic_lstm(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """The graph with some LSTMs on 8-bit weights, as onnxruntime's quantizer writes them: from file to file."""
    with scratch("quantize") as folder:
        plain, done = folder / "plain.onnx", folder / "done.onnx"
        onnx.save(model, plain)
        quantize_dynamic(
            plain,
            done,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=False,
            op_types_to_quantize=["LSTM"],
            nodes_to_quantize=list(names),
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
        return onnx.load(done)


def nbits_quantizer() -> Any:
    """onnxruntime's MatMulNBitsQuantizer; importing its module makes every library log to stderr, which is undone."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    root.handlers[:] = handlers
    root.setLevel(level)
    return MatMulNBitsQuantizer


def quiet() -> AbstractContextManager[None]:
    """onnxruntime's tools advise shape pre-processing for every file, on the root logger; the advice does not apply."""
    return errors_alone(None)
