#!/usr/bin/env python3
"""Every model family with every head in every precision: how near each exported file is to its model, and what is in it.

    python scripts/bench/export_matrix.py                      # what is missing in the results
    python scripts/bench/export_matrix.py --family bert mpnet --head embedding tokens --again

Families that are not at hand are small models of 3 layers, 128 wide, random under a fixed seed, with tokenizers trained on this
Python's own documentation; they show graphs and numbers of a family, not quality. `minilm`, `mpnet` and `e5` are real models
(folders of these names below $DISTILL_BENCH_MODELS). No timing is taken.

Rows are appended to scripts/bench/results/export_matrix.json as each model is done, and export_matrix.md is written from them; a
model whose rows are there for every preset is passed over. The last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import export_matrix_models as models

import distill
from distill.errors import DistillError
from distill.files import read_json, write_json
from distill.measure.hardware import environment
from distill.progress import hide_library_bars, set_output
from distill.runtime.precision import FILES

RESULTS = Path(__file__).parent / "results" / "export_matrix.json"
NUMBERS = ("max_abs", "mean_cosine", "min_cosine", "label_agreement", "correlation", "batch_invariance", "long_inputs")
HEADER = """# Export matrix

Model family x head x precision. fp32 is compared with torch, every other file with the fp32 file, on 256 probe texts. `cosine` is
of vectors or of probabilities (none for a regression: the correlation r stands in its place); `decisions` the share of equal
labels, tags or answers. `batch` compares a text alone with the same text in a padded batch of 32: the lowest cosine of vectors,
else the share of equal decisions, or the correlation. `long` is the largest difference on inputs of 300 and 1,000 tokens, or as
many as the model reads. The random models (3 layers, 128 wide) show graphs and rounding, not quality: their heads are fitted by
least squares to the probe texts, and their decisions lie closer together than those of trained models, above all where an
answer begins and ends (`spans`), so that 8 bits miss the gate of equal answers there. A gate that failed is told
as such; `distill.load` passes such a file over. A pair of family and head that is not in a table was not measured yet: the script
goes on where it stopped.
"""


def measure(family: str, head: str, presets: list[str]) -> list[dict[str, Any]]:
    """One row a preset: what parity.json says, and the file's size; one row with a reason where there is no such model."""
    about = {"family": family, "head": head}
    if (reason := models.absent(family, head)) is not None:
        return [{**about, "precision": name, "reason": reason} for name in presets]
    with tempfile.TemporaryDirectory() as place:
        source, out = models.write(Path(place) / "model", family, head), Path(place) / "out"
        try:
            parity = distill.export_onnx(source, out, presets)
        except DistillError as error:
            return [{**about, "precision": name, "reason": f"failed: {error.message}"} for name in presets]
        rows = []
        for name in presets:
            proof = parity["models"][name]
            graph = proof["graph"]
            rows.append(
                {
                    **about,
                    "precision": name,
                    "model": models.described(family),
                    **{key: proof[key] for key in ("passed", "gate")},
                    **{key: proof.get(key) for key in NUMBERS},
                    "file_mb": round((out / "onnx" / FILES[name]).stat().st_size / 1e6, 2),
                    "nodes": graph["nodes"],
                    "quantized": proof["nodes"],
                    "opset": graph["opset"],
                    "ir": graph["ir"],
                }
            )
        return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The matrix as Markdown: a table a head."""
    lines = [HEADER]
    for head in models.HEADS:
        part = [row for row in rows if row["head"] == head]
        if not part:
            continue
        lines += [
            f"## {head}",
            "",
            "| family | precision | gate | max abs | cosine | min cosine | decisions | batch | long | MB | nodes |",
            "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        ]
        for row in part:
            cells = [f"none: {row['reason']}", *["n/a"] * 8] if "reason" in row else _cells(row)
            lines.append("| " + " | ".join([row["family"], row["precision"], *cells]) + " |")
        lines.append("")
    return "\n".join(lines)


def _cells(row: dict[str, Any]) -> list[str]:
    """What the table shows of a row."""
    together = row["batch_invariance"]
    if isinstance(together, dict):
        together = next(iter(together.values()))
    regression = row["correlation"] is not None
    cosine = f"r {row['correlation']:.5f}" if regression else _number(row["mean_cosine"], ".5f")
    decisions = _number(row["label_agreement"], ".4f", "n/a: a number" if regression else "n/a: a vector")
    longs = [value for value in row["long_inputs"].values() if value is not None]
    return [
        ("passed " if row["passed"] else "FAILED ") + row["gate"],
        _number(row["max_abs"], ".1e"),
        cosine,
        _number(row["min_cosine"], ".5f", "n/a: a number"),
        decisions,
        _number(together, ".5f"),
        f"{max(longs):.1e}" if longs else "n/a: reads 128",
        f"{row['file_mb']:.2f}",
        str(row["nodes"]),
    ]


def _number(value: float | None, form: str, absent: str = "not finite") -> str:
    return absent if value is None else f"{value:{form}}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", nargs="+", default=list(models.FAMILIES), choices=models.FAMILIES, metavar="NAME")
    parser.add_argument("--head", nargs="+", default=list(models.HEADS), choices=models.HEADS, metavar="NAME")
    parser.add_argument("--presets", nargs="+", default=["fp32", "fast", "faithful"], choices=list(FILES), metavar="NAME")
    parser.add_argument("--again", action="store_true", help="measure what is there once more")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file for the results (default: %(default)s)")
    args = parser.parse_args(arguments)
    set_output(True)
    hide_library_bars()
    rows: list[dict[str, Any]] = read_json(args.results)["rows"] if args.results.is_file() else []
    for head in args.head:
        for family in args.family:
            mine = [row for row in rows if (row["family"], row["head"]) == (family, head)]
            there = {row["precision"] for row in mine}
            if set(args.presets) <= there and not args.again:
                continue
            if models.real(family) and not models.folder(family).is_dir():
                print(f"{family}: passed over, no folder {models.folder(family)}", file=sys.stderr)
                continue
            presets = [name for name in FILES if name in there | set(args.presets)]
            found = measure(family, head, presets)
            rows = [row for row in rows if (row["family"], row["head"]) != (family, head)] + found
            order = {name: place for place, name in enumerate((*models.HEADS, *models.FAMILIES, *FILES))}
            rows.sort(key=lambda row: (order[row["head"]], order[row["family"]], order[row["precision"]]))
            args.results.parent.mkdir(parents=True, exist_ok=True)
            write_json(args.results, {"schema_version": 1, "rows": rows, "environment": environment()})
            args.results.with_suffix(".md").write_text(table(rows), "utf-8")
            told = [row.get("reason") or ("passed" if row["passed"] else "FAILED") for row in found]
            print(f"{head:<15} {family:<12} {', '.join(told)}", file=sys.stderr, flush=True)
    measured = [row for row in rows if "reason" not in row]
    failed = [f"{row['family']} {row['head']} {row['precision']}" for row in measured if not row["passed"]]
    print(json.dumps({"rows": len(rows), "measured": len(measured), "passed": len(measured) - len(failed), "failed": failed}))
    return 0


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    sys.exit(main())
