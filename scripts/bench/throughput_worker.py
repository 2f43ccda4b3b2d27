"""One system, one process: load the model, warm up, embed every text once, tell how long it took. Runs in any environment.

    python throughput_worker.py '{"system": ..., "folder": ..., "texts": ..., "threads": 2, "options": {...}, "vectors": ...}'

The last line of stdout is one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

Encode = Callable[[list[str]], Any]


def of_distill(job: dict[str, Any]) -> Encode:
    """`distill.load(folder, "fast", threads).encode`; `side_by_side`: false runs one batch after another on all threads."""
    options = dict(job["options"])
    memory(options)
    import distill

    encoder = distill.load(job["folder"], "fast", job["threads"])
    if not options.pop("side_by_side", True):
        encoder._engine.workers = 1
    return lambda texts: encoder.encode(texts, **options)


def memory(options: dict[str, Any]) -> None:
    """Change onnxruntime's settings of memory for every session of this process, for the sweep."""
    arena, pattern = options.pop("arena", None), options.pop("pattern", None)
    if arena is None and pattern is None:
        return
    import onnxruntime

    plain = onnxruntime.InferenceSession

    def opened(path: str, sess_options: Any, **more: Any) -> Any:
        sess_options.enable_cpu_mem_arena = arena is not False
        sess_options.enable_mem_pattern = bool(pattern)
        return plain(path, sess_options, **more)

    onnxruntime.InferenceSession = opened


def of_fastembed(job: dict[str, Any]) -> Encode:
    """fastembed with the model as a custom one, whose own output is the vector."""
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    TextEmbedding.add_custom_model(
        model="bench",
        pooling=PoolingType.DISABLED,
        normalization=False,
        sources=ModelSource(hf="bench"),
        dim=job["dim"],
        model_file="onnx/model_quantized.onnx",
        output_name="sentence_embedding",
    )
    processes = job["options"].get("parallel")
    threads = 1 if processes else job["threads"]
    known = {"specific_model_path": job["folder"], "cuda": False, "local_files_only": True}
    encoder = TextEmbedding("bench", threads=threads, **known)
    return lambda texts: list(encoder.embed(texts, **job["options"]))


def of_sentence_transformers(job: dict[str, Any]) -> Encode:
    """SentenceTransformer with backend="onnx", on so many threads of onnxruntime and torch."""
    import onnxruntime
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(job["threads"])
    session = onnxruntime.SessionOptions()
    session.intra_op_num_threads = job["threads"]
    options = {"file_name": "onnx/model_quantized.onnx", "provider": "CPUExecutionProvider", "session_options": session}
    encoder = SentenceTransformer(job["folder"], backend="onnx", device="cpu", model_kwargs=options)
    return lambda texts: encoder.encode(texts, show_progress_bar=False, **job["options"])


SYSTEMS = {"distill": of_distill, "fastembed": of_fastembed, "sentence-transformers": of_sentence_transformers}


def versions(names: Iterable[str]) -> dict[str, str]:
    """Name -> version of what this process has loaded."""
    modules, found = {"distill-toolkit": "distill", "optimum-onnx": "optimum"}, {}
    for name in names:
        if modules.get(name, name.replace("-", "_")) not in sys.modules:
            continue
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def peak_mb() -> float | None:
    """Most memory that this process has held, in 1e6 bytes; `ru_maxrss` would count that of the process that started it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) * 1024 / 1e6, 1)
    return None


def main() -> None:
    job = json.loads(sys.argv[1])
    texts = json.loads(Path(job["texts"]).read_text("utf-8"))
    start = time.perf_counter()
    encode = SYSTEMS[job["system"]](job)
    encode(texts[:256])
    loaded = time.perf_counter() - start
    start, times = time.perf_counter(), os.times()
    vectors = encode(texts)
    seconds, after = time.perf_counter() - start, os.times()
    if job.get("vectors"):
        np.save(job["vectors"], np.asarray(vectors, dtype=np.float32))
    packages = ("distill-toolkit", "fastembed", "sentence-transformers", "optimum-onnx", "onnxruntime", "tokenizers", "torch")
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu_seconds": sum(after[:4]) - sum(times[:4]),
                "load_seconds": loaded,
                "peak_rss_mb": peak_mb(),
                "packages": versions(packages),
            }
        )
    )


if __name__ == "__main__":
    main()
