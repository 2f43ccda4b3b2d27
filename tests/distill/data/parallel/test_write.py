"""What is written is read again, by this project and by another library, whatever the text."""

import gzip
import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from translate.storage.pypo import pofile
from translate.storage.tmx import tmxfile

from distill.data.parallel import read_parallel, write_parallel
from distill.data.text import normalise
from distill.errors import DataError, MissingExtra
from distill.recipe_data import ParallelSpec

HARD = "한국어가각ㄱ😀👩‍👩‍👧é\"'\\<>&#%;,=|[]{}~\u2028\x85\u00a0\ufeff\u200b$`^@!?*-_/+:. aA0"


def texts(more=""):
    """Strings that hold `more` too, and no control characters."""
    letters = st.one_of(st.sampled_from(HARD + more), st.characters(exclude_categories=("Cs", "Cc")))
    return st.text(letters, min_size=1, max_size=30).filter(str.strip)


def rows(more=""):
    pairs = st.tuples(texts(more), texts(more)).filter(lambda row: normalise(row[0]) != normalise(row[1]))
    return st.lists(pairs, min_size=1, max_size=6)


def again(path, target=None, **options):
    spec = ParallelSpec(source=str(path), target=target and str(target), languages=("en", "ko"), **options)
    return [(row.source, row.translation) for row in read_parallel(spec, on_bad_row="error", counts=Counter())]


@settings(max_examples=60, deadline=None)
@given(rows())
def test_tsv(pairs):
    with TemporaryDirectory() as folder:
        path = Path(folder, "t.tsv")
        assert write_parallel(path, pairs, ("en", "ko")) == len(pairs)
        assert again(path) == pairs


@settings(max_examples=60, deadline=None)
@given(rows("\t"))
@example([("한", "\ufeff")])
@example([("\ufeffa", "\ufeff\ufeffb"), ("\ufeffc", "d")])
def test_moses(pairs):
    with TemporaryDirectory() as folder:
        first, second = Path(folder, "t.en"), Path(folder, "t.ko")
        assert write_parallel(first, pairs, ("en", "ko"), target=second) == len(pairs)
        assert again(first, second) == pairs
        for path in (first, second):
            Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes()))
        assert again(f"{first}.gz", f"{second}.gz") == pairs


@settings(max_examples=60, deadline=None)
@given(rows("\t\n\r"))
def test_tmx(pairs):
    pairs = [tuple(text.replace("\uffff", "").replace("\ufffe", "") + "." for text in row) for row in pairs]
    with TemporaryDirectory() as folder:
        path = Path(folder, "t.tmx")
        assert write_parallel(path, pairs, ("en", "ko")) == len(pairs)
        assert again(path) == pairs
        units = tmxfile.parsefile(str(path)).units
        assert [(unit.source, unit.target) for unit in units] == pairs


@settings(max_examples=60, deadline=None)
@given(rows("\t\n\r\x00\x01\x0b\x1c\x7f".replace("\x00", "")))
def test_po(pairs):
    with TemporaryDirectory() as folder:
        path = Path(folder, "t.po")
        assert write_parallel(path, pairs, ("en", "ko")) == len(pairs)
        assert again(path) == pairs


def test_po_is_read_by_another_library(tmp_path):
    pairs = [("Open", "열기"), ("Open", "열다"), ('a "b"\n\\ c\t', "가\n나"), ("%d 😀", "%d개"), ("Open", "열어")]
    path = tmp_path / "t.po"
    write_parallel(path, pairs, ("en", "ko"))
    found = [unit for unit in pofile.parsefile(str(path)).units if not unit.isheader()]
    assert [(unit.source, unit.target) for unit in found] == pairs
    assert len({(unit.source, unit.getcontext()) for unit in found}) == len(pairs), "one text with two translations"


@settings(max_examples=30, deadline=None)
@given(rows("\t\n\r"))
def test_tables_of_others(pairs):
    with TemporaryDirectory() as folder:
        objects = [{"en": en, "ko": ko} for en, ko in pairs]
        lines, table = Path(folder, "t.jsonl"), Path(folder, "t.parquet")
        lines.write_text("".join(json.dumps(row) + "\n" for row in objects))
        pq.write_table(pa.Table.from_pylist(objects), table)
        assert again(lines) == again(table) == pairs


def test_one_format_to_another(tmp_path):
    pairs = [("One.", "하나."), ("Two & three.", "둘과 <셋>.")]
    languages = ("en", "ko")
    write_parallel(tmp_path / "a.tsv", pairs, languages)
    write_parallel(tmp_path / "b.po", again(tmp_path / "a.tsv"), languages)
    write_parallel(tmp_path / "c.tmx", iter(again(tmp_path / "b.po")), languages)
    write_parallel(tmp_path / "d.en", again(tmp_path / "c.tmx"), languages, target=tmp_path / "d.ko")
    assert again(tmp_path / "d.en", tmp_path / "d.ko") == pairs


@pytest.mark.parametrize("name", ["t.tsv", "t.tmx", "t.po"])
def test_the_same_rows_give_the_same_bytes(tmp_path, name):
    for folder in ("a", "b"):
        write_parallel(tmp_path / folder / name, [("One.", "하나.")] * 2, ("en", "zh-Hant-TW"))
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("language", ["ko", "pt-BR", "zh-Hant-TW", "sr-Latn", "yue", "xx-Zzzz-QQ", "en-a-bbb-x-a"])
def test_any_tag_can_be_written(tmp_path, language):
    for name in ("t.tsv", "t.tmx", "t.po"):
        write_parallel(tmp_path / name, [("One.", "하나.")], ("en", language))


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("t.tsv", "a\tb", "text without '\\t'"),
        ("t.tsv", "a\nb", "write .tmx or .po"),
        ("t.en", "a\nb", "text without '\\n'"),
        ("t.en", "a\r", "text without '\\r'"),
        ("t.tmx", "a\x01", "text without '\\x01'"),
        ("t.tmx", "a\uffff", "text without '\\uffff'"),
        ("t.po", "a\0", "text without '\\x00'"),
        ("t.tsv", "a\ud800", "text without '\\ud800'"),
        ("t.po", " ", "a side of this row is empty"),
        ("t.en", "", "a side of this row is empty"),
    ],
)
def test_what_a_format_cannot_hold(tmp_path, name, text, told):
    target = tmp_path / "t.ko" if name == "t.en" else None
    for row in ((text, "둘"), ("two", text)):
        with pytest.raises(DataError) as caught:
            write_parallel(tmp_path / name, [("one", "하나"), row], ("en", "ko"), target=target)
        assert told in str(caught.value)
        assert f"{name}, row 2 to be written" in str(caught.value)
        assert list(tmp_path.iterdir()) == [], "nothing is left"


def test_unknown_endings(tmp_path):
    with pytest.raises(DataError, match=r"did you mean '.tmx'"):
        write_parallel(tmp_path / "t.tmxx", [], ("en", "ko"))


def test_writing_po_without_babel(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "distill.data.parallel.babel_messages", None)
    with pytest.raises(MissingExtra, match="parallel"):
        write_parallel(tmp_path / "t.po", [("one", "하나")], ("en", "ko"))
