"""Which of a folder's ONNX files to run on this machine."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from ..errors import ModelError, nearest
from ..foreign import read_object

FILES = {
    "fp32": "model.onnx",
    "fast": "model_quantized.onnx",
    "faithful": "model_faithful.onnx",
    "portable": "model_portable.onnx",
    "fp16": "model_fp16.onnx",
    "searched": "model_searched.onnx",
}
GATES = "gates.json"
"""Beside the ONNX files: preset -> whether it passed its parity gate."""
# CPUs with one of these multiply int8 at a multiple of their fp32 speed; without, int8 may be slower than fp32.
INT8_DOT_PRODUCT = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"})


# What these run is float16 at a multiple of the speed of float32.
GPUS = frozenset(
    f"{name}ExecutionProvider" for name in ("CUDA", "Tensorrt", "NvTensorRTRTX", "ROCM", "MIGraphX", "Dml", "CoreML")
)


def choose(folder: Path, precision: str, providers: Sequence[str] | None = None) -> tuple[str, Path]:
    """Settle a precision and its file.

    Args:
        folder: an exported folder, with `onnx/` in it.
        precision: fp32, fast, faithful, portable, fp16, searched, or auto: the first file that is there and did not fail its
            parity gate. See `preferred` for the order.
        providers: onnxruntime execution providers that will run it, best first; None: the CPU.

    Returns:
        The precision and the path of its file.

    Raises:
        ModelError: an unknown precision, or no file for it; what is there is listed.
    """
    options = ["auto", *FILES]
    if precision not in options:
        raise ModelError(
            "unknown precision",
            where="precision",
            got=precision,
            expected=", ".join(options),
            hint=nearest(str(precision), options),
        )
    present = {name: path for name, file in FILES.items() if (path := folder / "onnx" / file).is_file()}
    order, failed = [precision], frozenset[str]()
    if precision == "auto":
        order = list(preferred(providers))
        failed = failed_gates(folder)
    for name in order:
        if name in present and name not in failed:
            return name, present[name]
    if failed & present.keys():
        raise ModelError(
            "every ONNX file that is there failed its parity gate",
            where=str(folder),
            got=", ".join(sorted(present)),
            hint="name a precision to run its file nevertheless, or export the model again",
        )
    raise ModelError(
        f"no ONNX file for precision '{precision}'",
        where=str(folder),
        got="there: " + (", ".join(sorted(present)) or "no ONNX file at all"),
        expected=" or ".join(f"onnx/{FILES[name]}" for name in order),
        hint="choose a precision that is there" if present else "make the files with `distill export`",
    )


def preferred(providers: Sequence[str] | None = None) -> tuple[str, ...]:
    """The precisions that `auto` takes, best first.

    On a CPU with int8 dot products `searched`, which was made for a budget that somebody named, `fast`, `faithful`, `fp32`; on
    one without them `faithful`, `fp32`, then the rest, since int8 may be slower than fp32 there. On a GPU `fp16`, `fp32`, then
    the rest: int8 has no kernels there. `portable` is as quick as `fp32` and a little less exact, so it is taken where `fp32`
    is missing. `fp16` is never taken for a CPU, which would turn every number back and forth.
    """
    if providers is not None and any(name in GPUS for name in providers[:1]):
        return "fp16", "fp32", "portable", "faithful", "searched", "fast"
    if has_int8_dot_product():
        return "searched", "fast", "faithful", "fp32", "portable"
    return "faithful", "fp32", "portable", "searched", "fast"


def failed_gates(folder: Path) -> frozenset[str]:
    """The presets that `onnx/gates.json` says failed their parity gate; none where there is no such file."""
    path = folder / "onnx" / GATES
    if not path.is_file():
        return frozenset()
    return frozenset(name for name, passed in read_object(path).items() if not passed)


def has_int8_dot_product() -> bool:
    """Whether this CPU has instructions for int8 dot products."""
    return bool(cpu_flags() & INT8_DOT_PRODUCT)


@cache
def cpu_flags() -> frozenset[str]:
    """The instruction sets of this CPU as Linux names them; of macOS only what Apple silicon always has."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        apple = platform.system() == "Darwin" and platform.machine() == "arm64"
        return frozenset({"asimddp"}) if apple else frozenset()
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()
