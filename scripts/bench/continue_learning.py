#!/usr/bin/env python3
"""Continue learning on Korean: does NLI before STS make a better sentence encoder, and in which form?

    DISTILL_BENCH_DATA=DATA DISTILL_BENCH_MODELS=MODELS python scripts/bench/continue_learning.py [CONFIG ...] [--trim]

DATA holds klue/klue-nli-dev.tsv, kornli/xnli.dev.ko.tsv and korsts/sts-{train,dev}.tsv; MODELS holds e5
(multilingual-e5-small), which puts "query: " before every sentence. The NLI data are the dev sets of KLUE-NLI and KorNLI, the STS
data KorSTS train, of which the rows in 5 % of a hash choose checkpoints. Everything is judged on KorSTS dev, once a stage: it
chooses nothing, and NLI and STS rows that share a sentence with it are left out.

Trained in bf16, which a short trial chooses by itself on a quiet machine that has it. With --trim the start model first loses
the pieces of its vocabulary that these texts do not have, which changes none of its vectors on them (checked before training):
most of its parameters are its word table, and one CPU core moves them all at every step.

A configuration is done once for every seed. What is done already is not done again, so that the script can be stopped and
started. Results are kept in scripts/bench/results/continue_learning.{json,md} after every run; the last line of stdout is one
JSON object.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import distill
from distill.data.benchmarks_write import write_benchmark
from distill.data.sources import open_table
from distill.errors import DataError
from distill.files import atomic_write, fingerprint, read_json, sha256_file, write_json
from distill.measure.hardware import environment
from distill.recipe import SourceSpec
from distill.rundir import versions
from distill.teaching_table import HEADS, KEYS

RESULTS = Path(__file__).parent / "results" / "continue_learning.json"
SEEDS = [42, 43, 44]
DEV_SHARE = 0.05
MAX_LENGTH = 64
PROMPT = "query: "
SAME = 1e-5
"""Largest difference that a trimmed vocabulary may make to a component of a vector of length 1."""

NLI = {"data": ["klue", "kornli"], "epochs": 1, "learning_rate": 2e-5}
STS = {"name": "sts", "objective": "sts_cosine", "data": ["sts"], "epochs": 4, "batch_size": 32, "learning_rate": 2e-5}
CONFIGS: dict[str, list[dict[str, Any]]] = {
    "untouched": [],
    "sts": [STS],
    "nli-softmax+sts": [{"name": "nli", "objective": "nli_softmax", "batch_size": 32, **NLI}, STS],
    "nli-ranking+sts": [{"name": "nli", "objective": "nli_ranking", "batch_size": 64, **NLI}, STS],
}
WORDS = {
    "untouched": "multilingual e5, as it is",
    "sts": "STS alone",
    "nli-softmax+sts": "NLI (softmax), then STS",
    "nli-ranking+sts": "NLI (ranking), then STS",
}


def table_rows(path: Path, kind: str) -> list[tuple[Any, ...]]:
    """Every row of a benchmark's file."""
    table = open_table(SourceSpec(source=str(path), format=kind))
    found = []
    for _, values in table.read(range(len(table.names or ()))):
        if isinstance(values, DataError):
            raise values
        found.append(values)
    return found


def sources(data: Path, work: Path) -> dict[str, dict[str, str]]:
    """Where each part lies; KorSTS train in its two parts is written below `work`."""
    files = {
        "klue": (data / "klue" / "klue-nli-dev.tsv", "klue-nli"),
        "kornli": (data / "kornli" / "xnli.dev.ko.tsv", "kornli"),
        "korsts": (data / "korsts" / "sts-dev.tsv", "korsts"),
    }
    parts: dict[str, list[tuple[Any, ...]]] = {"sts": [], "select": []}
    for row in table_rows(data / "korsts" / "sts-train.tsv", "korsts"):
        digest = hashlib.blake2b("\t".join(row[:2]).encode("utf-8"), digest_size=8).digest()
        parts["select" if int.from_bytes(digest, "big") < DEV_SHARE * 2**64 else "sts"].append(row)
    for name, rows in parts.items():
        write_benchmark(work / f"{name}.tsv", "korsts", rows)
        files[name] = (work / f"{name}.tsv", "korsts")
    return {name: {"source": str(path), "format": kind} for name, (path, kind) in files.items()}


def trimmed(start: Path, parts: Mapping[str, Mapping[str, str]], work: Path) -> tuple[Path, dict[str, Any]]:
    """The start model without the pieces that no text here has, checked to give the same vectors; and what that was."""
    from students.save import save_student
    from students.vocabulary import trim, trim_model
    from teachers.load import load_encoder

    rows = {name: table_rows(Path(part["source"]), part["format"]) for name, part in parts.items()}
    texts = sorted({text for part in rows.values() for row in part for text in row[:2]})
    place, facts = work / "e5-trimmed", work / "e5-trimmed.json"
    key = fingerprint([sha256_file(start / "model.safetensors"), texts])
    if facts.exists() and read_json(facts)["key"] == key:
        return place, read_json(facts)
    model = load_encoder(str(start), max_length=MAX_LENGTH)
    cut = trim(model.tokenizer, [PROMPT + text for text in texts], keep=[PROMPT])
    small, _ = trim_model(model, model.tokenizer, cut)
    save_student(small, place)
    some = [text for row in rows["korsts"] for text in row[:2]]
    options: dict[str, Any] = {"prompt": PROMPT, "batch_size": 64, "show_progress_bar": False}
    before, after = (one.encode(some, **options) for one in (model, load_encoder(str(place), max_length=MAX_LENGTH)))
    worst = float(np.abs(before - after).max())
    if worst > SAME:
        sys.exit(f"the trimmed model gives other vectors: largest difference {worst:.2g}")
    found = {
        "key": key,
        "pieces": [cut.old_size, cut.size],
        "parameters": [sum(weight.numel() for weight in one.parameters()) for one in (model, small)],
        "largest_difference": worst,
        "compared_sentences": len(some),
    }
    write_json(facts, found)
    return place, found


def one(
    config: str, seed: int, start: Path, parts: Mapping[str, Mapping[str, str]], runs: Path, stages: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """One training, judged on KorSTS dev."""
    if not stages:
        return {"rows": untouched(start, parts), "stages": []}
    recipe = {
        "name": f"continue-{config.replace('+', '-')}-{seed}",
        "seed": seed,
        "teacher": {
            "model": str(start),
            "prompt": PROMPT,
            "max_length": MAX_LENGTH,
            "finetune": {"stages": stages, "precision": "bf16", "evaluate_every": 0.5},
        },
        "data": {
            "train": parts["sts"],
            "teaching": {name: parts[name] for name in ("klue", "kornli", "sts")},
            "evaluate": {"korsts-dev": parts["korsts"]},
            "select": parts["select"],
        },
        "student": {"layers": 1},
        "stages": [{"losses": ["embedding_cosine"]}],
    }
    begun = time.perf_counter()
    taught = distill.teach(recipe, out=runs / f"{config}-{seed}", force=True)
    return {"rows": taught.rows, "stages": taught.stages, "seconds": round(time.perf_counter() - begun, 1)}


def untouched(start: Path, parts: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    """The start model on KorSTS dev."""
    from distill.data.sources import read_pairs
    from distill.recipe import EvaluationSpec
    from distill.teaching import judge
    from teachers.load import load_teacher
    from teachers.spec import TeacherSpec

    pairs = read_pairs(EvaluationSpec(**parts["korsts"]), on_bad_row="error", counts=Counter())  # type: ignore[arg-type]
    teacher = load_teacher(TeacherSpec(model=str(start), prompt=PROMPT, max_length=MAX_LENGTH))
    return judge(teacher, {"korsts-dev": pairs}, "before")


def table(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A line per configuration: mean and spread over seeds of the last stage's correlations."""
    lines = []
    for config in (name for name in CONFIGS if name in found):
        last = [run["rows"][-1] for run in found[config].values()]
        values = {key: [row[key] for row in last] for key in KEYS}
        lines.append(
            {
                "config": config,
                "seeds": len(last),
                "n": last[0]["n"],
                "mean": {key: float(np.mean(value)) for key, value in values.items()},
                "spread": {key: float(np.std(value, ddof=1)) if len(value) > 1 else None for key, value in values.items()},
                "ci95": [row["ci95"] for row in last],
            }
        )
    return lines


def markdown(lines: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> str:
    """The table for people, in points of 100: mean over seeds, and the standard deviation over them in brackets."""
    head = ("KorSTS dev", "Seeds", *HEADS)
    rows = [f"| {' | '.join(head)} |", "| --- |" + " ---: |" * (len(head) - 1)]
    for line in lines:
        cells = [WORDS[line["config"]], str(line["seeds"])]
        for key in KEYS:
            spread = line["spread"][key]
            cells.append(f"{100 * line['mean'][key]:.2f}" + ("" if spread is None else f" ({100 * spread:.2f})"))
        rows.append(f"| {' | '.join(cells)} |")
    cut = facts.get("trimmed")
    words = [f"n = {lines[0]['n']:,} pairs. Longest input {MAX_LENGTH} tokens. In brackets the standard deviation over seeds."]
    if cut:
        words.append(
            f"The start model's vocabulary was trimmed to the texts first: {cut['pieces'][0]:,} to {cut['pieces'][1]:,} pieces, "
            f"{cut['parameters'][0] / 1e6:.1f} to {cut['parameters'][1] / 1e6:.1f} million parameters; largest difference of a "
            f"component of its vectors on {cut['compared_sentences']:,} sentences {cut['largest_difference']:.1g}."
        )
    machine = facts["environment"]
    packages = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    words.append(f"{machine.get('cpu')}, {machine.get('cores')} cores. {packages}")
    return "\n".join(["# Continue learning on Korean", "", *rows, "", *words, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"which configurations; default: all of {', '.join(CONFIGS)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--trim", action="store_true", help="trim the start model's vocabulary to the texts first")
    parser.add_argument("--max-steps", type=int, help="stop each stage after so many steps, for a trial")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/bench-continue"), help="folder for the runs (default: %(default)s)"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="file for the results (default: %(default)s)")
    args = parser.parse_args()
    if "DISTILL_BENCH_DATA" not in os.environ or "DISTILL_BENCH_MODELS" not in os.environ:
        sys.exit("set DISTILL_BENCH_DATA and DISTILL_BENCH_MODELS to the folders of data and models; see --help")
    unknown = [name for name in args.names if name not in CONFIGS]
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; one of: {', '.join(CONFIGS)}")
    data, models = Path(os.environ["DISTILL_BENCH_DATA"]).resolve(), Path(os.environ["DISTILL_BENCH_MODELS"]).resolve()
    runs = args.runs.resolve()
    parts = sources(data, runs / "data")
    start, cut = trimmed(models / "e5", parts, runs) if args.trim else (models / "e5", None)
    facts = {
        "trimmed": None if cut is None else {key: value for key, value in cut.items() if key != "key"},
        "max_length": MAX_LENGTH,
        "max_steps": args.max_steps,
        "configs": CONFIGS,
        "environment": environment(),
        "packages": versions(),
    }
    kept = read_json(args.results) if args.results.exists() else {"runs": {}}
    found: dict[str, Any] = kept["runs"]
    for name in ("trimmed", "max_length", "max_steps", "configs"):
        if found and kept["facts"][name] != facts[name]:
            sys.exit(f"{args.results} holds runs of another {name}: give other --results, or remove it")
    for config in args.names or CONFIGS:
        for seed in args.seeds if CONFIGS[config] else args.seeds[:1]:
            if str(seed) in found.get(config, {}):
                continue
            stages = [{**stage, **({"max_steps": args.max_steps} if args.max_steps else {})} for stage in CONFIGS[config]]
            found.setdefault(config, {})[str(seed)] = one(config, seed, start, parts, runs, stages)
            lines = table(found)
            args.results.parent.mkdir(parents=True, exist_ok=True)
            write_json(args.results, {"schema_version": 1, "facts": facts, "table": lines, "runs": found})
            atomic_write(args.results.with_suffix(".md"), markdown(lines, facts))
            print(json.dumps({"config": config, "seed": seed, **found[config][str(seed)]["rows"][-1]}), file=sys.stderr)
    told = {line["config"]: {"spearman_cosine": line["mean"]["spearman_cosine"], "seeds": line["seeds"]} for line in table(found)}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
