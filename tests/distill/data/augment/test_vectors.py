"""Word vectors: every format reads the same, bad files say where, neighbours are exact, kept, and equal on every run."""

from __future__ import annotations

import gzip
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.data.augment import vectors as module
from distill.data.augment.vectors import WordVectors, nearest_rows
from distill.errors import DataError, MissingExtra

WORDS = ["cat", "dog", "고양이", "강아지를", "Paris", "u.s.", ". . ."]
TABLE = np.array([[1, 0.1, 0], [1, 0.2, 0], [0.9, 0.15, 0.1], [0, 1, 0.3], [0, 0, 1], [0, 0.2, 1], [-1, 0, 0.5]], np.float32)


def rows(words=WORDS, table=TABLE, end=""):
    return [f"{word} {' '.join(str(number) for number in row)}{end}" for word, row in zip(words, table, strict=True)]


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "cache"))


def write(path, lines):
    data = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def tables(folder):
    """The same table in every format."""
    np.save(folder / "table.npy", TABLE)
    np.save(folder / "half.npy", TABLE.astype(np.float16))
    vocabulary = write(folder / "words.txt", WORDS)
    return [
        (write(folder / "glove.txt", rows()), None),
        (write(folder / "glove.txt.gz", rows()), None),
        (write(folder / "word2vec.txt", ["7 3", *rows(end=" ")]), None),
        (write(folder / "fasttext.vec", ["7 3", *rows(end=" \r")]), None),
        (write(folder / "tabs.txt", [row.replace(" ", "\t", 1) for row in rows()[:-1]] + rows()[-1:]), None),
        (folder / "table.npy", vocabulary),
        (folder / "half.npy", vocabulary),
    ]


def test_every_format_gives_the_same(tmp_path):
    for source, vocabulary in tables(tmp_path):
        found = WordVectors.load(source, vocabulary)
        assert found.words == WORDS, source
        assert found.neighbours("cat", 2) == ["dog", "고양이"], source
        assert found.neighbours("고양이", 1) == ["dog"], source


def test_lookup(tmp_path):
    found = WordVectors(WORDS, TABLE)
    assert found.neighbours("Cat", 1) == found.neighbours("cat", 1) == ["dog"]
    assert found.neighbours("Paris", 1) == ["u.s."]
    assert found.neighbours("paris", 1) == []  # exact, then lower case: never upper
    assert found.neighbours("zebra") == []
    assert found.neighbours("cat", 0) == []
    assert "CAT" in found
    assert "zebra" not in found
    assert len(found.neighbours("cat", 99)) == len(found) - 1 == 6


@pytest.mark.parametrize("limit", [1, 3, 7, 9, None])
def test_limit(tmp_path, limit):
    for source, vocabulary in tables(tmp_path):
        assert WordVectors.load(source, vocabulary, limit).words == WORDS[:limit]


def test_limit_does_not_read_on(tmp_path):
    source = write(tmp_path / "v.txt", [*rows(), "broken"])
    assert len(WordVectors.load(source, limit=7)) == 7
    with pytest.raises(DataError, match="row 8"):
        WordVectors.load(source, limit=8)


def test_repeated_blank_and_zero_rows(tmp_path, capsys):
    words = ["cat", "dog", "cat", " ", "nil", "cow"]
    table = np.array([[1, 0], [1, 1], [0, 1], [1, 0], [0, 0], [1, 0.5]], np.float32)
    np.save(tmp_path / "t.npy", table)
    found = WordVectors.load(tmp_path / "t.npy", write(tmp_path / "w.txt", words))
    assert found.words == ["cat", "dog", "cow"]
    assert found.duplicates == 1
    assert "t.npy: 1 words occur again" in capsys.readouterr().err
    assert found.neighbours("cat") == ["cow", "dog"]
    assert found.neighbours("nil") == []


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a 1 2", "b 1 2", "c 1"], r"v.txt, row 3: this row has another width\n  got:      1 after 'c'"),
        (["a 1 2", "b 1 2", "c 1 2 3"], r"row 3: this row has another width\n  got:      3 after 'c'"),
        (["3 2", "a 1 2", "b 1 2 3", "c 1 2"], "row 3: this row has another width"),
        (["a 1 2", "", "c 1 2"], r"row 2: this row has another width\n  got:      an empty line"),
        (["a 1 2", "b 1 x"], "row 2: this is no number"),
        (["a 1 2", "b nan 1"], "row 2: a number is not finite"),
        (["a 1 2", "b 1 inf"], "row 2: a number is not finite"),
        (["a 1 2", "b 1 1e60"], "row 2: a number is not finite, or too large"),
        (["3 2", "a 1 2", "b 1 2"], r"do not agree\n  got:      2 rows\n  expected: 3 rows"),
        (["1 2", "a 1 2", "b 1 2"], r"do not agree\n  got:      more rows\n  expected: 1 rows"),
        (["a", "b"], "these are no word vectors"),
    ],
)
def test_bad_text_files(tmp_path, lines, message):
    with pytest.raises(DataError, match=message):
        WordVectors.load(write(tmp_path / "v.txt", lines))


def test_row_numbers_in_later_blocks(tmp_path):
    with pytest.raises(DataError, match="row 5001: a number is not finite"):
        WordVectors.load(write(tmp_path / "v.txt", [*(f"w{i} 1 {i}" for i in range(5000)), "x 1 nan"]))


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "latin.txt").write_bytes(b"a 1 2\ncaf\xe9 1 2\n")
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(b"a 1 2\n" * 1000)[:-9])
    (tmp_path / "bad.npy").write_bytes(b"no table")
    np.save(tmp_path / "flat.npy", np.ones(3))
    np.save(tmp_path / "whole.npy", np.ones((2, 3), np.int64))
    np.save(tmp_path / "nan.npy", np.array([[1, 2], [1, np.nan]]))
    np.save(tmp_path / "good.npy", np.ones((2, 3)))
    words = write(tmp_path / "w.txt", ["a", "b"])
    for name, vocabulary, message in [
        ("none.txt", None, "no such file"),
        ("", None, "this is a folder"),
        ("empty.txt", None, "this file is empty"),
        ("latin.txt", None, r"row 2: byte 4 of this row is not utf-8"),
        ("cut.txt.gz", None, "cannot read this file"),
        ("bad.npy", words, "no .npy table"),
        ("flat.npy", words, r"float64 of shape \(3,\)"),
        ("whole.npy", words, "int64 of shape"),
        ("nan.npy", words, "nan.npy, row 2: a number is not finite"),
        ("good.npy", None, "has no words"),
        ("good.npy", tmp_path / "none", "cannot read this file"),
        ("good.npy", write(tmp_path / "three.txt", ["a", "b", "c"]), "3 words\n  expected: 2, one for each row of good.npy"),
    ]:
        with pytest.raises(DataError, match=message):
            WordVectors.load(tmp_path / name, vocabulary)
    with pytest.raises(DataError, match="leave `vocabulary` out"):
        WordVectors.load(write(tmp_path / "v.txt", rows()), words)
    with pytest.raises(DataError, match="at least 1"):
        WordVectors.load(tmp_path / "v.txt", limit=0)
    (tmp_path / "google.bin").write_bytes(b"3 300\n")
    with pytest.raises(DataError, match="in this format"):
        WordVectors.load(tmp_path / "google.bin")


def plain(vectors, k):
    """Neighbours by the definition, one row at a time."""
    result = []
    for row in range(len(vectors)):
        products = [float(vectors[row].astype(np.float64) @ vectors[other].astype(np.float64)) for other in range(len(vectors))]
        others = sorted((other for other in range(len(vectors)) if other != row), key=lambda other: (-products[other], other))
        result.append(others[:k])
    return result


def test_neighbours_are_the_nearest(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 37)
    table = np.random.default_rng(1).normal(size=(200, 12)).astype(np.float32)
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    assert nearest_rows(table, 15).tolist() == plain(table, 15)


@pytest.mark.parametrize("spare", [0, 1, 16])
@pytest.mark.parametrize("block", [3, 1024])
def test_equally_near_words_are_in_the_order_of_the_table(monkeypatch, spare, block):
    monkeypatch.setattr(module, "_BLOCK", block)
    monkeypatch.setattr(module, "_SPARE", spare)
    table = np.array([[1, 0]] * 40 + [[0.8, 0.6]] * 20 + [[0, 1]] * 3, np.float32)
    found = nearest_rows(table, 4).tolist()
    assert found[0] == [1, 2, 3, 4]
    assert found[2] == [0, 1, 3, 4]
    assert found[39] == [0, 1, 2, 3]
    assert found[45] == [40, 41, 42, 43]
    assert found[62] == [60, 61, 40, 41]


@given(st.lists(st.lists(st.integers(-2, 2), min_size=3, max_size=3).filter(any), min_size=1, max_size=30), st.integers(1, 8))
def test_a_word_is_never_its_own_neighbour(numbers, k):
    words = [f"w{index}" for index in range(len(numbers))]
    found = WordVectors(words, np.array(numbers, np.float32))
    for word in words:
        near = found.neighbours(word, k)
        assert word not in near
        assert len(set(near)) == len(near) == min(k, len(words) - 1)


def test_the_table_is_searched_once_and_kept(tmp_path, monkeypatch):
    calls = []
    search = nearest_rows
    monkeypatch.setattr(module, "nearest_rows", lambda *arguments: calls.append(1) or search(*arguments))
    first = WordVectors(WORDS, TABLE)
    near = [first.neighbours(word, k) for k in (1, 3, 15) for word in WORDS]
    again = WordVectors(WORDS, TABLE * 2)  # the same directions
    assert [again.neighbours(word, k) for k in (1, 3, 15) for word in WORDS] == near
    assert len(calls) == 1
    other = WordVectors(WORDS[::-1], TABLE)
    other.neighbours("cat")
    assert len(calls) == 2
    assert [path.suffix for path in sorted((tmp_path / "cache" / "neighbours").iterdir())].count(".npz") == 2


def test_more_neighbours_are_searched_for_when_wanted():
    table = np.random.default_rng(2).normal(size=(60, 5)).astype(np.float32)
    found = WordVectors([f"w{index}" for index in range(60)], table)
    few = found.neighbours("w0", 3)
    many = found.neighbours("w0", 40)
    assert len(many) == 40
    assert many[:3] == few == found.neighbours("w0", 3)


@pytest.mark.parametrize("damage", [b"", b"no archive", None, "wrong"])
def test_a_damaged_cache_is_made_again(tmp_path, damage, capsys):
    near = WordVectors(WORDS, TABLE).neighbours("cat")
    (path,) = (tmp_path / "cache" / "neighbours").glob("*.npz")
    whole = path.read_bytes()
    if damage == "wrong":
        np.savez(path, neighbours=np.full((7, 6), 99, np.int32))
    else:
        path.write_bytes(whole[:-30] if damage is None else damage)
    assert WordVectors(WORDS, TABLE).neighbours("cat") == near
    assert "is damaged; it is made again" in " ".join(capsys.readouterr().err.split())
    assert path.read_bytes() == whole


def test_without_faiss(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtra, match=r"needs the package 'faiss'.*\n.*pip install 'distill-toolkit\[augment\]'"):
        WordVectors(WORDS, TABLE).neighbours("cat")


def test_empty_and_single_tables():
    assert WordVectors([], np.zeros((0, 3), np.float32)).neighbours("cat") == []
    assert WordVectors(["cat"], np.ones((1, 3), np.float32)).neighbours("cat") == []
