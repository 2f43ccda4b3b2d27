"""Two text files, line by line: alignment above all."""

import gzip
from collections import Counter

import pytest

EN = ["One.", "Two.", "Three."]
KO = ["하나.", "둘.", "셋."]


@pytest.fixture
def pair(tmp_path):
    """Writes two files and gives their paths."""

    def write(first, second, ending="", encoding="utf-8"):
        paths = [tmp_path / f"talk.{language}{ending}" for language in ("en", "ko")]
        for path, lines in zip(paths, (first, second), strict=True):
            data = (lines if isinstance(lines, str) else "".join(line + "\n" for line in lines)).encode(encoding)
            path.write_bytes(gzip.compress(data) if ending == ".gz" else data)
        return paths

    return write


@pytest.mark.parametrize("ending", ["", ".gz", ".txt"])
def test_line_by_line(pair, read, check, ending):
    first, second = pair(EN, KO, ending)
    rows = list(zip(EN, KO, strict=True))
    assert read(first, target=second) == rows
    assert read(first, target=second, format="moses", limit=2) == rows[:2]
    assert check(first, target=second) == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "cp949"])
def test_other_encodings(pair, read, problem, encoding):
    first, second = pair(EN, KO, encoding=encoding)
    assert read(first, target=second, encoding=encoding) == list(zip(EN, KO, strict=True))
    first, second = pair(EN, KO[:2], encoding=encoding)
    assert "got:      3 and 2 lines" in problem(first, target=second, encoding=encoding)


def test_the_last_line_need_not_end_and_lines_may_end_in_cr_lf(pair, read):
    first, second = pair("One.\r\nTwo.\r\n", "하나.\n둘.")
    assert read(first, target=second) == [("One.", "하나."), ("Two.", "둘.")]


@pytest.mark.parametrize(
    ("first", "second", "got"),
    [
        ("a\nb\nc\n", "가\n나\n", "3 and 2 lines"),
        ("a\nb\n", "가\n나\n\n", "2 and 3 lines"),
        ("a\nb", "가\n", "2 and 1 lines"),
        ("", "가\n", "0 and 1 lines"),
    ],
)
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_counts_that_differ_are_told_before_any_row(pair, problem, read, first, second, got, ending):
    paths = pair(first, second, ending)
    told = problem(paths[0], target=paths[1])
    assert got in told
    assert f"talk.en{ending} and " in told
    assert "do not belong together" in problem(paths[0], target=paths[1], on_bad_row="skip", limit=1)


def test_a_blank_line_is_an_empty_side_and_shifts_nothing(pair, read, problem):
    first, second = pair(["One.", "", "Three.", "Four."], ["하나.", "둘.", " ", "넷."])
    told = problem(first, target=second, checked=False)
    assert "talk.ko, row 2: the side in en is empty" in told
    counts = Counter()
    assert read(first, target=second, on_bad_row="skip", counts=counts) == [("One.", "하나."), ("Four.", "넷.")]
    assert counts == {"bad_rows": 2}


def test_lines_that_are_blank_in_both_are_passed_over(pair, read):
    first, second = pair(["One.", "", "Three.", ""], ["하나.", " ", "셋.", ""])
    counts = Counter()
    assert read(first, target=second, counts=counts) == [("One.", "하나."), ("Three.", "셋.")]
    assert not counts


def test_a_line_that_cannot_be_decoded_is_one_bad_row(pair, read, problem):
    first, second = pair(EN, KO)
    second.write_bytes("하나.\n".encode() + b"\xff\xfe\n" + "셋.\n".encode())
    assert "talk.ko, row 2" in problem(first, target=second, checked=False)
    counts = Counter()
    assert read(first, target=second, on_bad_row="skip", counts=counts) == [("One.", "하나."), ("Three.", "셋.")]
    assert counts == {"bad_rows": 1}


def test_unicode_line_separators_end_no_line(pair, read):
    first, second = pair(["a\u2028b", "c"], ["가\x85나", "다"])
    assert read(first, target=second) == [("a\u2028b", "가\x85나"), ("c", "다")]


def test_files_that_are_missing_or_broken(pair, problem, tmp_path):
    first, second = pair(EN, KO, ".gz")
    assert "no such file" in problem(first, target=tmp_path / "talk.de")
    assert "no such file" in problem(tmp_path / "talk.de", target=second)
    assert "this is a folder" in problem(tmp_path, target=second)
    second.write_bytes(second.read_bytes()[:-9])
    assert "cannot read this file" in problem(first, target=second)
    second.write_bytes(b"no gzip")
    assert "cannot read this file" in problem(first, target=second)
    assert "unknown encoding" in problem(first, target=second, encoding="utf-9")


def test_nothing_but_blank_lines(pair, problem):
    first, second = pair(["", ""], ["", ""])
    assert "this source has no translations" in problem(first, target=second)


def test_lines_after_the_limit_are_not_decoded(pair, read):
    first, second = pair(EN, KO)
    second.write_bytes("하나.\n둘.\n".encode() + b"\xff\n")
    assert len(read(first, target=second, limit=2)) == 2
