#!/usr/bin/env python3
"""Sentences a second of this project's trainer, of TextBrewer's GeneralDistiller and of a bare loop, on the same work.

    python scripts/bench/textbrewer_speed.py [--rows 3200] [--epochs 3] [--rounds 3] [--threads 2]

A teacher of 6 layers of 384 and a student of 2 layers of 128, made from a seed: the teacher's forward pass is to the student's
two as that of BERT-base is to those of the TinyBERT of 4 layers of 312 (6.5 : 1). Rows of token ids, lognormal lengths with mean
25, at most 128; batches of 16; fp32. Losses: 3 between hidden states with a projection, 2 between attentions, and soft targets,
by TextBrewer's definitions (`convention: textbrewer`), from the same start of student and projections in every system. No
dropout, no clipping (it differs between them), one checkpoint an epoch. TextBrewer gets what it needs to run: eager attention,
plain dicts, an explicit device.

    textbrewer_dynamic   batches padded to their longest row
    textbrewer_padded    every batch padded to 128, as in its notebooks
    loop_dynamic         a bare loop over TextBrewer's batches, with this project's losses
    distill_live         this project: batches of like length, logits and inner states from the teacher that runs beside
    distill_live_bf16    the same with bfloat16, a row of its own
    distill_stored       the teacher reads each row once, which gives logits and the inner states that the losses need (fp32, on
                         disk); that pass and the writing count
    distill_stored_bf16  the same with bfloat16

Every run is a process of its own, the systems in turn, first one, then the next; each round has a seed of its own. A ratio is
that of sentences a second in the same round: the median over rounds, and the lowest and highest of them. After training all are
judged alike on rows that none has seen. `final_loss_ratio` is that of the sum of divergence and errors of hidden states; the
error of attention scores, which none of them minimises, stands beside (`attention_mse`).

`ratio_dynamic` and `ratio_padded` are distill_stored over TextBrewer with either padding, `ratio_on_the_fly` is distill_live
over textbrewer_dynamic. `stored_mb` is what the states take on disk.

    --small    tiny models and 48 rows, one round: whether it runs, nothing about speed

The result is written to scripts/bench/results/textbrewer.json; the last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from importlib import metadata
from pathlib import Path
from typing import Any

from in_turn import run_worker, spread

from distill.files import write_json
from distill.measure.hardware import environment

RESULTS = Path(__file__).parent / "results" / "textbrewer.json"
WORKER = Path(__file__).with_name("textbrewer_speed_worker.py")
SYSTEMS = (
    "textbrewer_dynamic",
    "textbrewer_padded",
    "loop_dynamic",
    "distill_live",
    "distill_live_bf16",
    "distill_stored",
    "distill_stored_bf16",
)
AGREED = ("kl_divergence", "embedding_layer_mse", "hidden_mse")
SMALL = {"rows": 48, "epochs": 2, "batch": 8, "dev": 16, "teacher": 64, "student": 32}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3200)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--small", action="store_true", help="tiny models, one round: whether it runs, nothing about speed")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file for the results (default: %(default)s)")
    args = parser.parse_args()
    work = {"rows": args.rows, "epochs": args.epochs, "batch": 16, "dev": 512, "teacher": 384, "student": 128}
    work |= {"threads": args.threads, "seed": args.seed}
    if args.small:
        work, args.rounds = work | SMALL, 1
    machine = environment()  # before the load that this makes
    rounds: list[dict[str, Any]] = []
    for number in range(args.rounds):
        turn = args.systems[number % len(args.systems) :] + args.systems[: number % len(args.systems)]
        rounds.append({})
        for system in turn:
            rounds[-1][system] = run_worker(WORKER, work | {"system": system, "seed": args.seed + number})
            print(f"round {number + 1} of {args.rounds}: {system} {json.dumps(rounds[-1][system])}", flush=True)
    found = summary(rounds, args.systems)
    rows = {system: row(rounds, system) for system in args.systems}
    args.results.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        args.results,
        {
            "schema_version": 1,
            "small": args.small,
            "work": work,
            "rounds": args.rounds,
            **found,
            "rows": rows,
            "each_round": rounds,
            "textbrewer": metadata.version("textbrewer"),
            "environment": machine,
        },
    )
    print(json.dumps(found))


def final_loss(found: dict[str, Any]) -> float:
    """The terms that every system defines alike."""
    return sum(found["dev"][name] for name in AGREED)


def row(rounds: list[dict[str, Any]], system: str) -> dict[str, Any]:
    """What is told of one system."""
    seen = [turn[system] for turn in rounds]
    return {
        "sentences_per_second": spread([one["sentences_per_second"] for one in seen]),
        "seconds": spread([one["seconds"] for one in seen]),
        "peak_rss_mb": spread([one["peak_rss_mb"] for one in seen], 1),
        "final_loss": spread([final_loss(one) for one in seen], 5),
        "attention_mse": spread([one["dev"]["attention_mse"] for one in seen], 6),
    }


def summary(rounds: list[dict[str, Any]], systems: list[str]) -> dict[str, Any]:
    """Ratios round by round; null for what was not run."""

    def ratio(ours: str, theirs: str) -> dict[str, float] | None:
        if ours not in systems or theirs not in systems:
            return None
        return spread([turn[ours]["sentences_per_second"] / turn[theirs]["sentences_per_second"] for turn in rounds])

    def losses(ours: str) -> dict[str, float] | None:
        if ours not in systems or "textbrewer_dynamic" not in systems:
            return None
        return spread([final_loss(turn[ours]) / final_loss(turn["textbrewer_dynamic"]) for turn in rounds], 5)

    stored = rounds[0].get("distill_stored")
    return {
        "ratio_dynamic": ratio("distill_stored", "textbrewer_dynamic"),
        "ratio_padded": ratio("distill_stored", "textbrewer_padded"),
        "ratio_stored_bf16": ratio("distill_stored_bf16", "textbrewer_dynamic"),
        "ratio_on_the_fly": ratio("distill_live", "textbrewer_dynamic"),
        "ratio_on_the_fly_padded": ratio("distill_live", "textbrewer_padded"),
        "ratio_on_the_fly_loop": ratio("distill_live", "loop_dynamic"),
        "ratio_on_the_fly_bf16": ratio("distill_live_bf16", "textbrewer_dynamic"),
        "ratio_loop": ratio("loop_dynamic", "textbrewer_dynamic"),
        "final_loss_ratio": losses("distill_stored"),
        "final_loss_ratio_on_the_fly": losses("distill_live"),
        "stored_mb": None if stored is None else round(stored["stored_states"]["bytes"] / 1e6, 1),
    }


if __name__ == "__main__":
    main()
