"""Questions out of SQuAD's JSON and tables."""

import gzip
import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distill.data.squad import read_span_examples
from distill.errors import DataError
from distill.recipe import SourceSpec

CONTEXT = "The bridge was built in 1932 by the city."


def question(name="q1", text="1932", start=24, **extra):
    return {"id": name, "question": "When was it built?", "answers": [{"text": text, "answer_start": start}], **extra}


def write(path, *questions, context=CONTEXT):
    data = json.dumps({"version": "1", "data": [{"title": "t", "paragraphs": [{"context": context, "qas": list(questions)}]}]})
    path.write_bytes(gzip.compress(data.encode()) if path.suffix == ".gz" else data.encode())
    return path


def read(path, counts=None, on_bad_row="error", **options):
    counts = Counter() if counts is None else counts
    return read_span_examples(SourceSpec(source=str(path), **options), on_bad_row=on_bad_row, counts=counts)


NONE = {"id": "q2", "question": "Who drew it?", "answers": [{"text": "city", "answer_start": 36}], "is_impossible": True}


@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.txt"])
def test_both_versions(tmp_path, name):
    path = write(tmp_path / name, question(), NONE, question("q3", is_impossible=False))
    counts = Counter()
    options = {"format": "squad"} if name == "a.txt" else {}
    examples = read(path, counts, **options)
    assert examples.ids == ["q1", "q2", "q3"]
    assert examples.questions[1] == "Who drew it?"
    assert examples.contexts == [CONTEXT] * 3
    assert examples.answers == [[("1932", 24)], [], [("1932", 24)]]
    assert counts == Counter(unanswerable=1)
    assert read(path, limit=1, **options).ids == ["q1"]


BAD = {
    "moved": (question("x", start=23), "does not stand in its context"),
    "beyond": (question("x", start=400), "does not stand in its context"),
    "negative": (question("x", start=-5), "an answer cannot be read"),
    "empty": (question("x", text=" ", start=3), "an answer cannot be read"),
    "no answers": ({"id": "x", "question": "Why?", "answers": []}, "has no answers"),
    "no question": ({**question("x"), "question": ""}, "question is not text"),
    "same id": (question("q1"), "same id"),
    "a string": ("x", "not a question"),
}


@pytest.mark.parametrize("problem", BAD)
def test_a_bad_question_stops_or_is_counted(tmp_path, problem):
    row, message = BAD[problem]
    path = write(tmp_path / "a.json", question("q1"), row, question("q2"))
    with pytest.raises(DataError, match=message):
        read(path)
    counts = Counter()
    assert read(path, counts, on_bad_row="skip").ids == ["q1", "q2"]
    assert counts["bad_rows"] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not JSON"), ("[]", "not that of SQuAD"), ('{"data": []}', "no questions"), (None, "no such file")],
)
def test_files_that_are_something_else(tmp_path, content, message):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message):
        read(path)
    if content is not None:
        path.with_suffix(".json.gz").write_bytes(b"no gzip")
        with pytest.raises(DataError, match="cannot read"):
            read(path.with_suffix(".json.gz"))


def test_tables(tmp_path):
    path = tmp_path / "a.parquet"
    rows = [{"text": ["1932"], "answer_start": [24]}, {"text": [], "answer_start": []}]
    pq.write_table(pa.table({"id": ["a", "b"], "context": [CONTEXT] * 2, "question": ["When?", "Who?"], "answers": rows}), path)
    assert read(path).answers == [[("1932", 24)], []]
    assert read(path, columns=("id", "question", "context", "answers")).questions == ["When?", "Who?"]
    with pytest.raises(DataError, match="cannot tell which columns"):
        read(path, columns=("id", "question"))
    pq.write_table(pa.table({"id": ["a"], "context": [CONTEXT], "question": ["When?"], "answers": ["1932"]}), path)
    with pytest.raises(DataError, match="row 1"):
        read(path)
