#!/usr/bin/env python3
"""Small multilingual students: of a multilingual teacher, and of an English teacher that reads no Korean and no German.

    DISTILL_BENCH_DATA=DATA DISTILL_BENCH_MODELS=MODELS python scripts/bench/multilingual.py [ROW ...] [--seeds 42]

DATA holds parallel-en-ko/, stsb/, korsts/, klue/, kornli/, korean-chatbot/ and sst2/; MODELS holds e5 (multilingual-e5-small),
minilm and mpnet.

    e5-small6       multilingual-e5-small, 118M parameters -> six of its layers, its vocabulary trimmed to Korean, English and
                    German text; plain text alone
    minilm-koende   all-MiniLM-L6-v2 -> the student of e5-small6, on translations English-Korean and English-German
    mpnet-koende    the same of all-mpnet-base-v2; the student's vectors are 768 wide, as the teacher's

The checkpoint is chosen by agreement with the teacher on held-out sentences of all languages. KorSTS dev, English and German
STSb dev, Korean against English sentences of both, and 30 % of Tatoeba (by hash) are measured once; no sentence of theirs is
trained on, on either side. Results are kept in scripts/bench/results/multilingual.json after every run; the last line of stdout
is one JSON object.
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

from multilingual_data import write_data

import distill
from distill.errors import GateError
from distill.files import atomic_write, read_json, write_json
from distill.report.model import build_report

RESULTS = Path(__file__).parent / "results" / "multilingual.json"
VECTOR_LOSSES = [{"name": "embedding_cosine", "weight": 1.0}, {"name": "similarity_matrix", "weight": 10.0}]
TIMING = {"batch": [1], "sequence": [32], "threads": [1], "min_runs": 30, "min_seconds": 1.0}


def evaluation(data: Path, files: Mapping[str, str]) -> dict[str, Any]:
    """The test sets."""
    korsts = {"source": str(data / "korsts/sts-dev.tsv"), "format": "tsv", "columns": ["sentence1", "sentence2", "score"]}
    stsb = {"columns": [0, 1, 2], "header": False}
    return {
        "korsts-dev": {**korsts, "quoting": False, "languages": ["ko", "ko"]},
        "stsb-en-dev": {**stsb, "source": str(data / "stsb/stsb-en-dev.csv"), "languages": ["en", "en"]},
        "stsb-de-dev": {**stsb, "source": str(data / "stsb/stsb-de-dev.csv.gz"), "languages": ["de", "de"]},
        "sts-en-de-dev": {
            **stsb,
            "source": str(data / "stsb/stsb-en-dev.csv"),
            "second": str(data / "stsb/stsb-de-dev.csv.gz"),
            "languages": ["en", "de"],
        },
        "tatoeba-en-ko": {"kind": "translation", "source": files["tatoeba-test"], "columns": [0, 1], "languages": ["en", "ko"]},
    }


def recipes(data: Path, models: Path, runs: Path, files: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Row -> recipe."""
    pairs = [
        {"source": files["en-ko"], "languages": ["en", "ko"], "columns": [0, 1]},
        {"source": files["en-de"], "languages": ["en", "de"], "columns": [0, 1]},
    ]
    common = {
        "task": "embedding",
        "train": {"patience": None, "evaluate_every": 0.5},
        "export": {"presets": ["fp32", "fast", "faithful"]},
        "measure": TIMING,
    }
    small = {
        **common,
        "teacher": {"model": str(models / "e5"), "prompt": "query: ", "max_length": 128},
        "data": {"train": files["all"], "dev": {"share": 0.01}, "evaluate": evaluation(data, files)},
        "student": {"kind": "layers", "from": "teacher", "layers": 6, "vocabulary": {"min_count": 2}},
        "stages": [{"name": "main", "losses": VECTOR_LOSSES, "epochs": 3, "batch_size": 64, "learning_rate": 3e-4}],
    }
    aligned = {
        **common,
        "data": {"train": files["english"], "parallel": pairs, "dev": {"share": 0.03}, "evaluate": evaluation(data, files)},
        "student": {"kind": "layers", "from": str(runs / "e5-small6-SEED/student"), "layers": 6},
        "stages": [{"name": "main", "losses": VECTOR_LOSSES, "epochs": 7, "batch_size": 64, "learning_rate": 4e-4}],
    }
    teachers = {name: {"model": str(models / name), "max_length": 128} for name in ("minilm", "mpnet")}
    return {"e5-small6": small} | {f"{name}-koende": {**aligned, "teacher": teachers[name]} for name in teachers}


def one(name: str, seed: int, recipe: Mapping[str, Any], runs: Path) -> dict[str, Any]:
    """One run of a row."""
    start = time.perf_counter()
    ready = json.loads(json.dumps(recipe).replace("-SEED/", f"-{seed}/"))
    out = runs / f"{name}-{seed}"
    try:
        report = distill.run({"name": f"{name}-{seed}", "seed": seed, **ready}, out=out, force=True)
    except GateError as failed:  # the report is there all the same, and says so
        print(failed, file=sys.stderr)
        report = build_report(out)
    full = json.loads(report.model_dump_json())
    kept = ("params", "embedding_params", "file_mb", "quality", "latency", "parity")
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "models": {model["name"]: {key: model.get(key) for key in kept} for model in full["models"]},
        "counts": read_json(out / "data" / "counts.json")["counts"],
        "environment": {key: full["environment"].get(key) for key in ("cpu", "cores", "packages")},
    }


def table(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A line per run and model: every test set's value, with its interval and what it keeps of the teacher's."""
    lines = []
    for run, result in found.items():
        for name, model in result["models"].items():
            sets = {task: value for task, value in model["quality"].items() if task != "agreement"}
            latency = model["latency"][0]["p50_ms"] if model["latency"] else None
            size = {key: model[key] for key in ("params", "embedding_params", "file_mb")}
            lines.append({"run": run, "model": name, **size, "p50_ms": latency, "sets": sets})
    return lines


def markdown(lines: list[dict[str, Any]], found: Mapping[str, Any]) -> str:
    """The table as Markdown."""
    sets = list(dict.fromkeys(task for line in lines for task in line["sets"]))
    text = ["# Multilingual students", "", "| run | model | params | MB | ms | " + " | ".join(sets) + " |"]
    text.append("| --- | --- | ---: | ---: | ---: |" + " ---: |" * len(sets))
    for line in lines:
        cells = []
        for task in sets:
            value = line["sets"].get(task)
            if value is None or value.get("value") is None:
                cells.append("-")
                continue
            kept = value.get("retained")  # above 1: a language that the teacher does not read
            retained = "" if kept is None or kept > 1 or line["model"] == "teacher" else f", {kept:.3f} kept"
            cells.append(f"{100 * value['value']:.2f} ({100 * value['ci95'][0]:.1f}-{100 * value['ci95'][1]:.1f}){retained}")
        params = "-" if line["params"] is None else f"{line['params'] / 1e6:.1f}M"
        latency = "-" if line["p50_ms"] is None else f"{line['p50_ms']:.2f}"
        text.append(
            f"| {line['run']} | {line['model']} | {params} | {line['file_mb']:.1f} | {latency} | " + " | ".join(cells) + " |"
        )
    machine = next(iter(found.values()))["environment"] if found else {}
    packages = ", ".join(f"{name} {version}" for name, version in sorted((machine.get("packages") or {}).items()))
    text += [
        "",
        f"{machine.get('cpu')}, {machine.get('cores')} cores, one thread a run, no GPU. sts: 100 x Spearman of cosines (95 %).",
    ]
    text += [f"ms: median of one sentence of 32 tokens. {packages}", ""]
    return "\n".join(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help="which rows; default: all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42])
    parser.add_argument("--runs", type=Path, default=Path("runs/multilingual"), help="folder for the runs (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="results file (default: %(default)s)")
    args = parser.parse_args()
    if "DISTILL_BENCH_DATA" not in os.environ or "DISTILL_BENCH_MODELS" not in os.environ:
        sys.exit("set DISTILL_BENCH_DATA and DISTILL_BENCH_MODELS to the folders of data and models; see --help")
    data, models = (Path(os.environ[f"DISTILL_BENCH_{name}"]).resolve() for name in ("DATA", "MODELS"))
    runs = args.runs.resolve()
    known = recipes(data, models, runs, write_data(data, runs / "data"))
    unknown = [name for name in args.rows if name not in known]
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; one of: {', '.join(known)}")
    found: dict[str, Any] = read_json(args.results)["runs"] if args.results.exists() else {}
    for name in args.rows or known:
        for seed in args.seeds:
            if f"{name}-{seed}" not in found:
                found[f"{name}-{seed}"] = one(name, seed, known[name], runs)
            order = [f"{row}-{number}" for row in known for number in sorted({int(key.rpartition("-")[2]) for key in found})]
            found = {key: found[key] for key in order if key in found}
            lines = table(found)
            write_json(args.results, {"schema_version": 1, "table": lines, "runs": found})
            atomic_write(args.results.with_suffix(".md"), markdown(lines, found))
    summary = {
        f"{line['run']} {line['model']}": {task: value.get("value") for task, value in line["sets"].items()}
        for line in table(found)
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
