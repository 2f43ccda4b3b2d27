"""Train a sentence teacher, stage by stage, and print the table of eight correlations before and after each stage.

python scripts/train_sbert_teacher.py sbert-nli-sts --out runs/teacher
python scripts/train_sbert_teacher.py sbert-sts teacher.model=FOLDER 'data.teaching.sts={source: sts.tsv, format: korsts}'
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import distill
from distill.errors import DistillError


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="shipped recipe or .yaml file with teacher.finetune.stages")
    parser.add_argument("overrides", nargs="*", metavar="a.b=c", help="any value of the recipe")
    parser.add_argument("--out", type=Path, help="run folder (default: runs/NAME); distill run goes on from there")
    parser.add_argument("--force", action="store_true", help="replace what a changed recipe touches")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    try:
        taught = distill.teach(args.recipe, args.overrides, out=args.out, force=args.force)
    except DistillError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(taught.markdown)
    for stage in taught.stages:
        best = "" if stage["best_value"] is None else f", best on dev {stage['best_value']:.4f} at step {stage['best_step']}"
        print(f"{stage['name']}: {stage['objective']}, {stage['rows']:,} rows, {stage['steps']} steps{best}")
    print(f"written: {taught.teacher}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
