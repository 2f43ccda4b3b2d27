"""What torch's exporter would keep of every export: its whole trace, some 14,000 objects and a few megabytes."""

from __future__ import annotations

import contextlib
import linecache
import sys
from collections.abc import Iterator
from typing import Any

import torch


def let_go(program: Any) -> None:
    """Cut what holds the trace of an export that is done, so that it goes with the program.

    The stand-ins for the inputs hold their sizes in C++, these hold the environment of symbolic shapes, and that lists the
    stand-ins: a circle that Python's collector cannot see. And methods of that environment remember their arguments, itself
    among them, some of them without bound. Seen with torch 2.13; where a version has none of this, nothing is done.

    Args:
        program: what `torch.onnx.export` gave, its model already taken.
    """
    traced = getattr(program, "exported_program", None)
    for node in traced.graph.nodes if traced is not None else ():
        environment = getattr(getattr(node.meta.get("val"), "fake_mode", None), "shape_env", None)
        listed = getattr(environment, "tracked_fakes", None)
        if listed:
            listed.clear()
    shapes = sys.modules.get("torch.fx.experimental.symbolic_shapes")
    for method in list(vars(getattr(shapes, "ShapeEnv", object)).values()):
        forget = getattr(method, "cache_clear", None)
        if forget is not None:
            forget()


@contextlib.contextmanager
def without_sources() -> Iterator[None]:
    """Forget, after the block, the source text of every graph that was made into a function in it.

    torch keeps it for tracebacks, for ever, a score of texts an export.
    """
    kept: dict[str, str] = getattr(getattr(sys.modules.get("torch.fx.graph_module"), "_loader", None), "eval_cache", {})
    before = set(kept)
    try:
        yield
    finally:
        for name in kept.keys() - before:
            del kept[name]
            linecache.cache.pop(name, None)


def of_its_own(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor that is no view: of a view's base torch keeps the stand-in, and with it the trace, for ever."""
    return tensor.clone()
