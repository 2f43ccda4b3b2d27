"""Export an encoder to ONNX and compare the vectors of each file with those of the model.

python scripts/export_onnx.py runs/quickstart/student --out small
python scripts/export_onnx.py sentence-transformers/all-MiniLM-L6-v2 --out minilm --presets fp32 fast
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
    parser.add_argument("--opset", type=int, default=20, help="ONNX operator set (default: %(default)s)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    try:
        parity = distill.export_onnx(args.model, args.out, presets=args.presets, opset=args.opset)
        vectors = distill.load(args.out, precision="fp32").encode(["A man is eating.", "Someone is having lunch."])
    except DistillError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for name, proof in parity["models"].items():
        print(f"{name}: {'passed' if proof['passed'] else 'FAILED'} ({proof['gate']}), mean cosine {proof['mean_cosine']}")
    print(f"cosine of two sentences about a meal: {float(vectors[0] @ vectors[1]):.3f}")
    return 0 if all(proof["passed"] for proof in parity["models"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
