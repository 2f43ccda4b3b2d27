"""`distill encode`: the lines of a text file to a NumPy file, in bounded memory beside the text."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from .errors import DataError, RunError
from .files import disk_errors
from .progress import track
from .runtime.encoder import BATCHES_PER_WINDOW, Encoder


def encode_file(encoder: Encoder, file: Path, out: Path, batch_size: int = 32) -> int:
    """Embed every line of `file` and write the vectors to `out`, whole or not at all.

    Args:
        encoder: made by `distill.load`.
        file: UTF-8 text, one sentence a line, empty lines too; `-` reads stdin.
        out: .npy file to write: float32 [lines, dim].
        batch_size: sentences per run of the model.

    Returns:
        How many lines there were.

    Raises:
        DataError: the file is missing or not UTF-8.
        RunError: the disk refuses.
    """
    lines = read_lines(file)
    if out.is_dir():
        raise RunError("a folder stands where a file is needed", where=str(out), hint=f"write -o {out / 'vectors.npy'}")
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)), "fortran_order": False}
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.tmp-", dir=out.parent) as folder:
            work = Path(folder) / "vectors.npy"
            with open(work, "wb") as stream:  # no memory map: on a full disk that kills the process
                np.lib.format.write_array_header_1_0(stream, {**header, "shape": (len(lines), encoder.dim)})
                parts = encoder.encode_stream(lines, batch_size)
                windows = -(-len(lines) // (batch_size * BATCHES_PER_WINDOW))
                for part in track(parts, total=windows, description="encoding"):
                    stream.write(np.ascontiguousarray(part, np.float32).tobytes())
            os.replace(work, out)
    return len(lines)


def read_lines(file: Path) -> list[str]:
    """The lines of a UTF-8 text, without their ends. Only line feeds end a line (with or without a carriage return).

    Raises:
        DataError: the file is missing, is a folder, or is not UTF-8.
    """
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise DataError("this file cannot be read", where=str(file), got=error.strerror, expected="a text file") from error
    except UnicodeDecodeError as error:
        row = raw.count(b"\n", 0, error.start) + 1
        raise DataError("this line is not UTF-8", where=f"{file}, row {row}", got=raw[error.start : error.start + 1]) from error
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]
