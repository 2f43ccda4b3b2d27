"""Refuse ONNX files whose weights lie outside the file, or that loop, without the `onnx` package.

A tensor may name another file that holds its bytes. onnxruntime resolves that name beside the model, and for a
model that is given as bytes in the working directory: a foreign model could read what it likes. Our own exports
are one self-contained file, so any such tensor is refused before onnxruntime sees the file.

An ONNX file is a protobuf message. The walk below follows the few fields that can hold a tensor and skips all
others by their length, so that weights are never copied.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from ..errors import ModelError
from ..foreign import check_regular

# message -> field number -> message found there (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto)
FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
NODE_OPERATOR = 4
LOOPS = (b"Loop", b"Scan")
"""Operators that repeat a graph as often as the file says, which may be for ever. No file of ours has one."""
TENSOR_NAME, TENSOR_EXTERNAL_DATA, TENSOR_DATA_LOCATION = 8, 13, 14
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_DEPTH = 64
MAX_FIELDS = 3_000_000
"""A graph of 12 layers has some 40,000."""

Buffer = bytes | mmap.mmap


def require_self_contained(path: Path) -> None:
    """Check that every tensor of an ONNX file lies in the file itself, and that nothing in it loops.

    Args:
        path: an existing .onnx file.

    Raises:
        ModelError: a tensor lies elsewhere, the graph has a loop, or the file is not an ONNX file.
    """
    check_regular(path, str(path))
    try:
        with open(path, "rb") as stream:
            if not stream.read(1):
                raise ValueError("the file is empty")
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                name, loop = _walk(data)
    except (ValueError, IndexError) as error:
        raise ModelError("this is not a readable ONNX file", where=str(path), got=error, hint="export the model again") from error
    if name is not None:
        raise ModelError(
            "this ONNX file keeps weights outside itself, which is refused",
            where=str(path),
            got=f"external data for tensor '{name}'",
            expected="one self-contained file",
            hint="export the model again, or save it with its data inside",
        )
    if loop is not None:
        raise ModelError(
            "this ONNX file repeats a part of itself, maybe without end, which is refused",
            where=str(path),
            got=f"an operator {loop}",
            expected="a graph without Loop and Scan",
            hint="export the model with `distill export`",
        )


def external_tensor(data: Buffer) -> str | None:
    """Name of the first tensor of a serialized ONNX model whose bytes lie elsewhere; None where there is none.

    Raises:
        ValueError, IndexError: `data` is not a protobuf message.
    """
    return _walk(data)[0]


def _walk(data: Buffer) -> tuple[str | None, str | None]:
    """The first tensor that lies elsewhere, and an operator that loops."""
    pending, fields, loop = [("model", 0, len(data), 0)], 0, None
    while pending:
        message, start, end, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise ValueError(f"graphs nested more than {MAX_DEPTH} deep")
        if message == "tensor":
            if (name := _external_name(data, start, end)) is not None:
                return name, loop
            continue
        for field, kind, first, last in _fields(data, start, end):
            fields += 1
            if fields > MAX_FIELDS:
                raise ValueError(f"more than {MAX_FIELDS:,} fields")
            if message == "node" and field == NODE_OPERATOR and kind == BYTES and data[first:last] in LOOPS:
                loop = bytes(data[first:last]).decode()
            child = FIELDS[message].get(field)
            if child is not None and kind == BYTES:
                pending.append((child, first, last, depth + 1))
    return None, loop


def _external_name(data: Buffer, start: int, end: int) -> str | None:
    """The tensor's name if its bytes lie elsewhere."""
    name, external = "", False
    for number, (field, kind, first, last) in enumerate(_fields(data, start, end)):
        if number > MAX_FIELDS:
            raise ValueError(f"more than {MAX_FIELDS:,} fields")
        if field == TENSOR_NAME and kind == BYTES:
            name = bytes(data[first:last]).decode("utf-8", "replace")
        elif field == TENSOR_EXTERNAL_DATA:
            external = True
        elif field == TENSOR_DATA_LOCATION and kind == VARINT:
            external = external or _varint(data, first)[0] != 0
    return name if external else None


def _fields(data: Buffer, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Field number, wire type, and first and past-the-last byte of each field's value."""
    at = start
    while at < end:
        tag, at = _varint(data, at)
        field, kind = tag >> 3, tag & 7
        first = at
        if kind == VARINT:
            _, at = _varint(data, at)
        elif kind == FIXED64:
            at += 8
        elif kind == FIXED32:
            at += 4
        elif kind == BYTES:
            length, first = _varint(data, at)
            at = first + length
        else:
            raise ValueError(f"unknown wire type {kind} at byte {first}")
        if field == 0 or at > end:
            raise ValueError(f"damaged field at byte {first}")
        yield field, kind, first, at


def _varint(data: Buffer, at: int) -> tuple[int, int]:
    """A base-128 number, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError(f"a number is too long at byte {at}")
