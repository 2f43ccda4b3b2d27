#!/usr/bin/env python3
"""Where the time of a training step goes: matrix products, other operators of torch, and everything that is not torch.

    python scripts/bench/step_profile.py [--steps 60] [--batch 16] [--threads 1] [--states stored]

A teacher of MiniLM's size (6 layers of 384, 12 heads) and a student of 3 layers of 192; rows of token ids with lognormal lengths
of mean 25; 3 losses between hidden states, 2 between attentions, soft targets: the trainer as a recipe runs it. The same run is
made twice after a warm-up: once timed, once under torch.profiler, which tells the shares (it slows small operators down, so that
their share is an upper bound).

    --states   stored: the teacher's inner states come from disk; live: the teacher runs beside
    --small    tiny models, few steps: whether it runs

The last line of stdout is one JSON object: milliseconds a step, and shares of the profiled time.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from textbrewer_speed_worker import INNER, Pad, TokenRows, model, objective, recipe, soft

from distill.progress import set_quiet
from distill.train.inner import InnerTeacher
from distill.train.stages import StagePlan, train_stages
from distill.train.stored import store_states, with_states

PRODUCTS = ("addmm", "::mm", "bmm", "matmul", "linear", "scaled_dot_product", "flash_attention")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--states", choices=("stored", "live"), default="stored")
    parser.add_argument("--top", type=int, default=15, help="operators listed")
    parser.add_argument("--small", action="store_true", help="tiny models, few steps: whether it runs")
    args = parser.parse_args()
    set_quiet(True)
    torch.set_num_threads(args.threads)
    sizes = (24, 24, 4) if args.small else (384, 192, args.steps)
    timed = run(args, *sizes, lambda: None)
    profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])
    watched = run(args, *sizes, profile.start)
    profile.stop()
    events = sorted(profile.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events) / 1e6
    products = sum(event.self_cpu_time_total for event in events if any(name in event.key for name in PRODUCTS)) / 1e6
    for event in events[: args.top]:
        print(f"{event.self_cpu_time_total / 1e3:10.1f} ms {event.count:8d} x  {event.key}")
    found = {
        "states": args.states,
        "milliseconds_a_step": round(1000 * timed / sizes[2], 2),
        "milliseconds_a_step_profiled": round(1000 * watched / sizes[2], 2),
        "share_matrix_products": round(products / watched, 3),
        "share_other_operators": round((total - products) / watched, 3),
        "share_outside_torch": round(1 - total / watched, 3),
    }
    print(json.dumps(found))


def run(args: argparse.Namespace, wide: int, narrow: int, steps: int, begin: Callable[[], object]) -> float:
    """Seconds of the training alone, after the teacher's pass over the rows; `begin` is called before it."""
    heads = 4 if args.small else 12
    teacher, student = model(6, wide, 0, "sdpa", heads), model(3, narrow, 1, "sdpa", heads)
    teacher.requires_grad_(False)
    job = {"epochs": 1, "batch": args.batch, "seed": 0}
    rows, pad, kept = TokenRows(args.batch * steps, 0), Pad(), []
    logits = torch.from_numpy(np.random.default_rng(0).normal(size=(len(rows), 3)).astype(np.float32))

    def plan(stage: Any) -> StagePlan:
        running = InnerTeacher(teacher, key={"profile": wide})
        kept.append(objective(running, student, stage, 0))

        def collate(items: list[dict[str, Any]]) -> dict[str, Any]:
            batch = pad(items)
            return batch | {"teacher_logits": logits[batch["row"]]}

        taught = with_states(collate, store_states(running, kept[0].inner, rows, pad, "fp32")) if stored else collate  # type: ignore[arg-type]
        begin()
        return StagePlan(kept[0], rows, taught, lambda *_: {"task_metric": 0.0}, "task_metric")

    stored = args.states == "stored"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DISTILL_CACHE"] = folder
        facts = train_stages(
            recipe(job, [soft("soft_cross_entropy"), *INNER]), plan, work=Path(folder) / "work", log=Path(folder) / "log.jsonl"
        )
    return float(facts["stages"][0]["seconds"])


if __name__ == "__main__":
    main()
