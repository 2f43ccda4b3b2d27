"""Every format, every way to name a column, and what each kind of bad input gets."""

import contextlib
import csv
import gzip
import io
import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill.data.sources import check_source, read_pairs, read_sentences, source_kind
from distill.errors import DataError, UserError
from distill.recipe import EvaluationSpec, SourceSpec

TEXTS = ["A man is playing a guitar.", "비가 오는 날에는 책을 읽는다.", 'She said "no, thanks".']


def read(path, on_bad_row="error", counts=None, **options):
    spec = SourceSpec(source=str(path), **options)
    return list(read_sentences(spec, on_bad_row=on_bad_row, counts=Counter() if counts is None else counts))


def pairs(path, on_bad_row="error", counts=None, **options):
    spec = EvaluationSpec(source=str(path), **options)
    return read_pairs(spec, on_bad_row=on_bad_row, counts=Counter() if counts is None else counts)


def as_csv(rows, **options):
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n", **options).writerows(rows)
    return stream.getvalue()


def write(path, text, encoding="utf-8"):
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


CONTENT = {
    "txt": "\n".join(TEXTS) + "\n",
    "csv": as_csv([["id", "text"], *([i, text] for i, text in enumerate(TEXTS))]),
    "tsv": "id\ttext\n" + "".join(f"{i}\t{text}\n" for i, text in enumerate(TEXTS)),
    "jsonl": "".join(json.dumps({"id": i, "text": text}) + "\n" for i, text in enumerate(TEXTS)),
}


@pytest.mark.parametrize("zipped", ["", ".gz"])
@pytest.mark.parametrize("kind", CONTENT)
def test_every_text_format_plain_and_gzipped(tmp_path, kind, zipped):
    path = write(tmp_path / f"data.{kind}{zipped}", CONTENT[kind])
    assert read(path) == TEXTS
    if kind != "txt":
        assert read(path, columns=("text",)) == TEXTS
    if kind in ("csv", "tsv"):
        assert read(path, columns=(1,), header=True) == TEXTS
        assert read(path, columns=(1,)) == ["text", *TEXTS], "columns given by number: no header unless it is said"
    assert read(path, limit=2) == TEXTS[:2]
    assert check_source(SourceSpec(source=str(path))) == []


def test_parquet(tmp_path):
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"id": [1, 2, 3], "text": TEXTS, "again": TEXTS}), path)
    assert read(path, columns=("text",)) == TEXTS
    assert read(path, columns=(1, "again"), limit=3) == [TEXTS[0], TEXTS[0], TEXTS[1]]
    with pytest.raises(DataError, match=r"more than one text column(.|\n)*text, again"):
        read(path)


def test_parquet_columns_of_one_name(tmp_path):
    """They are in nobody's way, and are told apart by their numbers."""
    path = tmp_path / "data.parquet"
    columns = [pa.array(values) for values in (["a", "b", "c"], TEXTS, ["x", "y", "z"])]
    pq.write_table(pa.Table.from_arrays(columns, ["z", "text", "z"]), path)
    assert read(path, columns=("text",)) == TEXTS
    assert read(path, columns=(2, 0), limit=4) == ["x", "a", "y", "b"]
    with pytest.raises(DataError, match="more than one column 'z'"):
        read(path, columns=("z",))


def test_a_row_longer_than_the_header_is_told(tmp_path):
    with pytest.raises(DataError, match=r"more than one text column(.|\n)*text, 2"):
        read(write(tmp_path / "long.csv", "text,more\na,1,b\n"), header=True)


def test_several_columns_are_read_row_by_row(tmp_path):
    path = write(tmp_path / "two.tsv", "a\tb\nc\td\n")
    assert read(path, columns=(0, 1)) == ["a", "b", "c", "d"]
    assert read(path, columns=(1, 0), limit=3) == ["b", "a", "d"]


def test_a_format_the_ending_does_not_tell(tmp_path):
    path = write(tmp_path / "data.dat", "a\tb\n")
    (problem,) = check_source(SourceSpec(source=str(path)))
    assert "format" in problem.hint
    assert read(path, format="tsv", columns=(1,)) == ["b"]


def test_quotes_mean_something_in_csv_and_nothing_in_tsv_unless_said(tmp_path):
    assert read(write(tmp_path / "a.csv", '"one, two",x\n'), columns=(0,)) == ["one, two"]
    assert read(write(tmp_path / "a.tsv", '"one\tx\n'), columns=(0,)) == ['"one']
    assert read(write(tmp_path / "b.tsv", '"one\ttwo"\tx\n'), columns=(0,), quoting=True) == ["one\ttwo"]
    assert read(write(tmp_path / "b.csv", '"one,x\n'), columns=(0,), quoting=False) == ['"one']


def test_byte_order_mark_windows_line_ends_and_blank_lines(tmp_path):
    assert read(write(tmp_path / "a.txt", "\ufeffone\r\n\r\n  \r\ntwo\r\n")) == ["one", "two"]
    assert read(write(tmp_path / "a.csv", "\ufefftext,n\r\none,1\r\n\r\ntwo,2\r\n"), columns=("text",)) == ["one", "two"]


@pytest.mark.parametrize("encoding", ["cp949", "utf-16", "utf-16-le", "euc-kr"])
@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.txt.gz"])
def test_other_encodings(tmp_path, encoding, name):
    path = write(tmp_path / name, "책을 읽는다\n비가 온다\n", encoding)
    assert read(path, encoding=encoding) == ["책을 읽는다", "비가 온다"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.tuples(*[st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r"), min_size=1)] * 2), min_size=1
    )
)
def test_csv_gives_back_what_the_csv_module_wrote(tmp_path, rows):
    path = write(tmp_path / "any.csv", as_csv([["x", "y"], *rows], quoting=csv.QUOTE_ALL))
    kept = [row for row in rows if any(cell.strip() for cell in row)]  # a row of blanks alone counts as a blank line
    assert read(path, columns=("y", "x")) == [cell for x, y in kept for cell in (y, x)]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["txt", "csv", "tsv", "jsonl", "parquet", "txt.gz", "csv.gz"]), st.booleans())
def test_any_bytes_give_strings_or_an_error_of_ours(tmp_path, data, kind, skip):
    path = tmp_path / f"any.{kind}"
    path.write_bytes(data)
    with contextlib.suppress(DataError):
        found = read(path, on_bad_row="skip" if skip else "error", columns=None if kind.startswith("txt") else (0,))
        assert all(isinstance(text, str) and "\0" not in text for text in found)


# What bad input gets: (file name, content, options, what the message must say)
BAD_ROWS = {
    "ragged csv": (
        "a.csv",
        "text,n\ngood one,1\nbad,2,3\ngood two,4\n",
        {"columns": ("text",)},
        ["row 3", "2 columns", "3: bad,2,3"],
    ),
    "ragged, no header": ("a.tsv", "good one\tx\nbad\ngood two\tx\n", {"columns": (0,)}, ["row 2", "2 columns"]),
    "quote in the middle": ("a.csv", 'good one,1\n"ba"d,2\ngood two,3\n', {"columns": (0,)}, ["row 2", "quoting: false"]),
    "null byte in csv": ("a.csv", "good one,1\nb\0d,2\ngood two,3\n", {"columns": (0,)}, ["row 2", "column 0", "null bytes"]),
    "null byte in txt": ("a.txt", "good one\nb\0d\ngood two\n", {}, ["row 2", "null bytes"]),
    "not JSON": ("a.jsonl", '{"t": "good one"}\n{"t": \n{"t": "good two"}\n', {}, ["row 2", "JSON object"]),
    "a JSON list": ("a.jsonl", '{"t": "good one"}\n["bad"]\n{"t": "good two"}\n', {}, ["row 2", "JSON object"]),
    "deep JSON": ("a.jsonl", '{"t": "good one"}\n' + "[" * 10**5 + '\n{"t": "good two"}\n', {}, ["row 2"]),
    "a key is missing": (
        "a.jsonl",
        '{"t": "good one"}\n{"u": 1}\n{"t": "good two"}\n',
        {"columns": ("t",)},
        ["row 2", "no column 't'"],
    ),
    "a number for text": (
        "a.jsonl",
        '{"t": "good one"}\n{"t": 5}\n{"t": "good two"}\n',
        {},
        ["row 2", "column 't'", "expected: text"],
    ),
    "null for text": ("a.jsonl", '{"t": "good one"}\n{"t": null}\n{"t": "good two"}\n', {}, ["row 2", "None"]),
    "lone surrogate": ("a.jsonl", '{"t": "good one"}\n{"t": "\\ud800"}\n{"t": "good two"}\n', {}, ["row 2", "surrogates"]),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_named_or_skipped_and_counted(tmp_path, case):
    name, content, options, said = BAD_ROWS[case]
    path = write(tmp_path / name, content)
    with pytest.raises(DataError) as caught:
        read(path, **options)
    assert caught.value.exit_code == 2
    for words in (str(path), *said):
        assert words in str(caught.value)
    counts = Counter()
    assert read(path, on_bad_row="skip", counts=counts, **options) == ["good one", "good two"]
    assert counts == {"bad_rows": 1}


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl", "a.csv.gz"])
def test_a_row_in_another_encoding(tmp_path, name):
    rows = [b"good one", "비가".encode("cp949"), b"good two"]
    data = b"\n".join(b'{"t": "' + row + b'"}' if "jsonl" in name else row for row in rows)
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    with pytest.raises(DataError, match=r"row 2: byte \d+ of this row is not utf-8(.|\n)*set `encoding`"):
        read(path)
    counts = Counter()
    assert read(path, on_bad_row="skip", counts=counts) == ["good one", "good two"]
    assert counts["bad_rows"] == 1


def test_a_utf16_file_read_as_utf8_gets_the_right_hint(tmp_path):
    with pytest.raises(DataError, match="for example to utf-16"):
        read(write(tmp_path / "a.txt", "hello there\n", "utf-16"))


def test_an_unclosed_quote_tells_how_far_was_read(tmp_path):
    path = write(tmp_path / "a.csv", 'one,1\n"two,2\nthree,3\n')
    with pytest.raises(DataError, match=r"row 2, read up to line \d"):
        read(path, columns=(0,))


@pytest.mark.parametrize("encoding", ["no-such-encoding", "rot13", "base64"])
def test_unknown_encoding(tmp_path, encoding):
    with pytest.raises(DataError, match="unknown encoding"):
        read(write(tmp_path / "a.txt", "x\n"), encoding=encoding)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("broken.txt.gz", gzip.compress(b"one\n" * 5000)[:30]),
        ("no.txt.gz", b"this is not gzip"),
        ("no.parquet", b"this is not parquet"),
    ],
    ids=["torn gzip", "not gzip", "not parquet"],
)
@pytest.mark.parametrize("on_bad_row", ["error", "skip"])
def test_a_damaged_file_is_an_error_even_where_bad_rows_are_skipped(tmp_path, name, data, on_bad_row):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(DataError, match="cannot read this file"):
        read(path, on_bad_row=on_bad_row)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"columns": ("txet",)}, ["no column 'txet'", "columns id, text", "did you mean 'text'"]),
        ({"columns": (2,), "header": True}, ["no column number 2", "columns id, text"]),
        ({"columns": (7,)}, ["no column number 7", "column numbers 0 to 1"]),
        ({"columns": (-1,)}, ["no column number -1"]),
        ({"columns": ("text",), "header": False}, ["the columns of this source have no names"]),
        ({"columns": ("id",)}, []),
    ],
)
def test_columns_that_are_not_there(tmp_path, options, said):
    path = write(tmp_path / "data.csv", CONTENT["csv"])
    problems = check_source(SourceSpec(source=str(path), **options))
    assert len(problems) == (1 if said else 0)
    for words in said:
        assert words in str(problems[0])


def test_a_column_named_twice_must_be_numbered(tmp_path):
    path = write(tmp_path / "a.csv", "text,text\none,two\n")
    with pytest.raises(DataError, match="more than one column 'text'"):
        read(path, columns=("text",))
    assert read(path, columns=(1,), header=True) == ["two"]


def test_a_missing_file_names_the_nearest(tmp_path):
    write(tmp_path / "sentences.txt", "x\n")
    (problem,) = check_source(SourceSpec(source=str(tmp_path / "sentnces.txt")))
    assert isinstance(problem, UserError)
    assert "did you mean 'sentences.txt'" in problem.hint
    (problem,) = check_source(SourceSpec(source=str(tmp_path / "nowhere" / "a.txt")))
    assert "folder does not exist" in problem.message
    (problem,) = check_source(SourceSpec(source=str(tmp_path)))
    assert problem.message == "this is a folder"
    assert "sentences.txt" in problem.hint


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl"])
def test_an_empty_file(tmp_path, name):
    path = write(tmp_path / name, "")
    assert read(path) == []
    (problem,) = check_source(SourceSpec(source=str(path)))
    assert "empty" in problem.message


def test_a_text_file_and_python_docs_have_no_columns(tmp_path):
    (problem,) = check_source(SourceSpec(source=str(write(tmp_path / "a.txt", "x y\n")), columns=("text",)))
    assert "no columns" in problem.message
    (problem,) = check_source(SourceSpec(source="python-docs", columns=("text",)))
    assert "no columns" in problem.message
    (problem,) = check_source(EvaluationSpec(source="python-docs"))
    assert "no scores" in problem.message


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("python-docs", "python-docs"),
        ("mteb/stsbenchmark-sts", "hub"),
        ("glue", "hub"),
        ("./data", "file"),
        ("~/texts", "file"),
        ("/somewhere/data", "file"),
        ("folder\\file", "file"),
        ("missing.csv", "file"),
        ("missing.JSONL.gz", "file"),
        ("python_docs", None),
        ("Python-Docs", None),
        ("a/b/c", None),
        ("owner/..name", None),
        ("https://example.org/x", None),
        ("two words", None),
        ("nul\0byte", None),
    ],
)
def test_what_a_source_names(source, kind):
    if kind is None:
        with pytest.raises(DataError, match="unknown source"):
            source_kind(SourceSpec(source=source))
    else:
        assert source_kind(SourceSpec(source=source)) == kind


def test_an_existing_path_wins_over_a_hub_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "glue").mkdir()
    assert source_kind(SourceSpec(source="glue")) == "file", "the datasets library would read the folder unasked"


STS_CSV = "A plane is taking off.,An air plane is taking off.,5.0\nA man plays.,A dog runs.,0.4\n"
STS_TSV = (
    "genre\tfilename\tyear\tid\tscore\tsentence1\tsentence2\n"
    'main\tMSR\t2012\t1\t5.000\t"비행기가 이륙한다.\t비행기가 뜬다.\nmain\tMSR\t2012\t2\t0.4\t남자가 연주한다.\t개가 달린다.\n'
)


def test_the_two_usual_shapes_of_sts_files(tmp_path):
    plain = pairs(write(tmp_path / "en.csv", STS_CSV))
    assert plain.sentences1 == ["A plane is taking off.", "A man plays."]
    assert plain.sentences2 == ["An air plane is taking off.", "A dog runs."]
    assert plain.scores.dtype == np.float64
    assert plain.scores.tolist() == [5.0, 0.4]
    korean = pairs(write(tmp_path / "ko.tsv", STS_TSV))
    assert korean.sentences1 == ['"비행기가 이륙한다.', "남자가 연주한다."], "an open quote is a character like others in tsv"
    numbered = pairs(tmp_path / "ko.tsv", columns=(5, 6, 4), header=True)
    assert (numbered.sentences1, numbered.scores.tolist()) == (korean.sentences1, [5.0, 0.4])
    assert len(pairs(write(tmp_path / "more.csv", STS_CSV + "a b,c d,3\n"), limit=2)) == 2


@pytest.mark.parametrize("score", ["nan", "inf", "", "five", "true", "1e999"])
def test_a_score_that_is_no_number(tmp_path, score):
    path = write(tmp_path / "a.csv", STS_CSV + f"x y,y z,{score}\n")
    with pytest.raises(DataError, match=r"row 3: bad value in column 2(.|\n)*finite number"):
        pairs(path)
    counts = Counter()
    assert len(pairs(path, on_bad_row="skip", counts=counts)) == 2
    assert counts["bad_rows"] == 1


def test_json_scores_must_be_numbers_too(tmp_path):
    rows = [{"sentence1": "a b", "sentence2": "c d", "score": score} for score in (1, 0.5, float("nan"))]
    path = write(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match="row 3: bad value in column 'score'"):
        pairs(path)


def test_a_header_taken_for_data_gets_the_right_hint(tmp_path):
    path = write(tmp_path / "a.csv", "left,right,gold\n" + STS_CSV)
    with pytest.raises(DataError, match=r"row 1(.|\n)*header: true"):
        pairs(path, columns=(0, 1, 2))
    (problem,) = check_source(EvaluationSpec(source=str(path)))
    assert "cannot tell which columns" in problem.message


def test_an_empty_sentence_in_a_pair(tmp_path):
    with pytest.raises(DataError, match=r"row 3(.|\n)*expected: a sentence"):
        pairs(write(tmp_path / "a.csv", STS_CSV + "x y,  ,3\n"))


@pytest.mark.parametrize("content", ["one two,three four,1\n", "a b,c d,2\ne f,g h,2.0\n"])
def test_too_little_to_correlate_with(tmp_path, content):
    with pytest.raises(DataError, match="too little to correlate"):
        pairs(write(tmp_path / "a.csv", content))


def test_checking_a_source_loads_no_torch(tmp_path):
    path = write(tmp_path / "a.csv", CONTENT["csv"])
    code = (
        "import sys; from distill.data.sources import check_source; from distill.recipe import SourceSpec\n"
        f"assert check_source(SourceSpec(source={str(path)!r})) == []\n"
        "print([name for name in ('torch', 'transformers', 'datasets', 'pandas', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
