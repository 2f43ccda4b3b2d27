#!/usr/bin/env python3
"""What a trained student loses when its vocabulary is trimmed to the task's corpus: TinyBERT's 4x312 on SST-2.

    DISTILL_BENCH_DATA=DATA DISTILL_BENCH_MODELS=MODELS python scripts/bench/trim_student.py --runs RUNS [--sizes 10000 ...]

Reads the students that `distil_tasks.py sst2-4x312-tinybert` left in RUNS, one a seed. The pieces that stay are the most frequent
of the sentences and phrases that they were trained on; no weight is trained again. Accuracy on SST-2's dev set, before and after,
with the 95 % interval of the difference (paired bootstrap over sentences, mean of the seeds).

Results: scripts/bench/results/trim_student.json and .md; the last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from distil_tasks_rows import sources
from numpy.typing import NDArray

from distill.errors import DistillError, UserError
from distill.evaluate.paired import paired_difference
from distill.files import atomic_write, write_json
from distill.measure.hardware import environment
from distill.recipe import DataSpec
from distill.tasks.data import read_task_data
from distill.tasks.features import texts_of
from students.cost import count_parameters
from students.heads import load_head_student
from students.vocabulary import trim, unknown_rate
from students.vocabulary_model import trim_model

RESULTS = Path(__file__).parent / "results"
ROW = "sst2-4x312-tinybert"
LIMIT = 20_000
"""Phrases that the row learned from, beside the sentences."""


def read(data: Path, work: Path) -> tuple[list[str], list[str], list[str]]:
    """The text that the students were trained on, and the test sentences with the names of their labels."""
    found = sources(data, work)["sst2"]
    more = [{"source": found["phrases"], "limit": LIMIT}]
    spec = DataSpec.model_validate({"train": [found["data.train"]], "dev": {"share": 0.1}, "unlabelled": more})
    with open(found["data.evaluate"]["test"]["source"], encoding="utf-8", newline="") as stream:
        test = list(csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    return texts_of(read_task_data(spec, "classification").train), [row[0] for row in test], [row[1] for row in test]


def scores(model: Any, tokenizer: Any, texts: Sequence[str], labels: Sequence[str]) -> NDArray[np.float64]:
    """1 where the model is right, else 0, float64 [n]."""
    right = []
    for at in range(0, len(texts), 32):
        inputs = tokenizer(list(texts[at : at + 32]), padding=True, truncation=True, return_tensors="pt")
        with torch.no_grad():
            guesses = model(**inputs).logits.argmax(-1).tolist()
        right += [model.config.id2label[guess] == label for guess, label in zip(guesses, labels[at : at + 32], strict=True)]
    return np.array(right, dtype=np.float64)


def facts(model: Any, tokenizer: Any, found: Sequence[NDArray[np.float64]], texts: Sequence[str]) -> dict[str, Any]:
    """Size, unknown pieces and accuracy of a student, whose scores are those of each seed."""
    return {
        "pieces": len(tokenizer),
        "params": count_parameters(model)["params"],
        "unknown": unknown_rate(tokenizer, texts),
        "accuracy": [float(one.mean()) for one in found],
    }


def measure(runs: Path, seeds: Sequence[int], sizes: Sequence[int | None], data: Path) -> dict[str, Any]:
    """Every student before and after each trimming."""
    corpus, texts, labels = read(data, runs / "data")
    models = []
    for seed in seeds:
        folder = runs / f"{ROW}-{seed}" / "student"
        if not folder.is_dir():
            raise UserError("there is no such student", where=str(folder), hint=f"distil_tasks.py {ROW} --runs {runs}")
        model, tokenizer = load_head_student(folder, "AutoModelForSequenceClassification")  # one tokenizer, whatever the seed
        models.append(model)
    before = [scores(model, tokenizer, texts, labels) for model in models]
    tokens = [tokenizer.tokenize(text) for text in texts]
    rows = []
    for size in sizes:
        trimmed = trim(tokenizer, corpus, size=size)
        after = []
        for model in models:
            small, words = trim_model(model, tokenizer, trimmed)
            after.append(scores(small, words, texts, labels))
        row = facts(small, words, after, texts)
        row["same_tokens"] = float(np.mean([words.tokenize(text) == whole for text, whole in zip(texts, tokens, strict=True)]))
        rows.append({**row, "difference": paired_difference(np.array(after), np.array(before))})
    whole = facts(models[0], tokenizer, before, texts)
    return {"schema_version": 1, "row": ROW, "seeds": list(seeds), "n": len(texts), "whole": whole, "trimmed": rows}


def markdown(found: dict[str, Any]) -> str:
    """The table for people."""
    head = (
        "pieces",
        "parameters",
        "accuracy, mean of seeds",
        "difference, points (95 %)",
        "sentences with the same tokens",
        "unknown",
    )
    lines = [f"| {' | '.join(head)} |", "| ---: | ---: | ---: | ---: | ---: | ---: |"]
    for row in (found["whole"], *found["trimmed"]):
        difference = row.get("difference")
        moved = "-"
        if difference:
            low, high = (100 * bound for bound in difference["ci95"])
            moved = f"{100 * difference['difference']:+.2f} ({low:+.2f} to {high:+.2f})"
        cells = [
            f"{row['pieces']:,}",
            f"{row['params'] / 1e6:.2f}M",
            f"{100 * np.mean(row['accuracy']):.2f}",
            moved,
            f"{100 * row.get('same_tokens', 1):.1f} %",
            f"{row['unknown']:.3%}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    machine = found["environment"]
    note = f"{found['row']}, seeds {', '.join(map(str, found['seeds']))}, {found['n']} sentences; no weight is trained again."
    packages = ", ".join(f"{name} {machine['packages'][name]}" for name in ("torch", "transformers", "tokenizers"))
    return "\n".join(["# A trained student, its vocabulary trimmed", "", *lines, "", note, f"{machine['cpu']}; {packages}", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="folder of the runs of distil_tasks.py")
    parser.add_argument("--seeds", nargs="+", type=int, default=[42, 43, 44])
    parser.add_argument(
        "--sizes", nargs="+", type=int, default=[10_000, 8_000, 6_000], help="pieces that stay, beside all that occur"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results (default: %(default)s)")
    args = parser.parse_args()
    if "DISTILL_BENCH_DATA" not in os.environ:
        sys.exit("set DISTILL_BENCH_DATA to the folder of data; see --help")
    try:
        found = measure(args.runs.resolve(), args.seeds, [None, *args.sizes], Path(os.environ["DISTILL_BENCH_DATA"]).resolve())
    except DistillError as error:
        sys.exit(str(error))
    found["environment"] = {key: environment().get(key) for key in ("cpu", "cores", "packages")}
    write_json(args.out / "trim_student.json", found)
    atomic_write(args.out / "trim_student.md", markdown(found))
    short = [{key: row[key] for key in ("pieces", "params", "difference")} for row in found["trimmed"]]
    print(json.dumps({"bench": "trim_student", "seeds": len(args.seeds), "trimmed": short}))


if __name__ == "__main__":
    main()
