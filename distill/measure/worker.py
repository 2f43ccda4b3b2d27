"""One process, one model: load it, time every cell of the grid, write the raw times, end.

Run by `distill.measure.latency` as `python -m distill.measure.worker SPEC RESULT`, with the thread budget already in the
environment. An ONNX model is timed without importing torch. What is timed: token ids -> sentence embedding, pooling and
normalisation included, tokenisation not; of a task model token ids -> logits.
"""

from __future__ import annotations

import gc
import inspect
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DistillError
from ..files import read_json, write_json
from .hardware import peak_rss_mb
from .inputs import random_batch
from .rows import Timing, disturbance
from .tasks import load_task_model, task_class

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Batch = dict[str, NDArray[np.int64]]
    Prepare = Callable[[Batch], Callable[[], object]]

WARM_UP_RUNS = 3
WARM_UP_SECONDS = 0.2
ATTEMPTS = 3


def main(spec_path: str, result_path: str) -> None:
    """Do what the JSON file `spec_path` says and write the JSON file `result_path`.

    The spec: format, path, threads, cells ([batch, sequence] pairs), vocabulary, special, min_runs, min_seconds.
    The result: load_ms, peak_rss_mb, rows (per cell wall_ms, cpu_ms).
    """
    spec = read_json(Path(spec_path))
    load = load_torch if spec["format"] == "torch" else load_onnx
    load_ms, prepare = load(spec["path"], spec["threads"])
    rows = []
    for batch, sequence in spec["cells"]:
        run = prepare(random_batch(batch, sequence, spec["vocabulary"], tuple(spec["special"])))
        timing = calmest(run, spec["threads"], spec["min_runs"], spec["min_seconds"])
        rows.append({"wall_ms": list(timing.wall_ms), "cpu_ms": timing.cpu_ms})
    write_json(Path(result_path), {"load_ms": load_ms, "peak_rss_mb": peak_rss_mb(), "rows": rows})


def load_onnx(path: str, threads: int) -> tuple[float, Prepare]:
    """Load an ONNX file with the session options of the runtime.

    Returns:
        Milliseconds to load, and a function that turns a batch into a call to time.
    """
    from ..runtime.session import graph_outputs, open_session

    start = time.perf_counter()
    session = open_session(Path(path), threads, outputs=None)
    load_ms = (time.perf_counter() - start) * 1000
    names, outputs = [node.name for node in session.get_inputs()], list(graph_outputs(session))

    def prepare(batch: Batch) -> Callable[[], object]:
        feeds = {name: batch[name] for name in names}
        return lambda: session.run(outputs, feeds)

    return load_ms, prepare


def load_torch(path: str, threads: int) -> tuple[float, Prepare]:
    """Load a model folder in fp32 on the CPU, with the attention kernel that torch prefers.

    A folder whose config.json names a class with a task head gives that model; any other a sentence encoder.

    Transformers imports a model's code when it first loads one, which takes seconds; that is no property of the model,
    so a first load is thrown away and the second one timed.

    Returns:
        Milliseconds to load, and a function that turns a batch into a call to time.
    """
    import torch

    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    task = task_class(Path(path)) is not None
    load = load_task_model if task else _load_encoder
    load(Path(path))
    gc.collect()
    start = time.perf_counter()
    model = load(Path(path))
    load_ms = (time.perf_counter() - start) * 1000
    names = {"input_ids", "attention_mask"}
    if task:
        given = inspect.signature(model.forward).parameters
        names |= {"token_type_ids"} & set(given)
    else:
        names |= {"token_type_ids"} & set(getattr(model.tokenizer, "model_input_names", ()))
    table = not task and type(model[0]).__name__ == "StaticEmbedding"

    def prepare(batch: Batch) -> Callable[[], object]:
        features = {name: torch.from_numpy(batch[name]) for name in names}
        if table:  # takes the tokens of all texts in one row, and where each text begins
            ids = features["input_ids"]
            features = {"input_ids": ids.flatten(), "offsets": torch.arange(len(ids)) * ids.shape[1]}

        def run() -> object:
            with torch.inference_mode():
                # A sentence encoder adds its outputs to the dict that it is given.
                return model(**features) if task else model(dict(features))["sentence_embedding"]

        return run

    return load_ms, prepare


def _load_encoder(folder: Path) -> Any:
    """A sentence-transformers folder, or a plain encoder with mean pooling."""
    import torch
    from sentence_transformers import SentenceTransformer

    options = {"dtype": torch.float32, "use_safetensors": True}
    return SentenceTransformer(
        str(folder), device="cpu", local_files_only=True, trust_remote_code=False, model_kwargs=options
    ).eval()


def calmest(run: Callable[[], object], threads: int, min_runs: int, min_seconds: float) -> Timing:
    """Time a call; where the machine disturbed it, again, twice at most. The least disturbed series is kept."""
    best = timed(run, min_runs, min_seconds)
    for _ in range(ATTEMPTS - 1):
        if disturbance(best, threads) <= 1:
            break
        best = min(best, timed(run, min_runs, min_seconds), key=lambda timing: disturbance(timing, threads))
    return best


def timed(run: Callable[[], object], min_runs: int, min_seconds: float) -> Timing:
    """Warm up, then run at least `min_runs` times and `min_seconds` long, the garbage collector switched off."""
    start, done = time.perf_counter(), 0
    while done < WARM_UP_RUNS or time.perf_counter() - start < WARM_UP_SECONDS:
        run()
        done += 1
    wall: list[float] = []
    gc.collect()
    gc.disable()
    try:
        cpu_start, start = time.process_time(), time.perf_counter()
        while len(wall) < min_runs or time.perf_counter() - start < min_seconds:
            before = time.perf_counter()
            run()
            wall.append((time.perf_counter() - before) * 1000)
        cpu_ms = (time.process_time() - cpu_start) * 1000
    finally:
        gc.enable()
    return Timing(tuple(wall), cpu_ms)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except DistillError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
