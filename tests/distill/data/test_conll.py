"""Tagged words out of CoNLL files and tables."""

import gzip
import json
import unicodedata
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distill.data.conll import read_token_examples
from distill.errors import DataError
from distill.recipe import SourceSpec

PLAIN = "Anna\tB-person\nlives\tO\nin\tO\nNew\tB-place\nYork\tI-place\n\n#now\tO\n#\tO\n"
NAMES = ("B-person", "B-place", "I-place", "O")


def read(path, counts=None, labels=None, space=None, on_bad_row="error", **options):
    counts = Counter() if counts is None else counts
    spec = SourceSpec(source=str(path), **options)
    return read_token_examples(spec, labels=labels, space=space, on_bad_row=on_bad_row, counts=counts)


def write(path, text):
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_words_tags_and_sentences(tmp_path):
    for name in ("a.conll", "a.bio.gz"):
        examples, labels = read(write(tmp_path / name, PLAIN))
        assert examples.words == [["Anna", "lives", "in", "New", "York"], ["#now", "#"]]
        assert [[labels.names[tag] for tag in row] for row in examples.tags] == [
            ["B-person", "O", "O", "B-place", "I-place"],
            ["O", "O"],
        ]
        assert labels.names == NAMES
        assert examples.space
        assert len(read(tmp_path / name, limit=1)[0]) == 1
    turned, names = read(tmp_path / "a.conll", labels=["O", *NAMES[:3]])
    assert names.names[0] == "O"
    assert turned.tags[1] == [0, 0]


def test_comments_document_marks_spaces_and_windows_line_ends(tmp_path):
    text = "-DOCSTART- -X- -X- O\r\n\r\n# text = EU\r\n## id\tB O\r\nEU NNP I-NP B-org\r\n# SYM O O\r\n   \r\nx NN O O\r\n"
    path = write(tmp_path / "a.conll", text)
    assert read(path)[0].words == [["EU", "#"], ["x"]]
    chunks = read(path, columns=(0, 2))
    assert chunks[1].names == ("I-NP", "O")


def test_single_characters_with_spaces_among_them(tmp_path):
    text = "## note\twith a tab\n김\tB-PS\n씨\tO\n \tO\n집\tO\n\n"
    path = write(tmp_path / "a.tsv.gz", text)
    examples, _ = read(path, format="conll")
    assert not examples.space
    assert examples.text == ["김씨 집"]
    with pytest.raises(DataError, match="single characters"):
        read(write(tmp_path / "b.conll", PLAIN), space=False)


BAD = {
    "York": "not a word and its tag",
    "York\tI-place\tx": "2 columns, as in the first row",
    "York\tx\tI-place": "2 columns, as in the first row",
    "\tI-place": "not a word",
    "York\tplace": "not O, B-type or I-type",
    "York\tS-place": "not O, B-type or I-type",
}


@pytest.mark.parametrize("line", BAD)
def test_a_bad_row_is_named_and_takes_its_sentence_along(tmp_path, line):
    path = write(tmp_path / "a.conll", f"A\tB-place\nb\tO\n\nNew\tB-place\n{line}\nc\td\te\tf\n\nd\tO\n")
    with pytest.raises(DataError, match=f"row 5: (.|\n)*{BAD[line]}"):
        read(path)
    counts = Counter()
    examples, _ = read(path, on_bad_row="skip", counts=counts)
    assert examples.words == [["A", "b"], ["d"]]
    assert counts["bad_rows"] == 1


def test_other_faults(tmp_path):
    with pytest.raises(DataError, match="not among the names given"):
        read(write(tmp_path / "a.conll", PLAIN), labels=["O", "B-person"])
    with pytest.raises(DataError, match="no sentences"):
        read(write(tmp_path / "b.conll", "\n\n# note\n"))
    with pytest.raises(DataError, match=r"no such file(.|\n)*did you mean 'a.conll'"):
        read(tmp_path / "aa.conll")
    with pytest.raises(DataError, match="two numbers"):
        read(tmp_path / "a.conll", columns=("word", "tag"))
    latin = tmp_path / "latin.conll"
    latin.write_bytes("café\tO\n".encode("latin-1"))
    with pytest.raises(DataError, match="not utf-8"):
        read(latin)


def test_tables_of_lists(tmp_path):
    path = tmp_path / "a.parquet"
    words = [["Anna", "sings"], ["in", "Rome"]]
    pq.write_table(pa.table({"id": [1, 2], "tokens": words, "ner_tags": [[1, 0], [0, 2]]}), path)
    examples, labels = read(path, labels=["O", "B-person", "B-place"])
    assert examples.words == words
    assert examples.tags == [[1, 0], [0, 2]]
    assert labels.names == ("O", "B-person", "B-place")
    with pytest.raises(DataError, match=r"row 1(.|\n)*O, B-type"):
        read(path)
    with pytest.raises(DataError, match="cannot tell which columns"):
        read(path, columns=("tokens",))
    pq.write_table(pa.table({"words": words, "tags": [["B-person", "O"], ["O"]]}), path)
    with pytest.raises(DataError, match="a list of 2 tags"):
        read(path)
    counts = Counter()
    assert len(read(path, on_bad_row="skip", counts=counts)[0]) == 1
    assert counts["bad_rows"] == 1


def test_half_a_character_is_a_bad_row(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"tokens": ["a", "\ud83d"], "tags": ["O", "B-x"]}, {"tokens": ["b", "c"], "tags": ["O", "B-x"]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    with pytest.raises(DataError, match=r"row 1(.|\n)*halves of characters"):
        read(path)
    counts = Counter()
    assert read(path, on_bad_row="skip", counts=counts)[0].words == [["b", "c"]]
    assert counts["bad_rows"] == 1


def test_two_spellings_of_one_tag_are_one(tmp_path):
    path = tmp_path / "a.conll"
    apart = unicodedata.normalize("NFD", "B-사람")
    path.write_text(f"안나\tB-사람\n노래\tO\n\n민수\t{apart}\n", "utf-8")
    examples, labels = read(path)
    assert labels.names == ("B-사람", "O")
    assert examples.tags == [[0, 1], [0]]
