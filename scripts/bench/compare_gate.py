#!/usr/bin/env python3
"""Does `distill compare --max-quality-drop 0.01` catch a student that is two points worse, and let an unchanged one pass?

    DISTILL_BENCH_DATA=DATA python scripts/bench/compare_gate.py [--run RUN] [--trials 20]

DATA holds stsb/stsb-en-{dev,test}.csv. Without --run the recipe quickstart is run first, judged on both files. Each trial draws
an evaluation set of the same size anew from a file's rows, with repeats, and writes run folders with the predictions of

- the student in torch, the baseline;
- the same student as the fp32 ONNX file: unchanged, though not to the last bit;
- students made worse on purpose: the torch student's similarities with noise, as much as lowers the Spearman of the whole
  file by 0.5, 1, 1.5 and 2 points on average. Set and noise are new in each trial, so that its drop is not exactly that.

All of them go through `distill.compare_runs`. Results: scripts/bench/results/compare_gate.json and .md; nothing is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import distill
from distill.evaluate.ranks import spearman
from distill.files import write_json

RESULTS = Path(__file__).parent / "results"
LIMIT = 0.01
DROPS = (0.005, 0.01, 0.015, 0.02)
PARTS = {"stsb-test": "stsb-en-test.csv", "stsb-dev": "stsb-en-dev.csv"}
COPIED = ("recipe.yaml", "manifest.json", "parity.json", "measure.json", "log.jsonl")


def quickstart(data: Path, out: Path) -> Path:
    """A run of the recipe, judged on both files."""
    evaluate = {
        name: {"source": str(data / "stsb" / file), "columns": [0, 1, 2], "header": False} for name, file in PARTS.items()
    }
    quick = {"measure.batch": [1], "measure.min_runs": 3, "measure.min_seconds": 0}
    distill.run("quickstart", {"data.evaluate": evaluate, "export.presets": ["fp32"], **quick}, out=out)
    return out


def calibrated(cosine: np.ndarray, scores: np.ndarray, drop: float) -> float:
    """The noise that lowers the Spearman by `drop` on average over 40 draws."""
    draws = np.random.default_rng(7).normal(size=(40, len(cosine)))
    whole, low, high = spearman(cosine, scores), 0.0, 1.0
    for _ in range(25):
        middle = (low + high) / 2
        found = np.mean([spearman(cosine + middle * noise, scores) for noise in draws])
        low, high = (middle, high) if whole - found < drop else (low, middle)
    return high


def write_run(source: Path, folder: Path, name: str, columns: dict[str, np.ndarray]) -> Path:
    """A run folder whose student gave these similarities on the set `name`, and nothing else."""
    folder.mkdir(parents=True)
    for file in COPIED:
        shutil.copy(source / file, folder / file)
    value = spearman(columns["cosine"], columns["score"])
    entry = {"value": value, "ci95": None, "n": len(columns["score"]), "retained": None, "details": {}}
    tasks = {name: {"kind": "sts", "metric": "spearman_cosine", "n": len(columns["score"])}}
    write_json(folder / "quality.json", {"schema_version": 1, "tasks": tasks, "models": {"student": {name: entry}}})
    path = folder / "predictions" / name / "student.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({key: list(values) for key, values in columns.items()}), path)
    return folder


def read_columns(run: Path, name: str, model: str) -> dict[str, np.ndarray]:
    table = pq.read_table(run / "predictions" / name / f"{model}.parquet")
    return {column: np.array(table[column].to_pylist()) for column in ("sentence1", "sentence2", "score", "cosine")}


def judge(run: Path, name: str, trials: int) -> dict[str, Any]:
    """How often each student fails the limit on one file."""
    torch, exported = (read_columns(run, name, model) for model in ("student", "fp32"))
    scores, cosine = torch["score"].astype(float), torch["cosine"].astype(float)
    noises = {drop: calibrated(cosine, scores, drop) for drop in DROPS}
    labels = {"unchanged": 0.0, **{f"worse-{100 * drop:g}": drop for drop in DROPS}}
    found: dict[str, dict[str, list[Any]]] = {label: {"failed": [], "failed_by_bound": [], "drop": []} for label in labels}
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        rows = rng.integers(0, len(scores), len(scores))
        drawn = {key: values[rows] for key, values in torch.items()}
        with tempfile.TemporaryDirectory() as scratch:
            place = Path(scratch)
            folders = [write_run(run, place / "base", name, drawn)]
            folders.append(write_run(run, place / "unchanged", name, {**drawn, "cosine": exported["cosine"][rows]}))
            for drop in DROPS:
                worse = drawn["cosine"] + noises[drop] * rng.normal(size=len(rows))
                folders.append(write_run(run, place / f"worse-{100 * drop:g}", name, {**drawn, "cosine": worse}))
            rules = distill.compare_runs(folders, model="student", max_quality_drop=LIMIT, latency=False).rules
        for rule in rules:
            entry = found[rule.run]
            entry["failed"].append(not rule.passed)
            entry["failed_by_bound"].append(rule.ci95 is None or rule.ci95[1] > LIMIT)
            entry["drop"].append(rule.value)
    students = {
        label: {
            "mean_drop_asked": drop,
            "mean_drop": round(float(np.mean(found[label]["drop"])), 5),
            "least_drop": round(float(min(found[label]["drop"])), 5),
            "largest_drop": round(float(max(found[label]["drop"])), 5),
            "failed": sum(found[label]["failed"]),
            "failed_by_bound": sum(found[label]["failed_by_bound"]),
        }
        for label, drop in labels.items()
    }
    return {"n": len(scores), "trials": trials, "spearman": round(spearman(cosine, scores), 5), "students": students}


def facts(run: Path) -> dict[str, Any]:
    """What the student is: the recipe's name, its training, its layers."""
    manifest = json.loads((run / "manifest.json").read_text("utf-8"))
    stages = {stage["name"]: stage["facts"] for stage in manifest["stages"]}
    steps = sum(stage["steps"] or 0 for stage in stages["training"]["stages"])
    return {
        "recipe": manifest["name"],
        "steps": steps,
        "sentences": stages["data"]["train"],
        "layers": stages["student"]["layers"],
        "teacher": stages["teacher"]["model"],
    }


def table(results: dict[str, Any], made: dict[str, Any]) -> str:
    lines = [
        "# `distill compare --max-quality-drop 0.01` on students made worse on purpose",
        "",
        f"The student: recipe {made['recipe']}, layers {made['layers']} of {made['teacher']}, {made['steps']:,} steps on "
        f"{made['sentences']:,} sentences.",
        "`scripts/bench/compare_gate.py` tells how. Drops in points of 100, over the trials; the estimate decides by default, "
        "the bound of the 95 % interval with `--bound`.",
        "",
        "| Set | n | Student | Drop, mean (least to most) | Failed, estimate | Failed, bound |",
        "| --- | ---: | --- | ---: | ---: | ---: |",
    ]
    for name, found in results.items():
        for label, row in found["students"].items():
            drops = " to ".join(f"{100 * row[key]:.2f}" for key in ("least_drop", "largest_drop"))
            counts = " | ".join(f"{row[key]} of {found['trials']}" for key in ("failed", "failed_by_bound"))
            lines.append(f"| {name} | {found['n']:,} | {label} | {100 * row['mean_drop']:.2f} ({drops}) | {counts} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a finished run with sets stsb-test and stsb-dev")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    run = arguments.run
    if run is None:
        run = quickstart(Path(os.environ["DISTILL_BENCH_DATA"]), Path("runs/compare-gate"))
    results = {name: judge(run, name, arguments.trials) for name in PARTS if (run / "predictions" / name).is_dir()}
    made = facts(run)
    content = {"limit": LIMIT, "toolkit": distill.__version__, "student": made, "sets": results}
    write_json(arguments.results / "compare_gate.json", content)
    (arguments.results / "compare_gate.md").write_text(table(results, made), "utf-8")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
