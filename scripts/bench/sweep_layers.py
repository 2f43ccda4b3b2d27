#!/usr/bin/env python3
"""Two to five layers of the quickstart's teacher in one sweep: which student to ship, and how often the teacher read a text.

    DISTILL_BENCH_DATA=DATA python scripts/bench/sweep_layers.py [--runs FOLDER] [--layers 2 3 4 5] [a.b=c ...]

DATA holds stsb/stsb-en-{dev,test}.csv. The runs share one new store of what the teacher said, so that the counts below start from
nothing; every text that the store has the teacher read is counted where it is read. The command goes on where it stopped, but the
count then holds for the runs of the last start alone. --measure-again times the runs of a finished sweep anew, all of them at the
end of it, and keeps the counts. Results: scripts/bench/results/sweep_layers.json and .md (the comparison
with its front). Timings need a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import distill
from distill.files import read_json, write_json
from distill.recipe_yaml import parse_value

RESULTS = Path(__file__).parent / "results"
PARTS = {"stsb-test": "stsb-en-test.csv", "stsb-dev": "stsb-en-dev.csv"}


def count_reads() -> dict[str, int]:
    """Counts the texts that a store has a teacher read, from now on."""
    from teachers.store import EmbeddingStore

    counts = {"texts": 0, "different_texts": 0}
    seen: set[str] = set()
    label = EmbeddingStore.label

    def counted(self: Any, texts: Any, embed: Any, **options: Any) -> Any:
        def read(batch: Any) -> Any:
            counts["texts"] += len(batch)
            seen.update(batch)
            counts["different_texts"] = len(seen)
            return embed(batch)

        return label(self, texts, read, **options)

    EmbeddingStore.label = counted  # type: ignore[method-assign]
    return counts


def measure_again(run: Path) -> None:
    """Time the files of a finished run anew, and write its report again."""
    (run / "measure.json").unlink(missing_ok=True)
    distill.run(run / "recipe.yaml", out=run, force=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="values that are the same in all runs, such as data.train.limit=500")
    parser.add_argument("--layers", type=int, nargs="+", default=[2, 3, 4, 5])
    parser.add_argument("--recipe", default="quickstart")
    parser.add_argument("--runs", type=Path, default=Path("runs/sweep-layers"))
    parser.add_argument(
        "--measure-again", action="store_true", help="time the finished runs anew, on a machine that is quiet now"
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    data = Path(os.environ["DISTILL_BENCH_DATA"]) / "stsb"
    os.environ["DISTILL_CACHE"] = str(arguments.runs / "cache")
    evaluate = {name: {"source": str(data / file), "columns": [0, 1, 2], "header": False} for name, file in PARTS.items()}
    axes: dict[str, Any] = {"student.layers": arguments.layers, "data.evaluate": [evaluate]}
    for text in arguments.overrides:
        path, _, value = text.partition("=")
        axes[path] = [parse_value(value, path)]
    kept = read_json(arguments.results / "sweep_layers.json") if arguments.measure_again else None
    if kept is not None:
        for number in arguments.layers:
            measure_again(arguments.runs / "sweep" / f"layers-{number}")
    counts = count_reads()
    start = time.perf_counter()
    sweep = distill.sweep_runs(arguments.recipe, axes, out=arguments.runs / "sweep")
    seconds = round(time.perf_counter() - start, 1)
    if sweep.comparison is None:
        sweep.refuse_failures()
        raise SystemExit("nothing to compare")
    found = sweep.comparison.model_dump(mode="json")
    for row in found["differences"]:
        row["values"] = {
            label: value if not isinstance(value, str) else Path(value).name for label, value in row["values"].items()
        }
    result = {
        "seconds": seconds,
        "teacher": {
            "read_by_the_store": counts,
            "runs": [{"run": run.label, "computed": run.computed, "reused": run.reused} for run in sweep.runs],
        },
        "runs": [{"run": run.label, "state": run.state, "error": run.error, "seconds": run.seconds} for run in sweep.runs],
        "comparison": found,
    }
    teacher: dict[str, Any] = result["teacher"]
    if kept is not None:
        result |= {"seconds": kept["seconds"], "teacher": kept["teacher"], "measured_again": True}
        teacher = kept["teacher"]
    write_json(arguments.results / "sweep_layers.json", result)
    told = (sweep.folder / "compare.md").read_text("utf-8")
    lines = [
        f"- {run['run']}: {run['computed']:,} texts through the teacher, {run['reused']:,} from the store"
        for run in teacher["runs"]
    ]
    read = teacher["read_by_the_store"]
    total = f"In all {read['texts']:,} readings of {read['different_texts']:,} different texts."
    text = told + "\n## What the teacher read for training\n\n" + "\n".join(lines) + f"\n\n{total}\n"
    (arguments.results / "sweep_layers.md").write_text(text, "utf-8")
    print(json.dumps({"advice": found["advice"]["sentence"], "teacher": teacher, "seconds": seconds}))
    sweep.refuse_failures()


if __name__ == "__main__":
    main()
