#!/usr/bin/env python3
"""Compress real sentence-transformers and measure what is kept on the English STS benchmark.

    DISTILL_BENCH_DATA=DATA DISTILL_BENCH_MODELS=MODELS python scripts/bench/compress_sts.py [RECIPE ...]

DATA holds stsb/stsb-en-{train,dev,test}.csv (sentence 1, sentence 2, score; no header). MODELS holds the folders minilm
(all-MiniLM-L6-v2) and mpnet (all-mpnet-base-v2). quickstart trains on installed prose, as shipped; the other two on the
sentences of the STSb training set. Sentences of the dev and test sets are removed from training. The checkpoint is chosen
by agreement with the teacher on held-out sentences; the test set is measured once, at the end.

Each result is written to scripts/bench/results/compress_sts_<name>.json as soon as it is there; the last line of stdout is
one JSON object with all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import distill
from distill.files import write_json

RESULTS = Path(__file__).parent / "results"


def settings(data: Path, models: Path) -> dict[str, dict[str, Any]]:
    """Overrides of each shipped recipe."""
    evaluate = {
        name: {"source": str(data / "stsb" / f"stsb-en-{part}.csv"), "columns": [0, 1, 2], "header": False}
        for name, part in (("stsb-test", "test"), ("stsb-dev", "dev"))
    }
    train = {"source": str(data / "stsb" / "stsb-en-train.csv"), "columns": [0, 1], "header": False}
    return {
        "quickstart": {"data.evaluate": evaluate},
        "sbert-half": {"data.evaluate": evaluate, "data.train": train},
        "sbert-mini": {
            "data.evaluate": evaluate,
            "data.train": train,
            "teacher.model": str(models / "mpnet"),
            "student.from": str(models / "minilm"),
            "measure.sequence": [32],  # a batch of 32 x 128 tokens takes this teacher ten seconds, thirty times over
        },
    }


def result_of(report: distill.Report, seconds: float) -> dict[str, Any]:
    """What is worth keeping of a report: every model's quality, size and latency, the recipe, the machine."""
    full = json.loads(report.model_dump_json())
    models = {
        model["name"]: {
            "quality": model["quality"],
            "file_mb": model["file_mb"],
            "params": model["params"],
            "latency": model["latency"],
            "parity": model.get("parity"),
        }
        for model in full["models"]
    }
    recipe = full["recipe"]
    for part in ("train", "evaluate"):
        for source in recipe["data"][part].values() if part == "evaluate" else recipe["data"][part]:
            source["source"] = Path(source["source"]).name
    recipe["teacher"]["model"] = Path(recipe["teacher"]["model"]).name
    recipe["student"]["from"] = Path(recipe["student"]["from"]).name
    return {
        "headline": full["headline"],
        "seconds": round(seconds, 1),
        "cost": full["cost"],
        "models": models,
        "environment": full["environment"],
        "recipe": recipe,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="which recipes; default: all three")
    parser.add_argument("--runs", type=Path, default=Path("runs/bench"), help="folder for the runs (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the results (default: %(default)s)")
    args = parser.parse_args()
    if "DISTILL_BENCH_DATA" not in os.environ or "DISTILL_BENCH_MODELS" not in os.environ:
        sys.exit("set DISTILL_BENCH_DATA and DISTILL_BENCH_MODELS to the folders of data and models; see --help")
    known = settings(Path(os.environ["DISTILL_BENCH_DATA"]), Path(os.environ["DISTILL_BENCH_MODELS"]))
    unknown = [name for name in args.names if name not in known]
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; one of: {', '.join(known)}")
    found = {}
    for name in args.names or known:
        start = time.perf_counter()
        report = distill.run(name, known[name], out=args.runs / name)
        found[name] = result_of(report, time.perf_counter() - start)
        args.results.mkdir(parents=True, exist_ok=True)
        write_json(args.results / f"compress_sts_{name}.json", found[name])
        print(report.summary, file=sys.stderr)
    print(json.dumps({name: {"headline": value["headline"], "seconds": value["seconds"]} for name, value in found.items()}))


if __name__ == "__main__":
    main()
