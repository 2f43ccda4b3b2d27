#!/usr/bin/env python3
"""Labelled tasks, procedure by procedure: what does distillation add to the same student trained on labels alone?

    DISTILL_BENCH_DATA=DATA DISTILL_BENCH_MODELS=MODELS python scripts/bench/distil_tasks.py [ROW ...] [--seeds 42 43 44]

DATA holds sst2/{train,dev}.tsv and sst2/glue_train_phrases.tsv.gz (English), nsmc/train_sample.txt.gz (Korean reviews),
wnut17/{wnut17train,emerging.dev}.conll, korquad/KorQuAD_v1.0_dev.json.gz and glove/. MODELS holds minilm, mpnet and e5. Students
are chosen on a tenth of the training rows; SST-2's dev set, 5,000 rows of NSMC, WNUT-17's dev set and 1,000 KorQuAD questions are
the test sets, each measured once a run.

A row is done once for every seed. What is done already is not done again, so that the script can be stopped and started.
With --latency every shape of student that is done is timed once more, on a machine that does nothing else: its first row, first
seed. Rows of one shape (as many parameters of the encoder, under the same teacher, for the same task) share its milliseconds.
Results are kept in scripts/bench/results/distil_tasks.json after every run; the last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from distil_tasks_rows import FINETUNE, FINETUNE_LONGER, HARD, TASKS, rows, sources, stage
from distil_tasks_table import markdown, shape_of, table, times_of

import distill
from distill.errors import GateError
from distill.files import atomic_write, read_json, write_json
from distill.report.model import build_report

RESULTS = Path(__file__).parent / "results" / "distil_tasks.json"
SEEDS = [42, 43, 44]
QUICK = {"batch": [1], "sequence": [32], "threads": [1], "min_runs": 3, "min_seconds": 0}
TIMED = {**QUICK, "min_runs": 30, "min_seconds": 1.0}


def overrides(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a data set changes in a recipe: all but its phrases, which some rows have."""
    return {name: value for name, value in data.items() if name != "phrases"}


def teacher_of(row: Mapping[str, Any], seed: int, data: Mapping[str, Any], models: Path, runs: Path) -> str:
    """The folder of the fine-tuned teacher of a row's data set, made once by a short run that ends there.

    One teacher, of the first seed, teaches the students of every seed; with `own_teacher` each has the teacher of its seed.
    """
    seed = seed if row.get("own_teacher") else SEEDS[0]
    name = f"{row['set']}-teacher-{row['teacher']}" + ("" if seed == SEEDS[0] else f"-{seed}")
    place = runs / name / "teacher"
    if not (runs / name / "report.json").exists():
        settings = dict(FINETUNE[row["teacher"]])
        settings["epochs"] = FINETUNE_LONGER.get((row["set"], row["teacher"]), settings["epochs"])
        recipe = {
            "name": name,
            "seed": seed,
            "task": TASKS[row["set"]],
            "teacher": {"model": str(models / row["teacher"]), "max_length": 128, "finetune": settings},
            "data": {"train": "x", "dev": {"share": 0.1}},
            "student": {"kind": "layers", "layers": 1},
            "stages": [stage([HARD], 0.1)],
            "train": {"patience": None, "evaluate_every": 1.0},
            "export": {"presets": ["fp32"]},
            "measure": QUICK,
        }
        distill.run(recipe, overrides(data), out=runs / name, force=True)
    return str(place)


def one(
    name: str,
    row: Mapping[str, Any],
    seed: int,
    data: Mapping[str, Any],
    models: Path,
    runs: Path,
    measure: Mapping[str, Any] = QUICK,
) -> dict[str, Any]:
    """One run of a row; stages whose inputs have not changed are kept, so that another `measure` times an old run again."""
    student = dict(row["student"])
    if "from" in student:
        student["from"] = student["from"].replace("MODELS", str(models))
    recipe = {
        "name": f"{name}-{seed}",
        "seed": seed,
        "task": TASKS[row["set"]],
        "teacher": {"model": teacher_of(row, seed, data, models, runs), "max_length": 128, "precision": "auto"},
        "data": {"train": "x", "dev": {"share": 0.1}},
        "student": student,
        "stages": row["stages"],
        "train": {"patience": None, "evaluate_every": 1.0, "dropout": 0.3 if student["kind"] == "bilstm" else 0.1},
        "export": {"presets": ["fp32", "fast", "faithful"] if seed == SEEDS[0] else ["fp32", "fast"]},
        "measure": dict(measure),
    }
    given = overrides(data)
    if row.get("augment"):
        folder = os.environ["DISTILL_BENCH_DATA"]
        given["data.augment"] = json.loads(json.dumps(row["augment"]).replace("DATA/", f"{Path(folder).resolve()}/"))
    for kind, place in data.get("phrases", {}).items():
        if row.get(kind):
            given["data.unlabelled"] = [{"source": place, "limit": row[kind]}]
    start = time.perf_counter()
    out = runs / f"{name}-{seed}"
    try:
        report = distill.run(recipe, given, out=out, force=True)
    except GateError as failed:  # the report is there all the same, and says so
        print(failed, file=sys.stderr)
        report = build_report(out)
    full = json.loads(report.model_dump_json())
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "models": {
            model["name"]: {
                "test": {k: model["quality"]["test"][k] for k in ("metric", "value", "ci95", "n", "retained")},
                "params": model["params"],
                "embedding_params": model["embedding_params"],
                "file_mb": model["file_mb"],
                "p50_ms": model["latency"][0]["p50_ms"] if model["latency"] else None,
            }
            for model in full["models"]
        },
        "timed": measure is TIMED,
        "gates": {gate["model"]: gate["passed"] for gate in full["gates"]},
        "agreement": full["models"][1]["quality"]["agreement"]["value"],
        "scores": scores_line(out / "predictions" / "test" / "student.parquet"),
        "teacher_scores": scores_line(out / "predictions" / "test" / "teacher.parquet"),
        "environment": {key: full["environment"].get(key) for key in ("cpu", "cores", "packages")},
    }


def scores_line(predictions: Path) -> str:
    """The scores of every example in one line of text: a file of results with a line a number would be a million lines."""
    return " ".join(f"{value:.6g}" for value in pq.read_table(predictions)["score"].to_pylist())


def to_do(
    names: Sequence[str], seeds: Sequence[int], found: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]], timing: bool
) -> list[tuple[str, int]]:
    """Rows and seeds that are not done yet; with `timing` the first row of every shape that was not timed."""
    if not timing:
        return [(name, seed) for name in names for seed in seeds if str(seed) not in found.get(name, {})]
    seen = set(times_of(found, known))
    chosen = []
    for name in names:
        if str(seeds[0]) in found.get(name, {}) and (shape := shape_of(known[name], found[name])) not in seen:
            seen.add(shape)
            chosen.append((name, seeds[0]))
    return chosen


def main() -> None:
    """Every row and seed that is asked for and not done yet; results are written after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = rows()
    parser.add_argument("names", nargs="*", help=f"which rows; default: all of {', '.join(known)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--latency", action="store_true", help="time what is done again; needs an idle machine")
    parser.add_argument("--runs", type=Path, default=Path("runs/bench-tasks"), help="folder for the runs (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file for the results (default: %(default)s)")
    args = parser.parse_args()
    if "DISTILL_BENCH_DATA" not in os.environ or "DISTILL_BENCH_MODELS" not in os.environ:
        sys.exit("set DISTILL_BENCH_DATA and DISTILL_BENCH_MODELS to the folders of data and models; see --help")
    unknown = [name for name in args.names if name not in known]
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; one of: {', '.join(known)}")
    bench, models = Path(os.environ["DISTILL_BENCH_DATA"]).resolve(), Path(os.environ["DISTILL_BENCH_MODELS"]).resolve()
    runs = args.runs.resolve()
    data = sources(bench, runs / "data")
    found: dict[str, Any] = read_json(args.results)["runs"] if args.results.exists() else {}
    measure = TIMED if args.latency else QUICK
    lines = table(found, known)
    for name, seed in to_do(args.names or list(known), args.seeds, found, known, args.latency):
        row = known[name]
        found.setdefault(name, {})[str(seed)] = one(name, row, seed, data[row["set"]], models, runs, measure)
        args.results.parent.mkdir(parents=True, exist_ok=True)
        lines = table(found, known)
        write_json(args.results, {"schema_version": 2, "table": lines, "runs": found})
        atomic_write(args.results.with_suffix(".md"), markdown(lines, found))
        print(json.dumps(next(line for line in lines if line["row"] == name)), file=sys.stderr)
    print(json.dumps({line["row"]: {k: line[k] for k in ("value", "retained", "seeds")} for line in lines}))


if __name__ == "__main__":
    main()
