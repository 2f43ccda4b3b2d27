"""A recipe's training sources as examples, in every format and task."""

from __future__ import annotations

import gzip
import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny

from distill.data.augment.read import read_examples
from distill.errors import DataError, UserError
from distill.recipe import DataSpec


def read(task, *sources, counts=None, **values):
    train = [source if isinstance(source, dict) else {"source": str(source)} for source in sources]
    return list(read_examples(DataSpec.model_validate({"train": train, **values}), task, Counter() if counts is None else counts))


@pytest.mark.parametrize("ending", ["txt", "csv", "tsv", "jsonl", "parquet", "txt.gz", "jsonl.gz"])
def test_sentences_of_every_format(ending, tmp_path):
    path, some = tmp_path / f"s.{ending}", [text for text in tiny.SENTENCES if "," not in text][:9]
    if ending == "parquet":
        pq.write_table(pa.table({"text": some}), path)
    else:
        kind = ending.removesuffix(".gz")
        lines = [json.dumps({"text": text}) for text in some] if kind == "jsonl" else some
        data = "".join(f"{line}\n" for line in ([] if kind in ("txt", "jsonl") else ["text"]) + lines).encode()
        path.write_bytes(gzip.compress(data) if ending.endswith(".gz") else data)
    assert [(row.row, row.text, row.label) for row in read("embedding", path)] == [(i, text, None) for i, text in enumerate(some)]


def test_rows_are_numbered_over_all_sources(tmp_path):
    path = tiny.write_lines(tmp_path / "s.txt", ["one line", "another"])
    assert [row.row for row in read("embedding", path, {"source": str(path), "limit": 1})] == [0, 1, 2]


@pytest.mark.parametrize(
    ("kind", "task", "labels"),
    [
        ("classification", "classification", [row[1] for row in tiny.text_rows(5)]),
        ("pairs", "classification", [row[2] for row in tiny.pair_rows(5)]),
        ("multilabel", "multilabel", [row[1] for row in tiny.tag_rows(5)]),
        ("regression", "regression", [row[1] for row in tiny.score_rows(5)]),
    ],
)
def test_labels_of_every_task(kind, task, labels, tmp_path):
    found = read(task, tiny.write_task(tmp_path, kind, 0, 5))
    assert [row.label for row in found] == labels
    assert all((row.text_pair is None) == (kind != "pairs") for row in found)


def test_bad_rows_stop_or_are_counted(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a cat", "label": "x"}\n{"text": "", "label": "x"}\n', "utf-8")
    with pytest.raises(DataError, match="row 2"):
        read("classification", path)
    counts = Counter()
    assert len(read("classification", path, counts=counts, on_bad_row="skip")) == 1
    assert counts["bad_rows"] == 1


@pytest.mark.parametrize("task", ["tokens", "spans"])
def test_tasks_whose_labels_belong_to_words(task, tmp_path):
    with pytest.raises(UserError, match="words and labels would part"):
        read(task, tiny.write_task(tmp_path, task, 0, 5))
