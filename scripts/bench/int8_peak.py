#!/usr/bin/env python3
"""How much of the machine's int8 peak does encode use? The peak is what onnxruntime itself reaches on a large product.

    DISTILL_BENCH_DATA=DATA DISTILL_BENCH_MODELS=MODELS python scripts/bench/int8_peak.py [--threads 1 2] [--sentences 2000]

DATA and MODELS as for throughput.py. The peak: MatMulInteger, unsigned by signed 8 bits, as the preset `fast` uses it, of several
large shapes and of the model's own; the best of many runs counts. Encode: the sentences of throughput.py through
distill.load(...).encode, `fast`; its int8 operations are counted from the shapes of the graph's weights and the real tokens
(padding counts as nothing), two for each multiplication. Products that run in fp32 (attention scores and sums, 4 * tokens^2 *
width a layer) are told beside. Each number of threads runs in a process of its own; rounds of peak and encode alternate, and a
share is that of one round.

The result is written to scripts/bench/results/int8_peak.json and .md; the last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from throughput_data import folders, sentences

RESULTS = Path(__file__).parent / "results"
LARGE = ((512, 1024, 1024), (1024, 2048, 2048), (512, 4096, 1024), (256, 1024, 4096))
OWN = ((512, 384, 384), (512, 384, 1536), (512, 1536, 384))
"""[rows, inner, columns]: large products, and the products of all-MiniLM-L6-v2 in a batch of 512 tokens."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sentences", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each shape and round (default: %(default)s)")
    parser.add_argument("--exported", type=Path, help="a folder with onnx/model_quantized.onnx (default: minilm is exported)")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the results (default: %(default)s)")
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(work(json.loads(args.worker))))
        return
    import distill
    from distill.files import atomic_write, write_json
    from distill.measure.hardware import environment

    data, models = folders()
    texts = sentences(data, args.sentences)
    with tempfile.TemporaryDirectory() as place:
        folder, file = Path(place) / "minilm", Path(place) / "texts.json"
        if args.exported is None:
            distill.export_onnx(str(models / "minilm"), folder, ("fp32", "fast"))
        folder = args.exported or folder
        file.write_text(json.dumps(texts), "utf-8")
        runs = []
        for threads in args.threads:
            job = {"folder": str(folder), "texts": str(file), "threads": threads, "rounds": args.rounds, "seconds": args.seconds}
            own = {"RAYON_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false"}
            command = [sys.executable, str(Path(__file__).resolve()), "--worker", json.dumps(job)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **own})
            if done.returncode:
                sys.exit(done.stderr[-3000:])
            runs.append(json.loads(done.stdout.splitlines()[-1]))
            print(f"{threads} threads: {runs[-1]['share']}", file=sys.stderr)
    found = {"schema_version": 1, "sentences": len(texts), "runs": runs, "environment": environment()}
    args.results.mkdir(parents=True, exist_ok=True)
    write_json(args.results / "int8_peak.json", found)
    atomic_write(args.results / "int8_peak.md", markdown(found))
    print(json.dumps({str(run["threads"]): {"peak_gops": run["peak_gops"], "share": run["share"]["median"]} for run in runs}))


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Peak and encode in turn, on one number of threads."""
    import distill

    threads, texts = job["threads"], json.loads(Path(job["texts"]).read_text("utf-8"))
    encoder = distill.load(job["folder"], "fast", threads)
    counts = np.array([len(row) for row in encoder._text.tokenize(texts)])
    macs, layers, width = model_products(Path(job["folder"]) / "onnx" / "model_quantized.onnx")
    operations = 2 * macs * int(counts.sum())
    attention = 4 * layers * width * int((counts.astype(np.int64) ** 2).sum())
    products = {shape: product(shape, threads) for shape in (*LARGE, *OWN)}
    encoder.encode(texts[:256])
    rates: dict[tuple[int, int, int], list[float]] = {shape: [] for shape in products}
    seconds, shares, own_shares = [], [], []
    for _ in range(job["rounds"]):
        for shape, run in products.items():
            rates[shape].append(2 * shape[0] * shape[1] * shape[2] / best_seconds(run, job["seconds"]))
        start = time.perf_counter()
        encoder.encode(texts)
        seconds.append(time.perf_counter() - start)
        rate = operations / seconds[-1]
        shares.append(rate / max(rates[shape][-1] for shape in LARGE))
        own_shares.append(rate / max(rates[shape][-1] for shape in OWN))
    return {
        "threads": threads,
        "tokens": int(counts.sum()),
        "peak_gops": round(max(float(np.median(rates[shape])) for shape in LARGE) / 1e9, 1),
        "products": [
            {"shape": shape, "large": shape in LARGE, "gops": round(float(np.median(found)) / 1e9, 1)}
            for shape, found in rates.items()
        ],
        "encode_seconds": {"median": float(np.median(seconds)), "samples": seconds},
        "int8_giga_operations": round(operations / 1e9, 1),
        "fp32_attention_giga_operations": round(attention / 1e9, 1),
        "encode_gops": round(operations / float(np.median(seconds)) / 1e9, 1),
        "share": {"median": round(float(np.median(shares)), 4), "low": round(min(shares), 4), "high": round(max(shares), 4)},
        "share_of_own_shapes": round(float(np.median(own_shares)), 4),
    }


def model_products(file: Path) -> tuple[int, int, int]:
    """Multiplications a token in int8 products with weights; layers, by the softmaxes; width, by the LayerNorms."""
    import onnx

    graph = onnx.load(file).graph
    shapes = {weight.name: list(weight.dims) for weight in graph.initializer}
    products = [node for node in graph.node if node.op_type in ("MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul")]
    macs = sum(int(np.prod(shapes[node.input[1]])) for node in products if node.input[1] in shapes)
    layers = sum(node.op_type == "Softmax" for node in graph.node)
    norms = [shapes[node.input[1]][0] for node in graph.node if node.op_type == "LayerNormalization" and node.input[1] in shapes]
    return macs, layers, max(norms)


def product(shape: tuple[int, int, int], threads: int) -> Any:
    """A function that runs one product of this shape in onnxruntime."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    rows, inner, columns = shape
    chance = np.random.default_rng(0)
    weights = chance.integers(-127, 128, (inner, columns)).astype(np.int8)
    body = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "weights", "zero"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [rows, inner])],
        [helper.make_tensor_value_info("c", TensorProto.INT32, [rows, columns])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.array(128, np.uint8), "zero")],
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {"a": chance.integers(0, 256, (rows, inner)).astype(np.uint8)}
    return lambda: session.run(None, feeds)


def best_seconds(run: Any, seconds: float) -> float:
    """The quickest of as many runs as fit into so many seconds, five at least."""
    best, end, count = float("inf"), time.perf_counter() + seconds, 0
    while count < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        best, count = min(best, time.perf_counter() - start), count + 1
    return best


def markdown(found: dict[str, Any]) -> str:
    """The tables of one result."""
    machine = found["environment"]
    lines = [
        "# Share of the int8 peak",
        "",
        f"{found['sentences']:,} real texts through `distill.load(...).encode`, all-MiniLM-L6-v2 `fast`. GOPS: 1e9 operations a"
        " second, a multiplication and an addition each counting one. Peak: MatMulInteger (u8 x s8) of onnxruntime, the best of"
        " the large shapes. Encode: int8 operations of the real tokens alone, over the whole time from text to vector: tokenizer,"
        " attention in fp32, softmax, LayerNorm and quantizing of activations included. Share: the same round's; median [lowest,"
        " highest].",
        "",
        "| threads | peak GOPS | best of the model's own shapes | encode GOPS | share of the peak | share of the own shapes |"
        " attention in fp32 |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for run in found["runs"]:
        share = run["share"]
        own = max(row["gops"] for row in run["products"] if not row["large"])
        extra = run["fp32_attention_giga_operations"] / run["int8_giga_operations"]
        lines.append(
            f"| {run['threads']} | {run['peak_gops']:,.0f} | {own:,.0f} | {run['encode_gops']:,.0f} | {share['median']:.1%}"
            f" [{share['low']:.1%}, {share['high']:.1%}] | {run['share_of_own_shapes']:.1%} | {extra:.1%} of int8 |"
        )
    lines += ["", "| threads | product | GOPS |", "| ---: | --- | ---: |"]
    lines += [
        f"| {run['threads']} | {' x '.join(map(str, row['shape']))} | {row['gops']:,.0f} |"
        for run in found["runs"]
        for row in run["products"]
    ]
    return "\n".join(
        [*lines, "", f"Machine: {machine['cpu']}, {machine['cores']} cores, load {machine['load_before']} at the end.", ""]
    )


if __name__ == "__main__":
    main()
