"""Export a model to ONNX and prove each file against it.

python scripts/export_onnx.py runs/quickstart/student --out small
python scripts/export_onnx.py sentence-transformers/all-MiniLM-L6-v2 --out minilm --presets fp32 fast
python scripts/export_onnx.py my-classifier --out tags --task multilabel
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import distill
from distill.errors import DistillError


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="hub id, folder or package:IMPORT_NAME")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; an earlier export there is replaced")
    parser.add_argument("--presets", nargs="+", default=["fp32", "fast", "faithful"], help="files to write (default: all three)")
    parser.add_argument("--task", help="what the model is, where its own files leave it open")
    parser.add_argument("--opset", type=int, default=20, help="ONNX operator set (default: %(default)s)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    try:
        parity = distill.export_onnx(args.model, args.out, presets=args.presets, opset=args.opset, task=args.task)
    except DistillError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"{parity['task']}, told by {parity['told_by']}")
    for name, proof in parity["models"].items():
        graph = proof["graph"]
        verdict = "passed" if proof["passed"] else "FAILED"
        print(f"{name}: {verdict} ({proof['gate']}), max abs {proof['max_abs']}, {graph['nodes']} nodes, opset {graph['opset']}")
    return 0 if all(proof["passed"] for proof in parity["models"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
