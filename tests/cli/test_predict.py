"""`distill predict` and the formats of `distill encode`: rows in, records out, whole or not at all."""

from __future__ import annotations

import io
import json
import sys

import bag
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill import reading, writers
from distill.errors import DataError, MissingExtra, UserError
from distill.predicting import predict_file
from distill.reading import count_lines, read_rows
from distill.runtime.answers import Answer, QuestionAnswerer
from distill.runtime.classifier import Classifier, Prediction
from distill.runtime.tagger import Entity, Tagged, TokenClassifier, Word


class Lengths(Classifier):
    """Says of a text whether it is long; of a pair whether the first one is. The right answer is known on paper."""

    def __init__(self, problem="single_label_classification"):
        self.folder, self.problem, self.labels = "m", problem, ("long", "short")

    def predict_stream(self, texts, batch_size=None, **options):
        for item in texts:
            text = item if isinstance(item, str) else item[0]
            if text == "broken":
                raise UserError("broken")
            if self.problem == "regression":
                yield [Prediction(None, (), float(len(text)), {})]
                continue
            share = min(len(text), 10) / 10
            label = "long" if share >= 0.5 else "short"
            names = (label,) if self.problem.startswith("single") else tuple(n for n in ("long",) if share >= 0.5)
            yield [Prediction(label if names else None, names, max(share, 1 - share), {"long": share, "short": 1 - share})]


class FirstWord(TokenClassifier):
    """The first word is a PER."""

    def __init__(self):
        self.folder = "m"

    def predict_stream(self, texts, batch_size=None, **options):
        for item in texts:
            words = item.split() if isinstance(item, str) else item
            made, start = [], 0
            for place, word in enumerate(words):
                made.append(Word(word, start, start + len(word), "O" if place else "B-PER", 0.5))
                start += len(word) + 1
            found = (Entity("PER", words[0], 0, len(words[0]), 0, 0, 0.5),) if words else ()
            yield [Tagged(" ".join(words), tuple(made), found, False)]


class FirstCharacters(QuestionAnswerer):
    """The answer is the first two characters."""

    def __init__(self):
        self.folder = "m"

    def predict_stream(self, rows, batch_size=None, **options):
        for _, context in rows:
            yield [[Answer(context[:2], 0, 2, 1.5)] if context else [Answer("", -1, -1, float("nan"))]]


def records(path):
    return [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]


def test_labels_of_lines(tmp_path):
    (tmp_path / "in.txt").write_text("a long text\n\nab\u2028c\n", "utf-8")
    assert predict_file(Lengths(), tmp_path / "in.txt", tmp_path / "out.jsonl") == 3
    found = records(tmp_path / "out.jsonl")
    assert [(row["text"], row["label"]) for row in found] == [("a long text", "long"), ("", "short"), ("ab\u2028c", "short")]
    assert found[0]["probabilities"] == {"long": 1.0, "short": 0.0}
    assert sorted(item.name for item in tmp_path.iterdir()) == ["in.txt", "out.jsonl"]


def test_pairs_of_a_table_and_of_json_lines(tmp_path):
    (tmp_path / "in.tsv").write_text("text_pair\ttext\nb\ta longer text\n\tx\n", "utf-8")
    (tmp_path / "in.jsonl").write_text('{"id": 7, "text": "a longer text", "text_pair": "b"}\n\n{"text": "x"}\n', "utf-8")
    for name in ("in.tsv", "in.jsonl"):
        predict_file(Lengths(), tmp_path / name, tmp_path / "out.jsonl")
        assert [row["label"] for row in records(tmp_path / "out.jsonl")] == ["long", "short"]
    first, second = records(tmp_path / "out.jsonl")
    assert (first["id"], first["text_pair"]) == (7, "b")
    assert "text_pair" not in second


@pytest.mark.parametrize("problem", ["single_label_classification", "multi_label_classification", "regression"])
def test_parquet_tells_what_json_tells(tmp_path, problem):
    (tmp_path / "in.txt").write_text("a long text\nx\n", "utf-8")
    for suffix in ("jsonl", "parquet"):
        predict_file(Lengths(problem), tmp_path / "in.txt", tmp_path / f"out.{suffix}")
    table = pq.read_table(tmp_path / "out.parquet").to_pylist()
    for row, other in zip(table, records(tmp_path / "out.jsonl"), strict=True):
        row = {key: dict(value) if key == "probabilities" else value for key, value in row.items() if value is not None}
        assert row == other


def test_tags_and_entities(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "Ada wrote"}\n{"words": ["New York", "is"]}\n{"words": []}\n', "utf-8")
    for suffix in ("jsonl", "parquet"):
        predict_file(FirstWord(), tmp_path / "in.jsonl", tmp_path / f"out.{suffix}")
    found = records(tmp_path / "out.jsonl")
    assert [[entity["text"] for entity in row["entities"]] for row in found] == [["Ada"], ["New York"], []]
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == found


def test_answers(tmp_path):
    lines = ['{"id": 5, "question": "Who?", "context": "Ada wrote"}', '{"question": "Who?", "context": ""}']
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    for suffix in ("jsonl", "parquet"):
        predict_file(FirstCharacters(), tmp_path / "in.jsonl", tmp_path / f"out.{suffix}")
    first, second = records(tmp_path / "out.jsonl")
    assert first == {"id": "5", "question": "Who?", "answer": "Ad", "start": 0, "end": 2, "score": 1.5}
    assert (second["answer"], second["start"], second["score"]) == ("", -1, None)
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == [first, {"id": None, **second}]
    (tmp_path / "bad.jsonl").write_text('{"question": "Who?"}')
    with pytest.raises(DataError, match="there is no 'context'"):
        predict_file(FirstCharacters(), tmp_path / "bad.jsonl", tmp_path / "out.jsonl")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("in.jsonl", '{"text": "a"}\n{"txet": "a"}\n', r"row 2.*there is no 'text'"),
        ("in.jsonl", '{"text": 3}\n', "row 1.*is no text"),
        ("in.jsonl", '{"text": "a"\n', "row 1.*no JSON"),
        ("in.jsonl", "[1]\n", "row 1.*no JSON object"),
        ("in.tsv", "text\ttext\na\tb\n", "row 1.*name the columns"),
        ("in.tsv", "text\ttext_pair\na\n", "row 2.*number of columns"),
        ("in.tsv", "", "row 1.*name the columns"),
        ("in.tsv", "label\nx\n", "there is no 'text'"),
    ],
)
def test_rows_that_do_not_fit_are_named_and_nothing_is_written(tmp_path, name, text, told):
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(DataError, match=f"(?s){told}"):
        predict_file(Lengths(), tmp_path / name, tmp_path / "out.jsonl")
    assert [item.name for item in tmp_path.iterdir()] == [name]


def test_a_failure_on_the_way_leaves_the_old_file(tmp_path):
    (tmp_path / "in.txt").write_text("fine\nbroken\n")
    for suffix in ("jsonl", "parquet"):
        out = tmp_path / f"out.{suffix}"
        out.write_text("old")
        with pytest.raises(UserError, match="broken"):
            predict_file(Lengths(), tmp_path / "in.txt", out)
        assert out.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 3


def test_options_and_models_that_do_not_fit(tmp_path):
    (tmp_path / "in.txt").write_text("a\n")
    with pytest.raises(UserError, match="--unit"):
        predict_file(Lengths(), tmp_path / "in.txt", tmp_path / "out.jsonl", options={"unit": "word"})
    with pytest.raises(UserError, match="windows are for tags alone"):
        predict_file(Lengths(), tmp_path / "in.txt", tmp_path / "out.jsonl", options={"on_long": "windows"})
    with pytest.raises(UserError, match=r"(?s)ends in \.jsonl"):
        predict_file(Lengths(), tmp_path / "in.txt", tmp_path / "out.npy")
    with pytest.raises(UserError, match=r"no such format"):
        predict_file(Lengths(), tmp_path / "in.txt", tmp_path / "out.jsonl", form="csv")


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtra, match=r"(?s)pyarrow.*distill-toolkit\[parquet\]"):
        writers.check_out(tmp_path / "out.parquet", writers.VECTORS, "vectors.npy")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return bag.folder(tmp_path_factory.mktemp("predict") / "model")


def test_encode_into_every_format(cli, tmp_path, folder):
    texts = ["the cat sat", "", "dog " * 20]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    for suffix in ("npy", "jsonl", "parquet"):
        out = tmp_path / f"out.{suffix}"
        code, told, err = cli("encode", folder, tmp_path / "in.jsonl", "-o", out, "--precision", "fp32", "--threads", "1")
        assert code == 0, err
        assert "float32 [3, 3]" in told
        assert "1 sentences were cut" in err
    wanted = np.array([bag.vector(text) for text in texts], np.float32)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), wanted, rtol=1e-6)
    rows = records(tmp_path / "out.jsonl")
    assert [row["text"] for row in rows] == texts
    np.testing.assert_allclose([row["embedding"] for row in rows], wanted, rtol=1e-6)
    table = pq.read_table(tmp_path / "out.parquet").to_pydict()
    assert table["text"] == texts
    np.testing.assert_allclose(table["embedding"], wanted, rtol=1e-6)


def test_encode_from_stdin(cli, tmp_path, folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"the cat\ndog\n")))
    code, _, err = cli("encode", folder, "-", "-o", tmp_path / "out.npy", "--precision", "fp32")
    assert code == 0, err
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), [bag.vector("the cat"), bag.vector("dog")], rtol=1e-6)


@pytest.mark.parametrize(
    ("command", "options", "told"),
    [
        ("encode", ["-o", "out.npy", "--on-long", "error"], "sentence 1: this sentence is too long"),
        ("encode", ["-o", "out.npy", "--on-long", "trim"], "--on-long"),
        ("encode", ["-o", "out.csv"], "ends in .npy"),
        ("predict", ["-o", "out.jsonl"], "distill encode"),
        ("predict", ["-o", "out.txt"], "ends in .jsonl"),
        ("predict", ["-o", "out.jsonl", "--unit", "letter"], "--unit: unknown value"),
        ("predict", ["-o", "out.jsonl", "--threshold", "2"], "--threshold"),
    ],
)
def test_mistakes_end_with_2_and_leave_nothing(cli, tmp_path, monkeypatch, folder, command, options, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.txt").write_text("cat\n" + "dog " * 20 + "\n")
    code, _, err = cli(command, folder, "in.txt", *options)
    assert code == 2
    assert told in err
    assert [item.name for item in tmp_path.iterdir()] == ["in.txt"]


ROWS = st.lists(st.dictionaries(st.sampled_from(["text", "id"]), st.text(), min_size=1))


@given(ROWS)
def test_json_lines_come_back(rows):
    raw = "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
        assert list(read_rows(reading.Path("-"), "jsonl")) == rows


def test_lines_are_counted_for_the_bar(tmp_path):
    for text, count in (("", 0), ("a", 1), ("a\n", 1), ("a\n\nb", 3)):
        (tmp_path / "in.txt").write_text(text)
        assert count_lines(tmp_path / "in.txt") == count
    assert count_lines(reading.Path("-")) is None
