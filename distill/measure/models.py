"""Load a model to be timed: what runs token ids, and what runs texts as a user would. Imported by the worker alone."""

from __future__ import annotations

import gc
import inspect
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from ..loading import loading
from ..modelfolder import check_model_files
from .hardware import memory_now_mb
from .tasks import load_task_model, task_class

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Batch = dict[str, NDArray[np.int64]]
    Run = Callable[[], object]

RECOMPILES = 512
"""Shapes that torch.compile may compile for before it would give up without a word."""


@dataclass(frozen=True)
class Loaded:
    """A model in memory.

    Attributes:
        load_ms: to load it, imports not counted.
        base_mb: what the process held with its libraries imported and no model loaded, in 1e6 bytes.
        prepare: token ids [batch, sequence] -> a call to time.
        encode: texts -> a call to time, with tokenization, as the library does it; None: tokenize, then `prepare`.
        ready: when it was loaded, on the clock of `time.monotonic`.
    """

    load_ms: float
    base_mb: float | None
    prepare: Callable[[Batch], Run]
    encode: Callable[[Sequence[str]], Run] | None
    ready: float


def load_onnx(path: str, threads: int) -> Loaded:
    """Load an ONNX file with the session options of the runtime: its threads sleep while there is nothing to do."""
    from ..runtime.session import graph_outputs, open_session

    base = memory_now_mb()
    start = time.perf_counter()
    session = open_session(Path(path), threads, outputs=None)
    load_ms = (time.perf_counter() - start) * 1000
    names, outputs = [node.name for node in session.get_inputs()], list(graph_outputs(session))

    def prepare(batch: Batch) -> Run:
        feeds = {name: batch[name] for name in names}
        return lambda: session.run(outputs, feeds)

    return Loaded(load_ms, base, prepare, None, time.monotonic())


def load_torch(path: str, threads: int, *, compiled: bool = False, dynamic: bool = False) -> Loaded:
    """Load a model folder in fp32 on the CPU, with the attention kernel that torch prefers.

    A folder whose config.json names a class with a task head gives that model; any other a sentence encoder.

    Transformers imports a model's code when it first loads one, which takes seconds; that is no property of the model,
    so a first load is thrown away and the second one timed.

    Args:
        path: of the folder.
        threads: torch computes with exactly so many.
        compiled: run through `torch.compile`; compiling happens at the first call of each shape.
        dynamic: compile once for all lengths and not for each.
    """
    import sentence_transformers  # noqa: F401 - before the memory is looked at
    import torch

    check_model_files(Path(path), path)
    torch.set_num_threads(threads)
    if torch.get_num_interop_threads() != 1:  # it can be set once
        torch.set_num_interop_threads(1)
    base = memory_now_mb()
    task = task_class(Path(path)) is not None
    load = load_task_model if task else _load_encoder
    load(Path(path))
    ready = time.monotonic()
    gc.collect()
    start = time.perf_counter()
    model = load(Path(path))
    load_ms = (time.perf_counter() - start) * 1000
    if compiled:
        _compile(model, dynamic)
    names = {"input_ids", "attention_mask"}
    if task:
        given = inspect.signature(model.forward).parameters
        names |= {"token_type_ids"} & set(given)
    else:
        names |= {"token_type_ids"} & set(getattr(model.tokenizer, "model_input_names", ()))
    table = not task and type(model[0]).__name__ == "StaticEmbedding"

    def prepare(batch: Batch) -> Run:
        features = {name: torch.from_numpy(batch[name]) for name in names}
        if table:  # takes the tokens of all texts in one row, and where each text begins
            mask = features["attention_mask"].bool()
            lengths = mask.sum(dim=1)
            features = {"input_ids": features["input_ids"][mask], "offsets": lengths.cumsum(0) - lengths}

        def run() -> object:
            with torch.inference_mode():
                # A sentence encoder adds its outputs to the dict that it is given.
                return model(**features) if task else model(dict(features))["sentence_embedding"]

        return run

    def encode(texts: Sequence[str]) -> Run:
        rows = list(texts)
        return lambda: model.encode(rows, batch_size=len(rows), show_progress_bar=False)

    return Loaded(load_ms, base, prepare, None if task else encode, ready)


def _load_encoder(folder: Path) -> Any:
    """A sentence-transformers folder, or a plain encoder with mean pooling."""
    import torch
    from sentence_transformers import SentenceTransformer

    options = {"dtype": torch.float32, "use_safetensors": True}
    with loading(folder, str(folder)):
        return SentenceTransformer(
            str(folder), device="cpu", local_files_only=True, trust_remote_code=False, model_kwargs=options
        ).eval()


def _compile(model: Any, dynamic: bool) -> None:
    """Compile the encoder in place. Nothing is compiled before the first call.

    `forward` itself is replaced: sentence-transformers calls it by name, which passes by what `Module.compile` sets.
    """
    import torch
    from transformers import PreTrainedModel

    torch._dynamo.config.recompile_limit = RECOMPILES
    torch._dynamo.config.accumulated_recompile_limit = RECOMPILES
    if isinstance(model, PreTrainedModel):
        parts = [model]
    else:
        parts = [part for part in model.modules() if isinstance(part, PreTrainedModel)] or [model[0]]
    parts[0].forward = torch.compile(parts[0].forward, dynamic=dynamic)


def compiler_missing() -> str | None:
    """Why `torch.compile` cannot work here: it needs a C++ compiler. None where it can."""
    import shutil

    named = os.environ.get("CXX")
    for name in [named] if named else ["g++", "clang++", "c++"]:
        if name and shutil.which(name):
            return None
    return f"torch.compile needs a C++ compiler, and {named or 'g++ or clang++'} is not there"


def checked(first: Callable[[], object], compiled: bool) -> None:
    """The first call of a shape; what a compiler says is put into our words.

    Raises:
        ModelError: torch.compile failed.
    """
    if not compiled:
        first()
        return
    try:
        first()
    except Exception as error:  # the compiler's errors have no common base
        raise ModelError("torch.compile failed for this model", got=f"{type(error).__name__}: {error}") from error
    from torch._dynamo.utils import counters

    if not counters["frames"]["ok"]:
        raise ModelError("torch.compile compiled nothing of this model", got=dict(counters["frames"]))
