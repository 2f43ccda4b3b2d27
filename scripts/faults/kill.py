#!/usr/bin/env python3
"""SIGKILL at random instants of every stage of a run: is what it ends with the same, byte for byte?

    OMP_NUM_THREADS=1 python scripts/faults/kill.py [--kills 100] [--seed 0] [--table scripts/faults/results/kill.jsonl]

A run of a tiny model built in code (augmentation, two stages of training with checkpoints, three ONNX files, measuring, report)
goes through once without a kill. Then chains: a run in an empty folder with an empty cache is killed once in each stage in turn,
at an instant drawn evenly from the seconds that the stage took without a kill, and the same command goes on each time; the last
time it ends. Every file of the run but those that hold timings is compared with the first one's. Processes that are left count as
a loss, temporary files as a difference.

One line of JSON a kill is appended to the table, which is read at the start: a chain that was finished is not done again. The
summary is written beside it as Markdown. Ends with 1 where anything was lost or differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
STAGES = ("start", "teacher", "data", "signals", "training", "student", "onnx", "parity", "quality", "measure", "report")
TIMED = ("manifest.json", "measure.json", "report.json", "report.md", "report.html", "samples.csv", "student/README.md")
"""Files that hold seconds, dates or bytes of memory."""
RECIPE: dict[str, Any] = {
    "name": "tiny",
    "teacher": {"model": "teacher"},
    "data": {
        "train": "sentences.txt",
        "evaluate": {"sts": "sts.csv"},
        "augment": {"method": "vocabulary_mix", "sentences": 400, "share": 0.9, "max_words": 10, "words": False},
    },
    "student": {"layers": 2},
    "stages": [
        {"name": "first", "losses": ["embedding_cosine"], "epochs": 2, "batch_size": 16, "learning_rate": 1.0e-3},
        {"name": "second", "losses": ["similarity_matrix"], "epochs": 2, "batch_size": 16, "learning_rate": 5.0e-4},
    ],
    "train": {"precision": "fp32", "evaluate_every": 0.5},
    "measure": {"batch": [1], "sequence": [32], "min_runs": 3, "min_seconds": 0, "passes": 1, "rounds": 1, "repeats": 0},
}


def home_of(folder: Path) -> Path:
    """A working folder with a teacher, sentences, an evaluation set and the recipe."""
    sys.path.insert(0, str(ROOT / "tests"))
    import tiny

    tiny.saved(folder / "teacher", layers=4, hidden=32)
    tiny.write_lines(folder / "sentences.txt")
    tiny.write_sts(folder / "sts.csv", tiny.sts_rows(40))
    (folder / "tiny.yaml").write_text(json.dumps(RECIPE), "utf-8")
    return folder


def begin(home: Path, out: Path, mark: str) -> subprocess.Popen[str]:
    """Start the run; `mark` is in the environment of every process that it starts."""
    environment = {**os.environ, "DISTILL_CACHE": str(out) + ".cache", "DISTILL_FAULT": mark, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "distill", "run", "tiny.yaml", "--out", str(out)]
    with open(str(out) + ".err", "w", encoding="utf-8") as told:
        return subprocess.Popen(command, cwd=home, env=environment, stdout=subprocess.DEVNULL, stderr=told, text=True)


def stage_of(out: Path, since: float) -> str:
    """The stage that a run is in: the first whose outputs the manifest of this start does not tell."""
    try:
        file = out / "manifest.json"
        if file.stat().st_mtime < since:
            return "start"
        manifest = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return "start"
    made = {entry["name"] for entry in manifest["stages"]}
    return next((name for name in STAGES[1:] if name not in made), "report")


def durations(home: Path, out: Path) -> dict[str, float]:
    """Seconds of every stage of a whole run, as an onlooker sees them."""
    started, seen = time.time(), defaultdict[str, float](float)
    process = begin(home, out, "whole")
    last = time.monotonic()
    while process.poll() is None:
        time.sleep(0.005)
        now = time.monotonic()
        seen[stage_of(out, started)] += now - last
        last = now
    if process.returncode:
        sys.exit(Path(str(out) + ".err").read_text("utf-8"))
    return {name: seen[name] for name in STAGES}


def left(mark: str) -> list[int]:
    """Processes that carry a mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"DISTILL_FAULT={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def strike(home: Path, out: Path, target: str, share: float, seconds: float, mark: str) -> dict[str, Any]:
    """Start the run, kill it in a stage, and tell what was hit."""
    started = time.time()
    process = begin(home, out, mark)
    while process.poll() is None and STAGES.index(stage_of(out, started)) < STAGES.index(target):
        time.sleep(0.001)
    try:
        process.wait(share * seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    code = process.wait()
    return {
        "aimed": target,
        "hit": stage_of(out, started) if code == -9 else None,
        "code": code,
        "after_s": round(share * seconds, 3),
    }


def compare(whole: Path, out: Path) -> list[str]:
    """Names of files that differ between two runs or are in one alone, and of what was left behind."""
    sys.path.insert(0, str(ROOT))
    from distill.sealing import result_hashes

    one, other = result_hashes(whole), result_hashes(out)
    names = [name for name in sorted({*one, *other}) if name not in TIMED and one.get(name) != other.get(name)]
    torn = [file.relative_to(out).as_posix() for file in out.rglob("*") if ".tmp-" in file.name]
    return names + torn + (["work"] if (out / "work").exists() else [])


def chain(home: Path, whole: Path, seconds: dict[str, float], number: int, seed: int) -> list[dict[str, Any]]:
    """One run that is killed in every stage in turn; a row a kill, the last with what differs."""
    chance = random.Random(f"{seed}-{number}")
    out, mark = home / f"chain-{number}", f"chain-{os.getpid()}-{number}"
    rows = []
    for target in STAGES:
        row = strike(home, out, target, chance.random(), seconds[target], mark)
        rows.append({"seed": seed, "chain": number, **row, "lost": None, "differs": []})
    process = begin(home, out, mark)
    code = process.wait()
    time.sleep(1)
    lost = None if code == 0 else Path(str(out) + ".err").read_text("utf-8")[-2000:]
    if lost is None and (alive := left(mark)):
        lost = f"{len(alive)} processes are left"
    # what a start says that was not killed: it may refuse to go on, and that is a loss too
    refused = [row for row in rows if row["code"] not in (0, -9)]
    rows[-1]["lost"] = lost or (f"a start ended with {refused[0]['code']}" if refused else None)
    rows[-1]["differs"] = [] if code else compare(whole, out)
    return rows


def summary(rows: list[dict[str, Any]]) -> str:
    """The table as Markdown."""
    hit = Counter(row["hit"] for row in rows if row["hit"])
    lost = sum(row["lost"] is not None for row in rows)
    differ = sum(bool(row["differs"]) for row in rows)
    lines = [
        "# SIGKILL in every stage",
        "",
        f"Kills: {sum(hit.values())}; runs that were lost: {lost}; runs that differ: {differ}.",
        "",
    ]
    lines += ["| stage that was hit | kills |", "| --- | ---: |", *(f"| {name} | {hit[name]} |" for name in STAGES)]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Kill until the table holds as many kills as asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="of the whole table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", type=Path, default=ROOT / "scripts/faults/results/kill.jsonl")
    options = parser.parse_args()
    options.table.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in options.table.read_text("utf-8").splitlines()] if options.table.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        home = home_of(Path(folder))
        seconds = durations(home, home / "whole")
        print("whole run:", {name: round(value, 2) for name, value in seconds.items()}, flush=True)
        number = 1 + max((row["chain"] for row in rows if row["seed"] == options.seed), default=-1)
        while sum(row["code"] == -9 for row in rows) < options.kills:
            new = chain(home, home / "whole", seconds, number, options.seed)
            with open(options.table, "a", encoding="utf-8") as table:
                table.write("".join(json.dumps(row) + "\n" for row in new))
            rows += new
            options.table.with_suffix(".md").write_text(summary(rows), "utf-8")
            print(
                f"chain {number}: hit {[row['hit'] for row in new]}, lost {new[-1]['lost']}, differs {new[-1]['differs']}",
                flush=True,
            )
            number += 1
    print(summary(rows))
    sys.exit(int(any(row["lost"] or row["differs"] for row in rows)))


if __name__ == "__main__":
    main()
