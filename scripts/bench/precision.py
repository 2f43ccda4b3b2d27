#!/usr/bin/env python3
"""What the precisions of an export keep, and what they cost: fp32, fast, faithful and searched at half a percent.

    DISTILL_BENCH_DATA=DATA DISTILL_BENCH_MODELS=MODELS python scripts/bench/precision.py [stsb sst2 nsmc ...] --runs RUNS

stsb is half of all-MiniLM-L6-v2, distilled on the text of the STS benchmark's training set; minilm is all six layers of it,
hardly trained at all; sst2 and nsmc are classifiers of cut layers (sst2few and nsmcfew: of a thousand labelled rows). Each is a
run of this toolkit with a search at `metric_drop: 0.005`, judged on dev rows; the test set is measured once, at the end. Every
file is then timed by `distill.measure`: all of them in turn and back again, each in a process of its own, and ratios of medians
get bootstrap intervals.

A row that is done is not done again (--again times it again). Results: scripts/bench/results/precision.json and .md after every
row; the last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from distil_tasks import overrides, teacher_of
from distil_tasks_rows import BOTH, CUT3, E5_CUT, sources

import distill
from distill.errors import GateError
from distill.evaluate.bootstrap import percentile_interval
from distill.files import atomic_write, read_json, write_json
from distill.measure.hardware import environment
from distill.measure.latency import measure_models
from distill.measure.variants import find_variants

RESULTS = Path(__file__).parent / "results"
ROWS = ("stsb", "minilm", "sst2", "nsmc")
PRESETS = ["fp32", "fast", "faithful", "searched"]
EXPORT = {"presets": PRESETS, "budget": {"metric_drop": 0.005}}
QUICK = {"batch": [1], "sequence": [32], "threads": [1], "min_runs": 3, "min_seconds": 0}
RATIOS = (("student", "fp32"), ("student", "fast"), ("fp32", "fast"), ("fp32", "searched"), ("faithful", "searched"))
"""Slower and quicker of two models: median of the first / median of the second."""


def sts_run(name: str, data: Path, models: Path, out: Path, epochs: float) -> None:
    """Half of MiniLM, or all of it, with the STS benchmark's dev set to choose precisions by."""

    def part(which: str) -> dict[str, Any]:
        return {"source": str(data / "stsb" / f"stsb-en-{which}.csv"), "columns": [0, 1, 2], "header": False}

    given = {
        "teacher.model": str(models / "minilm"),
        "data.train": {**part("train"), "columns": [0, 1]},
        "data.select": {"dev": part("dev")},
        "data.evaluate": {"test": part("test")},
        "student.layers": 3 if name == "stsb" else 6,
        "train.epochs": epochs if name == "stsb" else 0.05,
        "export": EXPORT,
        "measure": QUICK,
    }
    distill.run("sbert-half", given, out=out, force=True)


def task_run(name: str, data: Path, models: Path, runs: Path, out: Path) -> None:
    """A classifier of cut layers, its teacher fine-tuned once."""
    few = name.removesuffix("few")
    row = {"set": name, "teacher": "minilm" if few == "sst2" else "e5", "student": CUT3 if few == "sst2" else E5_CUT}
    found = sources(data, runs / "data")[name]
    recipe = {
        "name": out.name,
        "task": "classification",
        "teacher": {"model": teacher_of(row, found, models, runs), "max_length": 128},
        "data": {"train": "x", "dev": {"share": 0.1}},
        "student": row["student"],
        "stages": BOTH,
        "train": {"patience": None, "evaluate_every": 1.0, "dropout": 0.1},
        "export": EXPORT,
        "measure": QUICK,
    }
    distill.run(recipe, overrides(found), out=out, force=True)


def quality_of(out: Path) -> dict[str, Any]:
    """Test quality, its share of the fp32 file's, parity and the search, of a finished run."""
    quality, parity = read_json(out / "quality.json"), read_json(out / "parity.json")
    models, search = quality["models"], parity["search"]
    base = models["fp32"]["test"]["value"]
    return {
        "metric": quality["tasks"]["test"]["metric"],
        "n": models["fp32"]["test"].get("n") or quality["tasks"]["test"]["n"],
        "models": {
            name: {
                "value": models[name]["test"]["value"],
                "of_fp32": models[name]["test"]["value"] / base,
                "mean_cosine": parity["models"][name]["mean_cosine"],
                "invariance": parity["models"][name]["invariance"],
                "nodes": parity["models"][name]["nodes"],
                "mb": round((out / "student" / parity["models"][name]["file"].partition("/")[2]).stat().st_size / 1e6, 2),
                "passed": parity["models"][name]["passed"],
            }
            for name in PRESETS
        },
        "search": {
            key: search[key] for key in ("words", "timing", "milliseconds", "before", "after", "lost", "taken", "seconds")
        },
        "chosen": {form: sum(g["chosen"] == form for g in search["groups"]) for form in {g["chosen"] for g in search["groups"]}},
        "inside": 1 - models["searched"]["test"]["value"] / base <= EXPORT["budget"]["metric_drop"],  # type: ignore[index]
    }


def timed(out: Path, seconds: float, rounds: int) -> dict[str, Any]:
    """Every file of a run, timed; ratios of medians with 95 % bootstrap intervals."""
    found = measure_models(
        find_variants(out / "student"),
        batch=[1, 32],
        sequence=[32],
        threads=[1],
        min_runs=30 if seconds else 3,
        min_seconds=seconds,
        passes=rounds,
        root=out,
    )
    rows = {v["name"]: {(r["batch"], r["sequence"]): r for r in v["latency"]} for v in found["variants"]}
    random = np.random.default_rng(0)
    ratios = {}
    for slow, quick in RATIOS:
        for cell in ((1, 32), (32, 32)) if slow in rows and quick in rows else ():
            a, b = (np.asarray(rows[name][cell]["samples_ms"]) for name in (slow, quick))
            draws = [np.median(random.choice(a, len(a))) / np.median(random.choice(b, len(b))) for _ in range(1000)]
            ratios[f"{slow} / {quick}, {cell[0]}x{cell[1]}"] = {
                "ratio": float(np.median(a) / np.median(b)),
                "ci95": percentile_interval(np.array(draws)),
            }
    p50 = {name: {f"{b}x{s}": row["p50_ms"] for (b, s), row in cells.items()} for name, cells in rows.items()}
    noisy = sorted({name for name, cells in rows.items() for row in cells.values() if row["noisy"]})
    machine = environment()
    return {
        "p50_ms": p50,
        "ratios": ratios,
        "noisy": noisy,
        "environment": {key: machine.get(key) for key in ("cpu", "cores", "flags", "load_before", "packages")},
    }


def markdown(found: Mapping[str, Any]) -> str:
    """Two tables: quality and time, a line per row and file."""
    lines = [
        "# Precisions: what they keep, and what they cost",
        "",
        "Quality on test sets; searched: at most 0.5 % of the fp32 file's dev metric. Invariance: lowest cosine of a text's",
        "vector (of a task model: probabilities) alone to itself in a batch of 8, of 32, padded to 128.",
        "",
        "| row | file | MB | metric | of fp32 | mean cosine | invariance | p50 ms 1x32 | p50 ms 32x32 |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, row in found.items():
        for file, model in row["quality"]["models"].items():
            least = min((model["invariance"] or {"none": float("nan")}).values())
            times = row.get("timed", {}).get("p50_ms", {}).get(file, {})
            cosine = "" if model["mean_cosine"] is None else f"{model['mean_cosine']:.5f}"
            lines.append(
                f"| {name} | {file} | {model['mb']} | {model['value']:.4f} | {model['of_fp32']:.4f} | {cosine} | {least:.5f} "
                f"| {times.get('1x32', '')} | {times.get('32x32', '')} |"
            )
    lines += ["", "| row | slower / quicker, batch x tokens, 1 thread | ratio of medians | 95 % |", "| --- | --- | ---: | --- |"]
    for name, row in found.items():
        for what, ratio in row.get("timed", {}).get("ratios", {}).items():
            low, high = ratio["ci95"]
            lines.append(f"| {name} | {what} | {ratio['ratio']:.2f} | {low:.2f} to {high:.2f} |")
    for name, row in found.items():
        search, quality = row["quality"]["search"], row["quality"]
        where = "inside" if quality["inside"] else "outside"
        chosen = ", ".join(f"{n} groups {form}" for form, n in sorted(quality["chosen"].items()))
        told = f"{search['words']}; {search['lost']:+.3%} lost on dev, {where} on test; {chosen}; {search['seconds']:.0f} s"
        lines += ["", f"{name}: {told} of search."]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", default=list(ROWS), help=f"default: {' '.join(ROWS)}; also sst2few, nsmcfew")
    parser.add_argument("--runs", type=Path, default=Path("runs/bench"), help="folder for the runs (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the results (default: %(default)s)")
    parser.add_argument("--epochs", type=float, default=4, help="of stsb (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="of timing per file and cell; 0: a trial (default: %(default)s)"
    )
    parser.add_argument("--passes", type=int, default=4, help="processes per file (default: %(default)s)")
    parser.add_argument("--no-timing", action="store_true", help="quality alone: for a machine that does other work")
    parser.add_argument("--again", action="store_true", help="time rows again that were timed")
    args = parser.parse_args()
    if "DISTILL_BENCH_DATA" not in os.environ or "DISTILL_BENCH_MODELS" not in os.environ:
        sys.exit("set DISTILL_BENCH_DATA and DISTILL_BENCH_MODELS to the folders of data and models; see --help")
    unknown = sorted(set(args.rows) - {*ROWS, "sst2few", "nsmcfew"})
    if unknown:
        sys.exit(f"unknown rows: {', '.join(unknown)}; see --help")
    data, models = (Path(os.environ[name]) for name in ("DISTILL_BENCH_DATA", "DISTILL_BENCH_MODELS"))
    file = args.results / "precision.json"
    found: dict[str, Any] = read_json(file) if file.exists() else {}
    for name in args.rows:
        out, start = args.runs / f"precision-{name}", time.perf_counter()
        row = found.get(name, {})
        if "quality" not in row:
            try:
                if name in ("stsb", "minilm"):
                    sts_run(name, data, models, out, args.epochs)
                else:
                    task_run(name, data, models, args.runs, out)
            except GateError as failed:  # the files are there all the same
                print(failed, file=sys.stderr)
            row["quality"] = quality_of(out)
        if not args.no_timing and (args.again or "timed" not in row):
            row["timed"] = timed(out, args.seconds, args.passes)
        found[name] = row
        args.results.mkdir(parents=True, exist_ok=True)
        write_json(file, found)
        atomic_write(args.results / "precision.md", markdown(found))
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    short = {name: {m: round(v["of_fp32"], 4) for m, v in row["quality"]["models"].items()} for name, row in found.items()}
    print(json.dumps({"of_fp32": short, "inside": {name: row["quality"]["inside"] for name, row in found.items()}}))


if __name__ == "__main__":
    main()
