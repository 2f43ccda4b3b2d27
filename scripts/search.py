"""Search texts by meaning with a student: build an index, ask it, and see whether the student finds what its teacher finds.

python scripts/search.py index texts.txt --model runs/quickstart/student --out index
python scripts/search.py query index "How do I cook rice?" -k 3
python scripts/search.py compare --teacher sentence-transformers/all-MiniLM-L6-v2 --student runs/quickstart/student texts.txt

Needs the extra `search`. Texts are a file of lines, or a .csv, .tsv, .jsonl or .parquet with --column.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from distill import SearchIndex
from distill.data.sentences import split_documents
from distill.data.sources import read_sentences
from distill.errors import DistillError
from distill.evaluate.indexes import KINDS, IndexSettings
from distill.evaluate.overlap import overlap_table, retrieval_overlap
from distill.progress import note
from distill.recipe_data import SourceSpec
from distill.search_model import open_model


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)

    index = commands.add_parser("index", help="encode texts and write an index folder")
    index.add_argument("texts", help="file of texts")
    index.add_argument("--model", required=True, help="student folder with onnx/; with --torch any hub id or folder")
    index.add_argument("--out", type=Path, required=True, help="folder to write; an earlier index there is replaced")
    index.add_argument("--kind", default="flat_ip", help=f"of index: {', '.join(KINDS)} (default: %(default)s, exact)")
    index.add_argument("--dim", type=int, help="keep the first so many dimensions (default: all)")
    index.add_argument("--document-prompt", help="a prompt's name or text (default: what the model defines)")
    index.add_argument("--query-prompt", help="the same for queries")
    index.add_argument("--precision", default="auto", help="auto, fp32, fast or faithful (default: %(default)s)")
    index.add_argument("--torch", action="store_true", help="let sentence-transformers run the model")

    query = commands.add_parser("query", help="ask an index")
    query.add_argument("index", type=Path, help="folder that `index` wrote")
    query.add_argument("queries", nargs="+", help="one or more questions")
    query.add_argument("-k", type=int, default=5, help="answers a question (default: %(default)s)")
    query.add_argument("--model", help="where the model of the index lies now, if it has moved")

    compare = commands.add_parser("compare", help="does the student find what the teacher finds?")
    compare.add_argument("texts", help="file of texts; each is asked for the others")
    compare.add_argument("--teacher", required=True, help="hub id, folder or package:NAME; sentence-transformers runs it")
    compare.add_argument("--student", required=True, help="student folder with onnx/; with --torch as the teacher")
    compare.add_argument("--kinds", nargs="+", default=list(KINDS), help="of index (default: all)")
    compare.add_argument("--dims", nargs="+", type=int, default=[], help="shorter vectors of the student as further rows")
    compare.add_argument("--prompt", help="before every text, for both models (default: what each defines for queries)")
    compare.add_argument("--precision", default="auto", help="of the student (default: %(default)s)")
    compare.add_argument("--torch", action="store_true", help="let sentence-transformers run the student")

    for part in (index, compare):
        part.add_argument("--column", help="column of the texts in a table")
        part.add_argument("--limit", type=int, help="at most so many texts")
        part.add_argument("--unit", choices=["text", "sentence"], default="text", help="what a vector stands for")
        part.add_argument("--korean", choices=["rules", "kiwi"], default="rules", help="how Korean is split into sentences")
        part.add_argument("--threads", type=int, default=1, help="of building and searching (default: %(default)s)")
    return parser.parse_args(arguments)


def read(args: argparse.Namespace) -> list[str]:
    """The texts of a file that are not blank; for a comparison also each only once, since equal texts take turns by chance."""
    columns = None if args.column is None else (args.column,)
    spec = SourceSpec(source=args.texts, columns=columns, limit=args.limit)
    texts = [text for text in read_sentences(spec, on_bad_row="error", counts=Counter()) if text.strip()]
    kept = list(dict.fromkeys(texts)) if args.command == "compare" else texts
    if len(kept) < len(texts):
        note(f"{len(texts) - len(kept):,} texts occur twice and are left out")
    return kept


def index(args: argparse.Namespace) -> None:
    model = open_model(args.model, runtime="torch" if args.torch else "onnx", precision=args.precision)
    made = SearchIndex.build(
        read(args),
        model,
        kind=args.kind,
        unit=args.unit,
        korean=args.korean,
        dim=args.dim,
        query_prompt=args.query_prompt,
        document_prompt=args.document_prompt,
        settings=IndexSettings(threads=args.threads),
    )
    made.save(args.out)
    facts = made.manifest
    print(f"{facts.documents:,} texts, {facts.rows:,} vectors of {facts.dim} dimensions, {made.index.size() / 1e6:.2f} MB")
    print(f"written: {args.out}")


def query(args: argparse.Namespace) -> None:
    asked = SearchIndex.load(args.index, args.model)
    for text, hits in zip(args.queries, asked.search(args.queries, args.k), strict=True):
        print(text)
        for rank, hit in enumerate(hits, 1):
            print(f"{rank:3}. {hit.score:.3f}  {' '.join(hit.text.split()) if hit.sentence is None else hit.sentence}")


def compare(args: argparse.Namespace) -> None:
    texts = read(args)
    parts, owners = split_documents(texts, korean=args.korean) if args.unit == "sentence" else (texts, None)
    vectors = []
    for name, runtime, precision in (
        (args.teacher, "torch", "auto"),
        (args.student, "torch" if args.torch else "onnx", args.precision),
    ):
        model = open_model(name, runtime=runtime, precision=precision)
        vectors.append(model.encode(parts, prompt=model.query_prompt(args.prompt)))
    settings = IndexSettings(threads=args.threads)
    found = retrieval_overlap(*vectors, owners=owners, kinds=args.kinds, dims=args.dims, settings=settings)
    print(f"{found['n']:,} texts, {found['queries']:,} queries")
    print(overlap_table(found))


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    try:
        {"index": index, "query": query, "compare": compare}[args.command](args)
    except DistillError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
