"""Variants of labelled rows: where they stand, what they are called, and what stays out of them."""

from __future__ import annotations

import numpy as np
import pytest
import tiny

from distill.data.augment.parts import Parts
from distill.data.augment.texts import augment_texts
from distill.data.examples import UNLABELLED
from distill.data.prepare import fold
from distill.errors import RunError
from distill.recipe import DataSpec
from distill.recipe_augment import NGramsSpec
from distill.tasks.data import read_task_data, save_task_data
from distill.tasks.variants import add_variants, restore_variants

TASKS = {"classification": "classification", "pairs": "classification", "multilabel": "multilabel", "regression": "regression"}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind, file in tiny.TASK_FILES.items():
        tiny.write_task(tmp_path, kind, 0, 60)
        tiny.write_task(tmp_path, kind, 60, 90, f"test-{file}")
    return tmp_path


def read(kind, **values):
    file = tiny.TASK_FILES[kind]
    values = {"train": [{"source": file}], "dev": {"share": 0.2}, **values}
    evaluate = {"test": {"source": f"test-{file}", "kind": TASKS[kind]}}
    return read_task_data(DataSpec.model_validate({"evaluate": evaluate, **values}), TASKS[kind])


def spec(labels, **values):
    return NGramsSpec(method="ngrams", labels=labels, **{"p": 1.0, "variants": 3, "longest": 4, **values})


def text_keys(examples):
    pairs = examples.text_pair or [""] * len(examples)
    return [(fold(a), fold(b) if b else "") for a, b in zip(examples.text, pairs, strict=True)]


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("labels", ["teacher", "copy"])
def test_where_variants_stand(kind, labels, place):
    data = read(kind, unlabelled=[{"source": "more.txt"}]) if kind == "classification" and write_more(place) else read(kind)
    full, report = add_variants(data, spec(labels), None, 1, Parts(place / "augment"))
    own, bare = data.labelled, len(data.train) - data.labelled
    made = len(full.train) - len(data.train)
    assert full.counts["augmented"] == made > 0
    assert full.counts["train"] == len(full.train)
    assert report["examples"] == own
    assert full.train.text[:own] == data.train.text[:own]
    assert np.array_equal(full.train.labels[:own], data.train.labels[:own])
    first = own if labels == "copy" else own + bare
    assert full.labelled == full.counts["labelled"] == (own + made if labels == "copy" else own)
    variants = full.train.select(range(first, first + made))
    if labels == "teacher":
        marks = variants.labels
        assert np.isnan(marks).all() if marks.dtype.kind == "f" else (marks == UNLABELLED).all()
    else:
        of = {}
        for row in range(own):
            for made_text in variants.text:
                if made_text in data.train.text[row]:
                    of.setdefault(made_text, set()).add(np.asarray(data.train.labels[row]).tobytes())
        if kind == "classification":
            assert all(
                np.asarray(label).tobytes() in of[text] for text, label in zip(variants.text, variants.labels, strict=True)
            )
    if bare:
        rest = full.train.select(range(len(full.train) - bare, len(full.train)) if labels == "copy" else range(own, own + bare))
        assert rest.text == data.train.text[own:]


def write_more(place):
    return tiny.write_lines(place / "more.txt", [f"Nobody has said this sentence number {number}" for number in range(5)])


def test_no_variant_is_a_row_of_dev_or_evaluation_or_comes_twice(place):
    rows = [f"{word}\t{'ab'[number % 2]}" for number, word in enumerate(["red cat", "blue dog", "old man", "new car"] * 4)]
    rows = [f"{row.split()[0]} {row.split()[1]} {number}\t{row[-1]}" for number, row in enumerate(rows)]
    tiny.write_lines(place / "rows.tsv", ["text\tlabel", *rows])
    tiny.write_lines(place / "test-rows.tsv", ["text\tlabel", "Red cat\ta", "old MAN!\tb"])
    data = read("classification")
    full, _ = add_variants(data, spec("teacher", variants=30), None, 1, Parts(place / "augment"))
    keys = text_keys(full.train)
    assert len(keys) == len(set(keys))
    assert not set(keys) & {*text_keys(data.dev), *text_keys(data.evaluate["test"])}
    wanted = {row.text for row in augment_texts(data.train.text, spec("teacher", variants=30), seed=1)}
    assert {"red cat", "old man"} & wanted, "else nothing had to be kept out"
    assert "blue dog" in full.train.text or "new car" in full.train.text


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("labels", ["teacher", "copy"])
def test_what_is_saved_comes_back(kind, labels, place):
    data = read(kind)
    full, report = add_variants(data, spec(labels), None, 1, Parts(place / "augment"))
    save_task_data(full, place / "data", report)
    again = restore_variants(data, place / "data")
    assert (again.train.text, again.train.text_pair) == (full.train.text, full.train.text_pair)
    assert again.train.labels.dtype == full.train.labels.dtype
    assert np.array_equal(again.train.labels, full.train.labels, equal_nan=full.train.labels.dtype.kind == "f")
    assert (again.labelled, again.counts) == (full.labelled, full.counts)
    assert (place / "data" / "augmented.md").read_text("utf-8").startswith("# ")
    (place / "data" / "train.parquet").write_bytes(b"PAR1")
    with pytest.raises(RunError, match="missing or damaged"):
        restore_variants(data, place / "data")
