"""Compress a sentence-transformer with your own text, from Python.

python scripts/compress_sbert.py --teacher sentence-transformers/all-MiniLM-L6-v2 --train sentences.txt --layers 3
python scripts/compress_sbert.py --train train.csv --columns question answer --evaluate sts-test.csv --out runs/faq
python scripts/compress_sbert.py --recipe sbert-mini --train sentences.txt train.epochs=6
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import distill
from distill.errors import DistillError


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="sbert-half", help="shipped recipe or .yaml file (default: %(default)s)")
    parser.add_argument("--teacher", help="hub id, folder or package:IMPORT_NAME (default: the recipe's)")
    parser.add_argument("--train", help="file or hub id with the sentences (default: the recipe's)")
    parser.add_argument("--columns", nargs="+", help="columns of --train to read as sentences")
    parser.add_argument("--evaluate", help="labelled set: two sentences and a score a row")
    parser.add_argument("--layers", type=int, help="layers that the student keeps")
    parser.add_argument("--out", type=Path, help="run folder (default: runs/NAME)")
    parser.add_argument("--force", action="store_true", help="start anew")
    parser.add_argument("overrides", nargs="*", metavar="a.b=c", help="any other value of the recipe")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    values: dict[str, Any] = {
        "teacher.model": args.teacher,
        "data.train": args.train,
        "data.train.columns": args.columns,
        "data.evaluate.sts": args.evaluate,
        "student.layers": args.layers,
    }
    try:
        recipe = distill.load_recipe(args.recipe, {path: value for path, value in values.items() if value is not None})
        recipe = distill.load_recipe(recipe, args.overrides)
        for note in distill.check_recipe(recipe):
            print(f"note: {note}", file=sys.stderr)
        report = distill.run(recipe, out=args.out, force=args.force)
    except DistillError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(report.summary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
