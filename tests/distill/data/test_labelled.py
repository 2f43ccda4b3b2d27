"""Labelled texts out of every format, and what each kind of bad row gets."""

import gzip
import json
import unicodedata
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distill.data import labelled
from distill.data.labelled import read_text_examples
from distill.errors import DataError
from distill.recipe import SourceSpec

ROWS = [("A fine film.", "positive"), ("Dull and long.", "negative"), ("정말 재미있다", "positive")]


def read(path, task="classification", counts=None, labels=None, **options):
    ours = {key: options.pop(key) for key in ("pair", "separator", "use", "on_bad_row") if key in options}
    counts = Counter() if counts is None else counts
    return read_text_examples(SourceSpec(source=str(path), **options), task=task, labels=labels, counts=counts, **ours)


def tsv(path, rows, header=None):
    text = "".join("\t".join(map(str, row)) + "\n" for row in ([header] if header else []) + list(rows))
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def parquet(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("kind", ["tsv", "tsv.gz", "tsv without names", "csv", "jsonl", "parquet"])
def test_every_format(tmp_path, kind):
    texts, names = [text for text, _ in ROWS], [label for _, label in ROWS]
    if kind == "csv":
        path = tmp_path / "a.csv"
        path.write_text("sentence,label\n" + "".join(f'"{text}",{label}\n' for text, label in ROWS), "utf-8")
    elif kind == "jsonl":
        path = jsonl(tmp_path / "a.jsonl", [{"id": 1, "text": text, "label": label} for text, label in ROWS])
    elif kind == "parquet":
        path = parquet(tmp_path / "a.parquet", label=names, document=texts)
    else:
        path = tsv(tmp_path / f"a.{kind.split()[0]}", ROWS, None if "without" in kind else ("text", "label"))
    examples, labels = read(path)
    assert examples.text == texts
    assert examples.text_pair is None
    assert labels.names == ("negative", "positive")
    assert examples.labels.dtype == np.int64
    assert examples.labels.tolist() == [1, 0, 1]
    assert read(path, limit=2)[0].text == texts[:2]


def test_columns_by_name_and_number_and_the_usual_names_of_pairs(tmp_path):
    rows = [("u1", "he sleeps", "he rests", "entailment"), ("u2", "he sleeps", "he runs", "contradiction")]
    path = tsv(tmp_path / "a.tsv", rows, ("guid", "premise", "hypothesis", "gold_label"))
    for options in (
        {},
        {"pair": True},
        {"columns": ("premise", "hypothesis", "gold_label")},
        {"columns": (1, 2, 3), "header": True},
    ):
        examples, labels = read(path, **options)
        assert (examples.text, examples.text_pair) == (["he sleeps", "he sleeps"], ["he rests", "he runs"])
        assert [labels.names[label] for label in examples.labels] == ["entailment", "contradiction"]
    single = read(path, columns=("hypothesis", "gold_label"))[0]
    assert (single.text, single.text_pair) == (["he rests", "he runs"], None)
    bare = tsv(tmp_path / "b.tsv", [row[1:] for row in rows])
    assert read(bare, pair=True)[0].text_pair == ["he rests", "he runs"]
    with pytest.raises(DataError, match=r"cannot tell(.|\n)*columns: \[text, label\]"):
        read(bare)
    with pytest.raises(DataError, match="columns a, b, label"):
        read(tsv(tmp_path / "c.tsv", [("one", "two", "x"), ("three", "four", "y")], ("a", "b", "label")), header=True)


def test_half_of_a_pair_is_not_read_alone(tmp_path):
    """QNLI calls the second text sentence, BoolQ passage: whoever has pairs has to say so."""
    rows = [("who sleeps", "he sleeps well", "yes"), ("who runs", "he rests now", "no")]
    for second in ("sentence", "passage"):
        path = tsv(tmp_path / f"{second}.tsv", rows, ("question", second, "label"))
        with pytest.raises(DataError, match=r"cannot tell(.|\n)*columns: \[text"):
            read(path)
        assert read(path, columns=("question", second, "label"))[0].text_pair == ["he sleeps well", "he rests now"]
        assert read(path, pair=False)[0].text_pair is None
    one = tsv(tmp_path / "one.tsv", [("who sleeps", "q-1", "yes"), ("who runs", "q-2", "no")], ("question", "guid", "label"))
    assert read(one)[0].text == ["who sleeps", "who runs"]


def test_the_only_text_column_needs_no_usual_name(tmp_path):
    path = tsv(tmp_path / "a.tsv", [(1, "good", "x"), (2, "bad", "y")], ("n", "opinion", "label"))
    assert read(path)[0].text == ["good", "bad"]


def test_labels_by_number_are_places_among_the_names_given(tmp_path):
    path = tsv(tmp_path / "a.tsv", [("good", 1), ("bad", 0), ("fine", "positive")])
    examples, labels = read(path, labels=["negative", "positive"])
    assert examples.labels.tolist() == [1, 0, 1]
    assert labels.names == ("negative", "positive")
    stars = tsv(tmp_path / "b.tsv", [("good", 5), ("bad", 1), ("well", 3)])
    assert read(stars, labels=["5", "3", "1"])[0].labels.tolist() == [0, 2, 1], "names that are numbers are names"
    with pytest.raises(DataError, match=r"row 1(.|\n)*one of the labels given: 1, 2, 3"):
        read(tsv(tmp_path / "zero.tsv", [("awful", 0), ("bad", 1)]), labels=["1", "2", "3"])
    assert read(parquet(tmp_path / "c.parquet", text=["a", "b"], label=[1.0, 0.0]))[1].names == ("0", "1")


def test_several_labels_of_a_row(tmp_path):
    path = tsv(tmp_path / "a.tsv", [("one", "a|c"), ("two", "b"), ("three", "")], ("text", "labels"))
    examples, labels = read(path, task="multilabel")
    assert labels.names == ("a", "b", "c")
    assert examples.labels.dtype == np.float32
    assert examples.labels.tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
    listed = jsonl(
        tmp_path / "a.jsonl", [{"text": "one", "label": ["c", "a"]}, {"text": "two", "label": [1]}, {"text": "x", "label": []}]
    )
    assert read(listed, task="multilabel", labels=["a", "b", "c"])[0].labels.tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
    other = tsv(tmp_path / "b.tsv", [("one", "a; c"), ("two", "b")])
    assert read(other, task="multilabel", separator=";")[1].names == ("a", "b", "c")
    with pytest.raises(DataError, match="zeros and ones"):
        read(jsonl(tmp_path / "c.jsonl", [{"text": "x", "label": [0, 1, 1]}]), task="multilabel")
    with pytest.raises(DataError, match="none of them empty"):
        read(tsv(tmp_path / "d.tsv", [("one", "a||b")]), task="multilabel")


def test_scores(tmp_path):
    rows = [("one", "two", 3.5), ("three", "four", "0")]
    examples, labels = read(tsv(tmp_path / "a.tsv", rows, ("sentence1", "sentence2", "score")), task="regression")
    assert examples.labels.dtype == np.float64
    assert examples.labels.tolist() == [3.5, 0.0]
    assert labels.names == ("score",)
    for bad in ("nan", "inf", "much", ""):
        with pytest.raises(DataError, match="row 2"):
            read(tsv(tmp_path / "b.tsv", [("a", 1), ("b", bad)]), task="regression")
    with pytest.raises(DataError, match="every score is the same"):
        read(tsv(tmp_path / "c.tsv", [("a", 1), ("b", 1)]), task="regression")


BAD = {
    "empty text": (("  ", "a"), "text that is not empty"),
    "empty label": (("x", ""), "a label"),
    "null byte": (("x\0", "a"), "null bytes"),
    "unknown label": (("x", "c"), "one of the labels given: a, b"),
    "too many cells": (("x", "a", "b"), "2 columns"),
}


@pytest.mark.parametrize("problem", BAD)
def test_a_bad_row_stops_or_is_counted(tmp_path, problem):
    row, message = BAD[problem]
    path = tsv(tmp_path / "a.tsv", [("one", "a"), row, ("two", "b")])
    with pytest.raises(DataError, match=f"row 2(.|\n)*{message}"):
        read(path, labels=["a", "b"])
    counts = Counter()
    examples, _ = read(path, labels=["a", "b"], on_bad_row="skip", counts=counts)
    assert examples.text == ["one", "two"]
    assert counts["bad_rows"] == 1


def test_rows_without_a_label_where_they_may_be(tmp_path):
    path = tsv(tmp_path / "a.tsv", [("one", "a"), ("two", ""), ("three", "b")], ("text", "label"))
    counts = Counter()
    examples, _ = read(path, use="optional", counts=counts)
    assert examples.labels.tolist() == [0, -100, 1]
    assert counts["unlabelled"] == 1
    scores = tsv(tmp_path / "b.tsv", [("one", 1), ("two", ""), ("three", 2)])
    assert np.isnan(read(scores, task="regression", use="optional")[0].labels).tolist() == [False, True, False]
    many = jsonl(tmp_path / "c.jsonl", [{"text": "x", "label": None}, {"text": "y", "label": ["a", "b"]}])
    assert np.isnan(read(many, task="multilabel", use="optional")[0].labels).tolist() == [[True, True], [False, False]]
    ignored, names = read(path, use="ignored", labels=["x", "y"])
    assert (ignored.text, ignored.labels, names.names) == (["one", "two", "three"], None, ("x", "y"))


def test_plain_text_has_no_labels(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n")
    with pytest.raises(DataError, match="no column of labels"):
        read(path)
    for use in ("optional", "ignored"):
        examples, labels = read(path, use=use)
        assert (examples.text, examples.labels, len(labels)) == (["one", "two"], None, 0)


def test_a_header_is_no_example(tmp_path):
    path = tsv(tmp_path / "a.tsv", ROWS, ("sentence", "label"))
    with pytest.raises(DataError, match="header: true"):
        read(path, columns=(0, 1))
    assert len(read(path, columns=(0, 1), header=True)[0]) == 3


def test_a_header_of_unusual_names_is_no_example_either(tmp_path):
    rows = [(f"film number {number}", "good" if number % 3 else "bad") for number in range(12)]
    path = tsv(tmp_path / "a.tsv", rows, ("opinion", "verdict"))
    for options in ({}, {"columns": (0, 1)}):
        with pytest.raises(DataError, match=r"first row looks like(.|\n)*opinion, verdict(.|\n)*header: true"):
            read(path, **options)
    assert len(read(path, header=True, columns=(0, 1))[0]) == 12
    assert len(read(path, header=False)[0]) == 13
    usual = tsv(tmp_path / "imdb.tsv", rows, ("review", "sentiment"))
    assert (len(read(usual)[0]), read(usual)[1].names) == (12, ("bad", "good"))


def test_a_column_that_holds_no_labels(tmp_path):
    scores = tsv(tmp_path / "a.tsv", [("one", "0.5"), ("two", "1.5")])
    with pytest.raises(DataError, match="task: regression"):
        read(scores)
    texts = tsv(tmp_path / "b.tsv", [(f"text {i}", f"name {i}") for i in range(30)])
    with pytest.raises(DataError, match="30 in 30 rows"):
        read(texts)
    assert len(read(texts, labels=[f"name {i}" for i in range(30)])[1]) == 30


@pytest.mark.parametrize(("rows", "message"), [([("a", "x"), ("b", "")], "label"), ([], "empty")])
def test_nothing_to_learn_from(tmp_path, rows, message):
    with pytest.raises(DataError, match=message):
        read(tsv(tmp_path / "a.tsv", rows))


class Numbered:
    """A hub data set that keeps the names of its label numbers."""

    where, names, first = "owner/set (train)", ("text", "label"), ("x", 1)

    def __init__(self, numbers):
        self.numbers = numbers

    def read(self, positions):
        for line, value in enumerate(self.numbers, 1):
            yield line, tuple(("x", value)[place] for place in positions)

    def class_names(self, place):
        return ("neg", "pos") if place == 1 else None


def test_numbers_of_a_hub_set_have_the_names_it_keeps(monkeypatch):
    monkeypatch.setattr(labelled, "open_table", lambda spec: Numbered([1, 0, 1]))
    assert read("owner/set")[1].names == ("neg", "pos")
    assert read("owner/set", labels=["pos", "neg"])[0].labels.tolist() == [0, 1, 0], "by name, whatever its number was"
    monkeypatch.setattr(labelled, "open_table", lambda spec: Numbered([1, -1, 0]))
    assert read("owner/set", use="optional")[0].labels.tolist() == [1, -100, 0]
    monkeypatch.setattr(labelled, "open_table", lambda spec: Numbered([1, 7, 0]))
    with pytest.raises(DataError, match="0 to 1"):
        read("owner/set")


def test_two_spellings_of_one_name_are_one_label(tmp_path):
    """As files from macOS have it: the letters of a syllable apart."""
    rows = [("정말 좋아요", "좋음"), ("아주 좋아요", unicodedata.normalize("NFD", "좋음")), ("별로예요", "나쁨")]
    examples, labels = read(tsv(tmp_path / "a.tsv", rows))
    assert labels.names == ("나쁨", "좋음")
    assert examples.labels.tolist() == [1, 1, 0]


@pytest.mark.parametrize("label", ["①", "²", "½", "一"])
def test_a_digit_that_is_no_number_is_no_label_by_number(label, tmp_path):
    path = tsv(tmp_path / "a.tsv", [("a b", "1"), ("c d", label)])
    with pytest.raises(DataError, match="one of the labels given: no, yes"):
        read(path, labels=["no", "yes"])
    counts = Counter()
    path = tsv(tmp_path / "b.tsv", [("a b", "1"), ("c d", label), ("e f", "0")])
    assert read(path, labels=["no", "yes"], on_bad_row="skip", counts=counts)[0].labels.tolist() == [1, 0]
    assert counts["bad_rows"] == 1
