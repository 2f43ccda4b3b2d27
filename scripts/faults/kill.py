#!/usr/bin/env python3
"""SIGKILL at random instants of every stage of a run: is what it ends with the same, byte for byte?

    OMP_NUM_THREADS=1 python scripts/faults/kill.py --work FOLDER [--kills 100] [--signal KILL] [--seed 0] [--table FILE.json]

Two small runs (an encoder with augmented data; a classifier with a teacher that is fine-tuned first) go through once without a
kill. Then chains: a run in an empty folder with an empty cache is killed twice in each stage in turn, at an instant drawn evenly
from the seconds that the stage takes, and the same command goes on each time; the last time it ends. Every file of the run but
those that hold timings is compared with the whole run's. A process that is left is a loss, a temporary file a difference.

With `--signal INT` or `TERM` the run is asked to stop instead: it must end with 130 or 143 and say how to go on.

A row a kill is added to the table at once. Started again with the same FOLDER, it goes on where it was. Ends with 1 where
anything was lost or differs.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import tiny_runs

PER_STAGE = 2


HANGS = 900.0
"""Seconds after which a start that should end is taken for one that hangs."""


def strike(
    home: Path,
    recipe: str,
    out: Path,
    target: str,
    share: float,
    seconds: dict[str, float],
    number: signal.Signals,
    *,
    cold: bool,
) -> Any:
    """Start the run, send it a signal in a stage, and tell what was hit; the start and its row."""
    start = tiny_runs.Start(home, recipe, out, cold=cold)
    start.until(target)
    after = share * {**seconds, tiny_runs.CHECKPOINT: tiny_runs.CHECKPOINT_SECONDS}["cold" if cold else target]
    start.wait(after)
    hit = None if start.ended() else start.stage()
    start.send(number)
    if not start.wait(HANGS):
        start.send(signal.SIGKILL)
        start.wait()
    struck = _struck(start, number, cold)
    row = {"kind": number.name, "aimed": target, "hit": hit if struck else None, "code": start.code, "after_s": round(after, 3)}
    # what a start says that was not hit: it may refuse to go on, and that is a loss
    return start, {**row, "lost": None if struck or start.code == 0 else f"ended with {start.code}: {start.said()[-2000:]}"}


def _struck(start: tiny_runs.Start, number: signal.Signals, cold: bool) -> bool:
    """Whether a start ended as it should by a signal; by the system's hand alone while Python itself begins."""
    if number is signal.SIGKILL or (cold and start.code == -number):
        return start.code == -number
    said = start.said()
    return start.code == 128 + number and "run the same command again" in said and "Traceback" not in said


def end(home: Path, recipe: str, out: Path, begun: list[int]) -> dict[str, Any]:
    """Let a chain end: its last row."""
    last = tiny_runs.Start(home, recipe, out)
    if not last.wait(HANGS):
        last.send(signal.SIGKILL)
        last.wait()
    lost = None if last.code == 0 else f"ended with {last.code}: {last.said()[-2000:]}"
    time.sleep(1)
    alive = [pid for pid, session in tiny_runs.sessions() if session in {*begun, last.pid}]
    if lost is None and alive:
        lost = f"{len(alive)} processes are left"
    differs = [] if last.code else tiny_runs.compare(home / f"whole-{recipe}", out)
    return {"end": True, "code": last.code, "lost": lost, "differs": differs}


def targets(recipe: str) -> list[tuple[str, bool]]:
    """The stages that a chain is hit in, in order, and whether by a cold start."""
    stages = tiny_runs.STAGES[recipe].split()
    return [(name, name == "start" and not number) for name in stages for number in range(PER_STAGE)]


def chain(
    home: Path, table: tiny_runs.Table, number: int, seed: int, seconds: dict[str, dict[str, float]], kind: signal.Signals
) -> None:
    """One run that is killed in every stage in turn, from the kill that the table has not."""
    recipe = list(tiny_runs.RECIPES)[number % len(tiny_runs.RECIPES)]
    out = home / f"{kind.name}-{seed}-{number}"
    about = {"recipe": recipe, "seed": seed, "chain": number}
    done = sum((row["seed"], row["chain"]) == (seed, number) for row in table.rows)
    begun = []
    for place, (target, cold) in list(enumerate(targets(recipe)))[done:]:
        share = random.Random(f"{seed}-{number}-{place}").random()
        start, row = strike(home, recipe, out, target, share, seconds[recipe], kind, cold=cold)
        begun.append(start.pid)
        table.add({**about, **row})
        print(f"chain {number} ({recipe}): aimed at {target}, hit {row['hit']}, code {row['code']}", flush=True)
    table.add({**about, **end(home, recipe, out, begun)})
    last = table.rows[-1]
    print(f"chain {number} ({recipe}): lost {last['lost']}, differs {last['differs']}", flush=True)


def main() -> None:
    """Kill until the table holds as many kills as asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for the runs; kept, to go on in")
    parser.add_argument("--kills", type=int, default=100, help="of the whole table")
    parser.add_argument("--signal", choices=("KILL", "TERM", "INT"), default="KILL")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", type=Path, default=tiny_runs.ROOT / "scripts/faults/results/kill.json")
    options = parser.parse_args()
    tiny_runs.warm()
    work = options.work.absolute()
    kind = signal.Signals[f"SIG{options.signal}"]
    table = tiny_runs.Table(options.table, f"{kind.name} in every stage")
    seconds = tiny_runs.references(work)
    for recipe, found in seconds.items():
        print(f"whole run, {recipe}: {found}", flush=True)
    while sum(bool(row.get("hit")) for row in table.rows) < options.kills:
        ended = {row["chain"] for row in table.rows if row.get("end") and row["seed"] == options.seed}
        number = next(count for count in range(len(ended) + 1) if count not in ended)
        chain(work / "home", table, number, options.seed, seconds, kind)
    print(table.path.with_suffix(".md").read_text("utf-8"))
    sys.exit(int(any(row.get("lost") or row.get("differs") for row in table.rows)))


if __name__ == "__main__":
    main()
