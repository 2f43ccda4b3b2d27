"""Compress a text classifier with your own labelled text, from Python.

A row of the file is a text and its label, or two texts and a label. The teacher is a fine-tuned classifier; an encoder, or any
model with --finetune, is trained on your labels first.

python scripts/compress_classifier.py --teacher FOLDER_OR_HUB_ID --train train.tsv --test test.tsv --layers 3
python scripts/compress_classifier.py --teacher FOLDER_OR_HUB_ID --finetune 3 --train train.tsv --unlabelled more.txt
python scripts/compress_classifier.py --recipe bert-to-bilstm --train train.csv --columns review stars --out runs/reviews
python scripts/compress_classifier.py --train train.tsv student.vocabulary.min_count=1 train.epochs=4
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import distill
from distill.errors import DistillError


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="tinybert-task", help="shipped recipe or .yaml file (default: %(default)s)")
    parser.add_argument("--teacher", help="hub id, folder or package:IMPORT_NAME, fine-tuned already (default: the recipe's)")
    parser.add_argument("--finetune", type=float, metavar="EPOCHS", help="train the teacher on your labels first, so long")
    parser.add_argument("--train", required=True, help="file or hub id with the labelled text")
    parser.add_argument("--test", help="labelled set for the final numbers; its texts are kept out of training")
    parser.add_argument("--unlabelled", help="more text, which the teacher labels")
    columns = "names, or numbers from 0, of the columns of --train and --test: text and label, or text, text and label"
    parser.add_argument("--columns", nargs="+", type=column, help=columns)
    parser.add_argument("--layers", type=int, help="cut so many layers out of the teacher (default: the recipe's student)")
    parser.add_argument("--out", type=Path, help="run folder (default: runs/NAME)")
    parser.add_argument("--force", action="store_true", help="start anew")
    parser.add_argument("overrides", nargs="*", metavar="a.b=c", help="any other value of the recipe")
    return parser.parse_args(arguments)


def column(name: str) -> str | int:
    """The number or the name of a column."""
    return int(name) if name.isascii() and name.isdecimal() else name


def values(args: argparse.Namespace) -> dict[str, Any]:
    """The options as values of the recipe."""
    found: dict[str, Any] = {"data.train": args.train, "data.train.columns": args.columns, "data.evaluate.test": args.test}
    found["data.unlabelled"] = args.unlabelled
    found["teacher.model"] = args.teacher
    if args.test is not None:
        found["data.evaluate.test.columns"] = args.columns
    if args.finetune is not None:
        found["teacher.finetune.epochs"] = args.finetune
    if args.layers is not None:
        found["student"] = {"kind": "layers", "layers": args.layers}
    found = {path: value for path, value in found.items() if value is not None}
    if args.teacher is not None and args.finetune is None:
        found["teacher.finetune"] = None
    return found


def main(arguments: list[str] | None = None) -> int:
    """Check the recipe, run it and tell where the report is; the exit status."""
    args = parse(arguments)
    try:
        recipe = distill.load_recipe(args.recipe, values(args))
        recipe = distill.load_recipe(recipe, args.overrides)
        for note in distill.check_recipe(recipe):
            print(f"note: {note}", file=sys.stderr)
        report = distill.run(recipe, out=args.out, force=args.force)
    except DistillError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(report.summary)
    print(f"report: {(args.out or Path('runs') / recipe.name) / 'report.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
