#!/usr/bin/env python3
"""Labels in bf16 beside labels in fp32: time and agreement, model by model.

    DISTILL_BENCH_DATA=DATA DISTILL_BENCH_MODELS=MODELS python scripts/bench/label_precision.py [--models minilm mpnet]

MODELS holds folders of sentence encoders, DATA sst2/train.tsv, whose first sentences are labelled in both precisions, in turn,
on one thread. The time is that of the processor (`time.process_time`), which other work on the machine changes little; the
ratio is that of one round, told as median, lowest and highest. Results are kept in scripts/bench/results/label_precision.json;
the last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from in_turn import spread

RESULTS = Path(__file__).parent / "results" / "label_precision.json"


def compare(folder: Path, texts: list[str], rounds: int) -> dict[str, Any]:
    """One model in both precisions."""
    from teachers.load import Teacher, load_encoder

    teacher = Teacher(load_encoder(str(folder)), folder.name)
    seconds: dict[str, list[float]] = {"fp32": [], "bf16": []}
    vectors: dict[str, np.ndarray] = {}
    teacher.embed(texts[:32])
    teacher.embed(texts[:32], precision="bf16")
    for _ in range(rounds):
        for precision in ("fp32", "bf16"):
            start = time.process_time()
            vectors[precision] = teacher.embed(texts, precision=precision)  # type: ignore[arg-type]
            seconds[precision].append(time.process_time() - start)
    unit = {name: rows / np.linalg.norm(rows, axis=1, keepdims=True) for name, rows in vectors.items()}
    cosine = (unit["fp32"] * unit["bf16"]).sum(1)
    pairs = np.triu_indices(len(texts), 1)
    between = {name: (rows @ rows.T)[pairs] for name, rows in unit.items()}
    return {
        "times_as_fast": spread([whole / half for whole, half in zip(seconds["fp32"], seconds["bf16"], strict=True)]),
        "sentences_per_cpu_second": {name: round(len(texts) / statistics.median(each), 1) for name, each in seconds.items()},
        "cosine_mean": round(float(cosine.mean()), 6),
        "cosine_lowest": round(float(cosine.min()), 6),
        "largest_change_of_a_similarity": round(float(np.abs(between["fp32"] - between["bf16"]).max()), 5),
        "texts": len(texts),
        "rounds": rounds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["minilm", "mpnet", "e5"], help="folders below DISTILL_BENCH_MODELS")
    parser.add_argument("--texts", type=int, default=512, help="how many sentences (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file for the results (default: %(default)s)")
    args = parser.parse_args()
    if "DISTILL_BENCH_DATA" not in os.environ or "DISTILL_BENCH_MODELS" not in os.environ:
        sys.exit("set DISTILL_BENCH_DATA and DISTILL_BENCH_MODELS to the folders of data and models; see --help")
    import torch

    from distill.files import write_json
    from distill.measure.hardware import environment
    from distill.rundir import versions
    from teachers.precision import native_bf16

    torch.set_num_threads(1)
    lines = (Path(os.environ["DISTILL_BENCH_DATA"]) / "sst2" / "train.tsv").read_text("utf-8").splitlines()
    texts = [line.split("\t")[0] for line in lines[: args.texts]]
    found: dict[str, Any] = {}
    for name in args.models:
        found[name] = compare(Path(os.environ["DISTILL_BENCH_MODELS"]) / name, texts, args.rounds)
        print(name, json.dumps(found[name]), file=sys.stderr)
        whole = {"models": found, "native_bf16": native_bf16(), "environment": environment(), "packages": versions()}
        write_json(args.results, {"schema_version": 1, **whole})
    print(json.dumps({name: one["times_as_fast"]["median"] for name, one in found.items()}))


if __name__ == "__main__":
    main()
