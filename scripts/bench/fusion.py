#!/usr/bin/env python3
"""Does fusing attention and normalisation into onnxruntime's own operators make the fp32 file faster?

    python scripts/bench/fusion.py [--models minilm mpnet e5] [--min-seconds 4]

Each model is exported as it is and with `onnxscript.rewriter.ort_fusions` (Attention, SkipLayerNormalization, BiasGelu; constants
folded behind it), the vectors of both are compared on text, and both are timed side by side in fresh processes, in two passes,
the second in reverse. Fusing would be taken up where the whole interval of the ratio lies above 1 at batch 1, sequence 32, and
no other cell is slower.

Rows are appended to scripts/bench/results/fusion.json, one a model; a model that is there is passed over without --again. The
last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from distill.evaluate.bootstrap import ROUNDS, percentile_interval
from distill.export.onnx import write_graph
from distill.export.parity import probe_sentences
from distill.export.quantize import strip
from distill.export.smooth import text_feeds
from distill.files import read_json, write_json
from distill.measure.latency import measure_models
from distill.measure.variants import Variant
from distill.progress import hide_library_bars
from distill.runtime.session import open_session
from students.save import save_student
from teachers.load import load_encoder

RESULTS = Path(__file__).parent / "results" / "fusion.json"


def fuse(source: Path, target: Path) -> dict[str, int]:
    """Write the fused form of a graph; which fusions were made, and how often."""
    from onnxscript import optimizer
    from onnxscript.rewriter.ort_fusions import optimize_for_ort

    model, found = optimize_for_ort(ir.load(source), clear_metadata=True)
    optimizer.fold_constants(model, input_size_limit=10**9, output_size_limit=10**9)
    proto = ir.to_proto(model)
    strip(proto)
    onnx.save(proto, target)
    return {name: count for name, count in found.items() if count}


def ratio_interval(first: list[float], second: list[float]) -> list[float]:
    """95% bootstrap interval of the ratio of two medians."""
    rng = np.random.default_rng(0)
    medians = [np.median(rng.choice(np.array(times), (ROUNDS, len(times))), axis=1) for times in (first, second)]
    return [round(value, 4) for value in percentile_interval(medians[0] / medians[1])]


def measure(name: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """One model: fusions, difference of the vectors, latency of both files."""
    encoder = load_encoder(str(folder))
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "model"
        save_student(encoder, home)
        files = {"plain": home / "onnx" / "plain.onnx", "fused": home / "onnx" / "fused.onnx"}
        files["plain"].parent.mkdir()
        write_graph(encoder, files["plain"])
        fusions = fuse(files["plain"], files["fused"])
        sessions = {kind: open_session(file, 1) for kind, file in files.items()}
        worst = 0.0
        for feed in text_feeds(home, probe_sentences()):
            vectors = []
            for session in sessions.values():
                names = [node.name for node in session.get_inputs()]
                vectors.append(session.run(["sentence_embedding"], {key: feed[key] for key in names})[0])
            worst = max(worst, float(np.abs(vectors[0] - vectors[1]).max()))
        del sessions
        variants = [Variant(kind, "export", "onnx", file, folder=home) for kind, file in files.items()]
        grid = {"batch": args.batch, "sequence": args.sequence, "min_runs": args.min_runs, "min_seconds": args.min_seconds}
        timed = measure_models(variants, **grid, root=home)
        nodes = {kind: len(onnx.load(file).graph.node) for kind, file in files.items()}
        ops = {kind: dict(Counter(node.op_type for node in onnx.load(file).graph.node)) for kind, file in files.items()}
    rows = {variant["name"]: {(r["batch"], r["sequence"]): r for r in variant["latency"]} for variant in timed["variants"]}
    cells = [
        {
            "batch": batch,
            "sequence": sequence,
            **{f"{kind}_p50_ms": rows[kind][batch, sequence]["p50_ms"] for kind in files},
            "faster": rows["plain"][batch, sequence]["p50_ms"] / rows["fused"][batch, sequence]["p50_ms"],
            "ci95": ratio_interval(rows["plain"][batch, sequence]["samples_ms"], rows["fused"][batch, sequence]["samples_ms"]),
            "n": rows["fused"][batch, sequence]["n"],
            "noisy": any(rows[kind][batch, sequence]["noisy"] for kind in files),
        }
        for batch, sequence in rows["plain"]
    ]
    about = {"model": name, "fusions": fusions, "nodes": nodes, "ops": ops, "max_abs": worst}
    return {**about, "cells": cells, "environment": timed["environment"], "grid": timed["grid"]}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["minilm", "mpnet", "e5"], help="folders below $DISTILL_BENCH_MODELS")
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 32])
    parser.add_argument("--sequence", nargs="+", type=int, default=[32, 128])
    parser.add_argument("--min-runs", type=int, default=40)
    parser.add_argument("--min-seconds", type=float, default=4.0)
    parser.add_argument("--again", action="store_true", help="measure what is there once more")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file for the results (default: %(default)s)")
    args = parser.parse_args(arguments)
    hide_library_bars()
    rows: list[dict[str, Any]] = read_json(args.results)["rows"] if args.results.is_file() else []
    for name in args.models:
        folder = Path(os.environ.get("DISTILL_BENCH_MODELS", "models")).expanduser() / name
        if name in {row["model"] for row in rows} and not args.again:
            continue
        if not folder.is_dir():
            print(f"{name}: passed over, no folder {folder}", file=sys.stderr)
            continue
        rows = [row for row in rows if row["model"] != name] + [measure(name, folder, args)]
        args.results.parent.mkdir(parents=True, exist_ok=True)
        write_json(args.results, {"schema_version": 1, "rows": rows})
    told = {row["model"]: {f"{c['batch']}x{c['sequence']}": round(c["faster"], 3) for c in row["cells"]} for row in rows}
    print(json.dumps({"fused_faster": told, "max_abs": {row["model"]: row["max_abs"] for row in rows}}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
