"""Real sentences of mixed length for the benchmarks of the runtime."""

from __future__ import annotations

import csv
import gzip
import os
import random
import sys
from pathlib import Path

SOURCES = ("stsb/stsb-en-train.csv", "sst2/train.tsv", "wikitext-2/valid.txt.gz", "wikitext-2/test.txt.gz")


def folders() -> tuple[Path, Path]:
    """The folders of data and models."""
    names = ("DISTILL_BENCH_DATA", "DISTILL_BENCH_MODELS")
    if any(name not in os.environ for name in names):
        sys.exit("set DISTILL_BENCH_DATA and DISTILL_BENCH_MODELS to the folders of data and models; see --help")
    return Path(os.environ[names[0]]), Path(os.environ[names[1]])


def sentences(data: Path, count: int, seed: int = 0) -> list[str]:
    """Different texts, drawn by seed and shuffled: captions and news (STSb), reviews (SST-2), paragraphs (WikiText-2).

    Raises:
        SystemExit: the files hold fewer.
    """
    found: dict[str, None] = {}
    for name in SOURCES:
        for text in _texts(data / name):
            found[" ".join(text.split())] = None
    found.pop("", None)
    texts = [text for text in found if not text.startswith("= ")]  # WikiText's headings
    if len(texts) < count:
        sys.exit(f"{count} texts are asked for, {len(texts)} different ones are there")
    return random.Random(seed).sample(texts, count)


def _texts(path: Path) -> list[str]:
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            return list(stream)
    with open(path, encoding="utf-8", newline="") as stream:
        if path.suffix == ".csv":
            return [text for row in csv.reader(stream) for text in row[:2]]
        return [line.rpartition("\t")[0] for line in stream]
