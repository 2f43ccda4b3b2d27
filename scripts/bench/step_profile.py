#!/usr/bin/env python3
"""Where the time of a training step goes: matrix products, other operators of torch, and everything that is not torch.

    python scripts/bench/step_profile.py [--steps 60] [--batch 16] [--threads 1]

A teacher of MiniLM's size (6 layers of 384, 12 heads) and a student of 3 layers of 192; rows of token ids with lognormal lengths
of mean 25; 3 losses between hidden states, 2 between attentions, soft targets: the trainer as a recipe runs it. The same run is
made three times: timed, under torch.profiler, which tells the shares (it slows small operators down, so that their share is an
upper bound), and with its operations counted. `share_of_peak` is the operations a second of the whole step beside those of a
product of two large float32 matrices on as many threads.

    --states   stored: the teacher's inner states come from disk; live: the teacher runs beside; both unless told
    --small    tiny models, few steps: whether it runs

The result is written to scripts/bench/results/step_profile.json; the last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from textbrewer_speed_worker import WORK, Pad, TokenRows, model, objective, recipe
from torch.utils.flop_counter import FlopCounterMode

from distill.files import write_json
from distill.measure.hardware import environment
from distill.progress import set_quiet
from distill.train.inner import InnerTeacher
from distill.train.stages import StagePlan, train_stages
from distill.train.stored import store_states, with_states

RESULTS = Path(__file__).parent / "results" / "step_profile.json"
PRODUCTS = ("addmm", "::mm", "bmm", "matmul", "linear", "scaled_dot_product", "flash_attention")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--states", choices=("stored", "live"), nargs="+", default=["stored", "live"])
    parser.add_argument("--top", type=int, default=15, help="operators listed")
    parser.add_argument("--small", action="store_true", help="tiny models, few steps: whether it runs")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file for the results (default: %(default)s)")
    args = parser.parse_args()
    set_quiet(True)
    torch.set_num_threads(args.threads)
    machine = environment()  # before the load that this makes
    peak = matrix_peak()
    found = {states: profiled(args, states, peak) for states in args.states}
    settings = {name: getattr(args, name) for name in ("steps", "batch", "threads", "small")}
    result = {"schema_version": 1, **settings, "peak_gigaflop_a_second": round(peak / 1e9, 1), "states": found}
    write_json(args.results, result | {"environment": machine})
    print(json.dumps(result))


def profiled(args: argparse.Namespace, states: str, peak: float) -> dict[str, Any]:
    """The same training three times: timed, under the profiler, and with its operations counted."""
    sizes = (24, 24, 4) if args.small else (384, 192, args.steps)
    timed = run(args, states, *sizes, lambda: None)
    profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])
    watched = run(args, states, *sizes, profile.start)
    profile.stop()
    counter = FlopCounterMode(display=False)
    run(args, states, *sizes, counter.__enter__)
    counter.__exit__(None, None, None)
    work = counter.get_total_flops()
    events = sorted(profile.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events) / 1e6
    products = sum(event.self_cpu_time_total for event in events if any(name in event.key for name in PRODUCTS)) / 1e6
    print(f"inner states {states}:")
    for event in events[: args.top]:
        print(f"{event.self_cpu_time_total / 1e3:10.1f} ms {event.count:8d} x  {event.key}")
    return {
        "milliseconds_a_step": round(1000 * timed / sizes[2], 2),
        "gigaflop_a_step": round(work / sizes[2] / 1e9, 3),
        "gigaflop_a_second": round(work / timed / 1e9, 1),
        "share_of_peak": round(work / timed / peak, 3),
        "milliseconds_a_step_profiled": round(1000 * watched / sizes[2], 2),
        "share_matrix_products": round(products / watched, 3),
        "share_other_operators": round((total - products) / watched, 3),
        "share_outside_torch": round(1 - total / watched, 3),
    }


def matrix_peak(size: int = 1536, seconds: float = 2.0) -> float:
    """Operations a second of a product of two large float32 matrices, the best of those that go into so many seconds."""
    left, right = torch.randn(size, size), torch.randn(size, size)
    begin, best = time.perf_counter(), float("inf")
    while time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def run(args: argparse.Namespace, states: str, wide: int, narrow: int, steps: int, begin: Callable[[], object]) -> float:
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

    stored = states == "stored"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DISTILL_CACHE"] = folder
        facts = train_stages(recipe(job, WORK), plan, work=Path(folder) / "work", log=Path(folder) / "log.jsonl")
    return float(facts["stages"][0]["seconds"])


if __name__ == "__main__":
    main()
