#!/usr/bin/env python3
"""Sentences a second of one int8 file: distill.load(...).encode against fastembed and sentence-transformers' own ONNX backend.

    DISTILL_BENCH_DATA=DATA DISTILL_BENCH_MODELS=MODELS \\
        python scripts/bench/throughput.py --envs ENVS [--sentences 10000] [--threads 2] [--repeats 7]

DATA holds stsb/, sst2/ and wikitext-2/ (see throughput_data.py); MODELS holds minilm (all-MiniLM-L6-v2), which is exported
first. The two others get environments of their own below ENVS, made by pip, with the onnxruntime of this one. Each is tried with
several settings on a tenth of the sentences, and runs with the best; distill runs as it is. Then every repeat is a process of its
own, the systems in turn, first one, then the next. Before any speed is told, the vectors must agree. A ratio is that of sentences
a second in the same round, with a 95% bootstrap interval over rounds.

    --sweep    instead: settings of distill alone (tokens a batch, batches side by side or one after another, memory)

The result is written to scripts/bench/results/throughput.json and .md (throughput_sweep.json); the last line of stdout is one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import in_turn
import numpy as np
from in_turn import pinned_python
from throughput_data import folders, sentences
from tokenizers import Tokenizer

import distill
from distill.files import atomic_write, write_json
from distill.measure.hardware import environment

RESULTS = Path(__file__).parent / "results"
WORKER = Path(__file__).with_name("throughput_worker.py")
PINS = {
    "fastembed": ["fastembed==0.9.1"],
    "sentence-transformers": ["sentence-transformers==5.1.2", "torch==2.13.0", "optimum-onnx[onnxruntime]==0.1.0"],
}
TRIALS: dict[str, list[dict[str, Any]]] = {
    "fastembed": [{"batch_size": size} for size in (1, 8, 32, 256)] + [{"batch_size": 32, "parallel": 2}],
    "sentence-transformers": [{"batch_size": size} for size in (1, 8, 32, 128)],
}
SWEEP: list[dict[str, Any]] = [
    *({"batch_tokens": tokens} for tokens in (64, 128, 256, 512, 1024, 2048, 4096)),
    *({"batch_tokens": tokens, "side_by_side": False} for tokens in (256, 512, 1024, 4096)),
    *({"batch_size": size} for size in (1, 8, 32)),
    {"batch_size": 32, "side_by_side": False},
    *({"batch_tokens": 512, "arena": arena, "pattern": pattern} for arena in (True, False) for pattern in (True, False)),
]
MEAN_COSINE, MIN_COSINE = 0.99, 0.95


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envs", type=Path, help="folder for the environments of the others (not needed for --sweep)")
    parser.add_argument("--sentences", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--exported", type=Path, help="a folder with onnx/model_quantized.onnx (default: minilm is exported)")
    parser.add_argument("--sweep", action="store_true", help="settings of distill alone")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the results (default: %(default)s)")
    args = parser.parse_args()
    if args.envs is None and not args.sweep:
        parser.error("--envs is needed: a folder for the environments of fastembed and sentence-transformers")
    data, models = folders()
    texts = sentences(data, args.sentences, args.seed)
    with tempfile.TemporaryDirectory() as work:
        folder = args.exported or Path(work) / "minilm"
        if args.exported is None:
            distill.export_onnx(str(models / "minilm"), folder, ("fp32", "fast"))
        settings = {"threads": args.threads, "folder": str(folder.resolve()), "dim": distill.load(folder, "fast", 1).dim}
        found = {"schema_version": 1, "threads": args.threads, "seed": args.seed, "tokens": lengths(texts, folder)}
        (run_sweep if args.sweep else run_race)(args, texts, Path(work), settings, found)


def lengths(texts: list[str], folder: Path) -> dict[str, Any]:
    """How long the texts are, in tokens as the model reads them."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"])
    counts = np.array([len(row) for row in tokenizer.encode_batch_fast(texts)])
    low, middle, high = (float(value) for value in np.percentile(counts, (10, 50, 90)))
    return {"texts": len(texts), "total": int(counts.sum()), "p10": low, "p50": middle, "p90": high, "max": int(counts.max())}


def python_of(system: str, envs: Path) -> str:
    """The Python of a system's environment, which is made if it is not there."""
    if system == "distill":
        return sys.executable
    return pinned_python(envs / system, [*PINS[system], f"onnxruntime=={version('onnxruntime')}"])


def ask(python: str, job: dict[str, Any]) -> dict[str, Any]:
    """Run the worker in a process of its own."""
    own = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true", "OMP_NUM_THREADS": str(job["threads"])}
    own["RAYON_NUM_THREADS"] = str(job["threads"])
    path = {"PYTHONPATH": str(Path(distill.__file__).parents[1])} if job["system"] == "distill" else {}
    base = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return in_turn.ask(python, WORKER, job, job["system"], {**base, **own, **path})


def write_texts(texts: list[str], path: Path) -> str:
    path.write_text(json.dumps(texts), "utf-8")
    return str(path)


def run_race(args: Any, texts: list[str], work: Path, settings: dict[str, Any], found: dict[str, Any]) -> None:
    """Trials, agreement, then round after round."""
    pythons = {system: python_of(system, args.envs) for system in ("distill", *PINS)}
    few, every = write_texts(texts[: max(1, len(texts) // 10)], work / "few.json"), write_texts(texts, work / "all.json")
    chosen: dict[str, dict[str, Any]] = {"distill": {}}
    trials: dict[str, Any] = {}
    for system, options in TRIALS.items():
        tried = [ask(pythons[system], {**settings, "system": system, "texts": few, "options": option}) for option in options]
        trials[system] = [{**option, "seconds": round(run["seconds"], 3)} for option, run in zip(options, tried, strict=True)]
        chosen[system] = options[int(np.argmin([run["seconds"] for run in tried]))]
        print(f"{system}: {trials[system]}", file=sys.stderr)
    runs: dict[str, list[dict[str, Any]]] = {system: [] for system in pythons}
    order = list(pythons)
    for number in range(args.repeats):
        for system in order[number % 3 :] + order[: number % 3]:
            job = {**settings, "system": system, "texts": every, "options": chosen[system]}
            job["vectors"] = str(work / f"{system}.npy") if number == 0 else None
            runs[system].append(ask(pythons[system], job))
            print(f"round {number + 1}, {system}: {runs[system][-1]['seconds']:.2f} s", file=sys.stderr)
        if number == 0:
            found["agreement"] = agreement({system: np.load(work / f"{system}.npy") for system in pythons})
    found["trials"], found["systems"] = trials, {}
    speeds = {system: np.array([len(texts) / run["seconds"] for run in some]) for system, some in runs.items()}
    for system, some in runs.items():
        found["systems"][system] = {
            "options": chosen[system],
            "sentences_per_second": {"median": float(np.median(speeds[system])), "samples": speeds[system].tolist()},
            "tokens_per_second": found["tokens"]["total"] / len(texts) * float(np.median(speeds[system])),
            "cpu_seconds": float(np.median([run["cpu_seconds"] for run in some])),
            "load_seconds": float(np.median([run["load_seconds"] for run in some])),
            "peak_rss_mb": float(np.median([run["peak_rss_mb"] for run in some])),
            "packages": some[0]["packages"],
        }
    found["ratios"] = {system: ratio(speeds["distill"], speeds[system], args.seed) for system in PINS}
    found["environment"] = environment()
    args.results.mkdir(parents=True, exist_ok=True)
    write_json(args.results / "throughput.json", found)
    atomic_write(args.results / "throughput.md", markdown(found))
    short = {system: {key: round(value, 3) for key, value in one.items()} for system, one in found["ratios"].items()}
    print(
        json.dumps(
            {"sentences_per_second": round(found["systems"]["distill"]["sentences_per_second"]["median"], 1), "ratios": short}
        )
    )


def agreement(vectors: dict[str, np.ndarray]) -> dict[str, Any]:
    """Cosines of each system's vectors to ours; ends the program where they are no longer the same model's."""
    found = {}
    ours = vectors["distill"]
    for system in PINS:
        theirs = vectors[system]
        near = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
        found[system] = {"mean_cosine": float(near.mean()), "min_cosine": float(near.min())}
    if any(one["mean_cosine"] < MEAN_COSINE or one["min_cosine"] < MIN_COSINE for one in found.values()):
        sys.exit(f"the vectors do not agree, so no speed is told: {found}")
    return found


def ratio(ours: np.ndarray, theirs: np.ndarray, seed: int) -> dict[str, float]:
    """The median over rounds of ours / theirs, with a 95% interval: rounds resampled 10,000 times."""
    rounds = ours / theirs
    drawn = np.random.default_rng(seed).integers(0, len(rounds), (10_000, len(rounds)))
    low, high = np.percentile(np.median(rounds[drawn], axis=1), (2.5, 97.5))
    return {"ratio": float(np.median(rounds)), "low": float(low), "high": float(high), "rounds": float(len(rounds))}


def markdown(found: dict[str, Any]) -> str:
    """The table of a race."""
    tokens, machine = found["tokens"], found["environment"]
    rows = []
    for system, one in found["systems"].items():
        against = found["ratios"].get(system)
        told = "" if against is None else f"{against['ratio']:.2f} [{against['low']:.2f}, {against['high']:.2f}]"
        near = found["agreement"].get(system)
        cosine = "" if near is None else f"{near['mean_cosine']:.4f} / {near['min_cosine']:.4f}"
        options = ", ".join(f"{name} {value}" for name, value in one["options"].items()) or "as it is"
        packages = ", ".join(f"{name} {number}" for name, number in one["packages"].items())
        rows.append(
            f"| {system} ({options}) | {one['sentences_per_second']['median']:,.0f} | {told} | {cosine} |"
            f" {one['cpu_seconds']:.1f} | {one['peak_rss_mb']:.0f} | {packages} |"
        )
    rounds = len(found["systems"]["distill"]["sentences_per_second"]["samples"])
    return "\n".join(
        [
            "# Sentences a second: the same int8 file in three runtimes",
            "",
            f"{tokens['texts']:,} real texts of {tokens['p10']:.0f} to {tokens['p90']:.0f} tokens (10th to 90th percentile;"
            f" median {tokens['p50']:.0f}, longest {tokens['max']}), all-MiniLM-L6-v2 `fast`, {found['threads']} threads,"
            f" {rounds} rounds, each run a process of its own, the systems in turn. The ratio is ours / theirs of the same round,"
            " with a 95% bootstrap interval over rounds. The others run with the best of the settings that were tried.",
            "",
            "| system | sentences/s | ours / theirs | cosine mean / min | CPU s | peak MB | versions |",
            "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
            *rows,
            "",
            f"Machine: {machine['cpu']}, {machine['cores']} cores, load {machine['load_before']} at the end.",
            "",
        ]
    )


def run_sweep(args: Any, texts: list[str], work: Path, settings: dict[str, Any], found: dict[str, Any]) -> None:
    """Every setting of ours, round after round."""
    every = write_texts(texts, work / "all.json")
    runs: list[list[dict[str, Any]]] = [[] for _ in SWEEP]
    for number in range(args.repeats):
        for place, options in enumerate(SWEEP):
            runs[place].append(ask(sys.executable, {**settings, "system": "distill", "texts": every, "options": options}))
            print(f"round {number + 1}, {options}: {runs[place][-1]['seconds']:.2f} s", file=sys.stderr)
    rows = [
        {
            **options,
            "sentences_per_second": round(len(texts) / float(np.median([run["seconds"] for run in some])), 1),
            "cpu_seconds": round(float(np.median([run["cpu_seconds"] for run in some])), 2),
            "peak_rss_mb": float(np.median([run["peak_rss_mb"] for run in some])),
        }
        for options, some in zip(SWEEP, runs, strict=True)
    ]
    args.results.mkdir(parents=True, exist_ok=True)
    write_json(args.results / "throughput_sweep.json", {**found, "rows": rows, "environment": environment()})
    best = max(rows, key=lambda row: row["sentences_per_second"])
    print("\n".join(str(row) for row in rows), file=sys.stderr)
    print(json.dumps({"best": best}))


if __name__ == "__main__":
    main()
