"""Make an English sentence teacher multilingual: translations in, a small student for all the languages out.

python scripts/make_multilingual.py --teacher sentence-transformers/all-mpnet-base-v2 --pairs en ko en-ko.tsv
python scripts/make_multilingual.py --pairs en ko en-ko.tmx --pairs en de train.en train.de --temperature 3
python scripts/make_multilingual.py --pairs en ko app.po --more korean.txt --evaluate korsts-dev.csv --set stages.1.epochs=10
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import distill
from distill.errors import DistillError, UserError


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="multilingual-mse", help="shipped recipe or .yaml file (default: %(default)s)")
    parser.add_argument("--teacher", help="hub id, folder or package:IMPORT_NAME (default: the recipe's)")
    parser.add_argument("--student", help="multilingual model that the student is cut from (default: the recipe's)")
    parser.add_argument(
        "--pairs",
        nargs="+",
        action="append",
        required=True,
        metavar="X",
        help="LANGUAGE OTHER-LANGUAGE FILE [FILE2]: the teacher reads the first; two files are Moses pairs; may be repeated",
    )
    parser.add_argument("--more", nargs="*", default=[], help="further text in languages that the teacher does not read")
    parser.add_argument("--temperature", type=float, help="above 1: small languages count for more")
    parser.add_argument("--evaluate", help="labelled set: two sentences and a score a row")
    parser.add_argument("--layers", type=int, help="layers that the student keeps")
    parser.add_argument("--out", type=Path, help="run folder (default: runs/NAME)")
    parser.add_argument("--force", action="store_true", help="start anew")
    parser.add_argument("--set", nargs="*", default=[], dest="overrides", metavar="a.b=c", help="any other value of the recipe")
    return parser.parse_args(arguments)


def pair(words: list[str]) -> dict[str, Any]:
    """A source of translations as the recipe spells it."""
    if len(words) not in (3, 4):
        raise UserError("--pairs takes two languages and one or two files", got=" ".join(words), hint="--pairs en ko en-ko.tsv")
    return {"languages": words[:2], "source": words[2], **({"target": words[3]} if len(words) == 4 else {})}


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    try:
        values: dict[str, Any] = {
            "data.parallel": [pair(words) for words in args.pairs],
            "data.start": args.more or None,
            "data.language_temperature": args.temperature,
            "data.evaluate.sts": args.evaluate,
            "teacher.model": args.teacher,
            "student.from": args.student,
            "student.layers": args.layers,
        }
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
