#!/usr/bin/env python3
"""Does a student find what its teacher finds? Ten thousand sentences in every type of index, both models' vectors.

    DISTILL_BENCH_DATA=DATA DISTILL_BENCH_MODELS=MODELS OMP_NUM_THREADS=1 \\
        python scripts/bench/retrieval_overlap.py --student runs/sbert-half/student [--teacher minilm] [--language ko]

DATA holds stsb/stsb-en-{train,dev}.csv and sst2/{train,dev}.tsv (English), or korsts/sts-{train,dev}.tsv and
korean-chatbot/ChatbotData.csv (Korean). MODELS holds the folder named by --teacher; any other folder, hub id or package:NAME may
stand there too. Both models run in torch, fp32, on one thread. Different sentences alone are kept; a sample of them, drawn by
seed, is asked, and no sentence finds itself.

The result is written to scripts/bench/results/retrieval_overlap.json and .md; the last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill.evaluate.overlap import overlap_table, retrieval_overlap
from distill.files import atomic_write, write_json
from distill.measure.hardware import environment
from teachers.load import load_teacher
from teachers.spec import TeacherSpec

RESULTS = Path(__file__).parent / "results"
FILES: dict[str, list[tuple[str, tuple[int, ...], bool]]] = {
    "en": [
        ("stsb/stsb-en-train.csv", (0, 1), False),
        ("stsb/stsb-en-dev.csv", (0, 1), False),
        ("sst2/train.tsv", (0,), False),
        ("sst2/dev.tsv", (0,), False),
    ],
    "ko": [
        ("korsts/sts-train.tsv", (5, 6), True),
        ("korsts/sts-dev.tsv", (5, 6), True),
        ("korean-chatbot/ChatbotData.csv", (0,), True),
    ],
}
"""Language -> file, columns of sentences, whether the first row is a header."""


def sentences(data: Path, language: str, limit: int | None) -> list[str]:
    """Different sentences, in the order of the files."""
    found: dict[str, None] = {}
    for name, columns, header in FILES[language]:
        quoted = name.endswith(".csv")
        with open(data / name, encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(stream, delimiter="," if quoted else "\t", quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
            for row in list(rows)[1 if header else 0 :]:
                found.update((" ".join(row[column].split()), None) for column in columns)
    found.pop("", None)
    return list(found)[:limit]


def embed(name: str, prompt: str | None, texts: list[str]) -> tuple[np.ndarray, dict[str, Any]]:
    """The vectors of a model, and what it took."""
    model = load_teacher(TeacherSpec(model=name, prompt=prompt))
    start = time.process_time()
    vectors = model.embed(texts, batch_size=32)
    seconds = time.process_time() - start
    parameters = sum(weight.numel() for weight in model.model.parameters())
    parts = Path(name).parts
    facts = {
        "name": "/".join(parts[-2:] if parts[-1] == "student" else parts[-1:]),
        "dim": model.dim,
        "parameters": parameters,
        "prompt": model.prompt,
    }
    return vectors, {**facts, "encode_cpu_seconds": round(seconds, 1), "sentences_per_second": round(len(texts) / seconds, 1)}


def markdown(found: dict[str, Any]) -> str:
    """The tables of one result."""
    teacher, student = found["teacher"], found["student"]
    machine = found["environment"]
    head = [
        "# Does the student find what the teacher finds?",
        "",
        f"{found['overlap']['n']:,} different sentences ({found['language']}), {found['overlap']['queries']:,} of them asked,"
        " each for the others, all at once. One thread; seconds are of the processor.",
        "",
        "overlap: of the lists of both models out of the same type of index; recall: of the"
        " teacher's exact list; the teacher's own recall is what the type of index itself loses.",
        "",
        "| model | parameters | dims | sentences/s |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {label}: {one['name']} | {one['parameters'] / 1e6:.1f} M | {one['dim']} | {one['sentences_per_second']:,.0f} |"
            for label, one in (("teacher", teacher), ("student", student))
        ),
        "",
        overlap_table(found["overlap"]),
        "",
        f"Machine: {machine['cpu']}, {machine['cores']} cores, load {machine['load_before']} at the end; FAISS {found['faiss']}.",
        "",
    ]
    return "\n".join(head)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="minilm", help="a folder of MODELS, or any model (default: %(default)s)")
    parser.add_argument("--student", required=True, help="any folder of a sentence encoder")
    parser.add_argument("--prompt", help="text before every sentence, for both (default: what each model defines)")
    parser.add_argument("--language", choices=sorted(FILES), default="en")
    parser.add_argument("--limit", type=int, help="at most so many sentences (default: all)")
    parser.add_argument("--queries", type=int, default=2000, help="how many are asked (default: %(default)s)")
    parser.add_argument("--dims", type=int, nargs="*", default=[256, 128, 64], help="shorter vectors (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="retrieval_overlap", help="of the result's files (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the results (default: %(default)s)")
    args = parser.parse_args()
    if "DISTILL_BENCH_DATA" not in os.environ or "DISTILL_BENCH_MODELS" not in os.environ:
        sys.exit("set DISTILL_BENCH_DATA and DISTILL_BENCH_MODELS to the folders of data and models; see --help")
    torch.set_num_threads(1)
    folder = Path(os.environ["DISTILL_BENCH_MODELS"]) / args.teacher
    texts = sentences(Path(os.environ["DISTILL_BENCH_DATA"]), args.language, args.limit)
    print(f"{len(texts):,} different sentences", file=sys.stderr)
    found: dict[str, Any] = {"schema_version": 1, "language": args.language, "seed": args.seed}
    vectors = {}
    for label, name in (("teacher", str(folder) if folder.is_dir() else args.teacher), ("student", args.student)):
        vectors[label], found[label] = embed(name, args.prompt, texts)
        print(f"{label}: {found[label]}", file=sys.stderr)
    asked = np.sort(np.random.default_rng(args.seed).permutation(len(texts))[: args.queries])
    found["overlap"] = retrieval_overlap(vectors["teacher"], vectors["student"], query_rows=asked, dims=args.dims, seed=args.seed)
    found |= {"environment": environment(), "faiss": version("faiss-cpu")}
    args.results.mkdir(parents=True, exist_ok=True)
    write_json(args.results / f"{args.name}.json", found)
    atomic_write(args.results / f"{args.name}.md", markdown(found))
    short = {row["kind"]: row["overlap"] for row in found["overlap"]["rows"] if row["mode"] == "symmetric"}
    print(json.dumps({"n": found["overlap"]["n"], "queries": found["overlap"]["queries"], "overlap": short}))


if __name__ == "__main__":
    main()
