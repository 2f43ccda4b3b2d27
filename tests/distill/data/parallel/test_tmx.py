"""Translation memories: units, languages, inline elements, encodings."""

import gzip
from collections import Counter
from io import BytesIO

import pytest
from translate.storage.tmx import tmxfile

HEAD = (
    '<?xml version="1.0" encoding="{encoding}"?>\n<tmx version="1.4">\n<header srclang="en"><note>none</note></header>\n<body>\n'
)


def unit(*variants, name="xml:lang"):
    return "<tu>" + "".join(f'<tuv {name}="{tag}"><seg>{text}</seg></tuv>' for tag, text in variants) + "</tu>\n"


def tmx(path, *units, encoding="UTF-8", doctype=""):
    text = HEAD.format(encoding=encoding).replace("<tmx", doctype + "<tmx") + "".join(units) + "</body>\n</tmx>\n"
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


ROWS = [("A cat sleeps.", "고양이가 잔다."), ("It rains.", "비가 온다.")]
UNITS = [unit(("en", en), ("ko", ko)) for en, ko in ROWS]


@pytest.mark.parametrize("name", ["memory.tmx", "memory.tmx.gz", "MEMORY.TMX"])
def test_units(tmp_path, read, check, name):
    path = tmx(tmp_path / name, *UNITS)
    assert read(path) == ROWS
    assert read(path, limit=1) == ROWS[:1]
    assert read(path, languages=("ko", "en")) == [(ko, en) for en, ko in ROWS]
    assert check(path) == []


def test_a_file_of_another_name(tmp_path, read):
    assert read(tmx(tmp_path / "memory.xml", *UNITS), format="tmx") == ROWS


def test_rows_say_where_they_are(tmp_path):
    from distill.data.parallel import read_parallel
    from distill.recipe_data import ParallelSpec

    path = tmx(tmp_path / "memory.tmx", *UNITS)
    spec = ParallelSpec(source=str(path), languages=("en", "ko"))
    found = list(read_parallel(spec, on_bad_row="error", counts=Counter()))
    assert [row.where for row in found] == [f"{path}, row 1 (line 5)", f"{path}, row 2 (line 6)"]
    assert found[0].languages == ("en", "ko")


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16", "EUC-KR", "windows-949"])
@pytest.mark.parametrize("ending", ["tmx", "tmx.gz"])
def test_encodings_that_the_file_declares(tmp_path, read, encoding, ending):
    codec = "cp949" if encoding == "windows-949" else encoding
    if encoding == "windows-949":
        pytest.importorskip("encodings.cp949")
    path = tmp_path / f"memory.{ending}"
    data = (HEAD.format(encoding=encoding if codec != "cp949" else "cp949") + "".join(UNITS) + "</body></tmx>").encode(codec)
    path.write_bytes(gzip.compress(data) if ending.endswith("gz") else data)
    assert read(path) == ROWS


def test_an_encoding_that_the_recipe_names_goes_before_that_of_the_file(tmp_path, read):
    path = tmp_path / "memory.tmx"
    path.write_bytes((HEAD.format(encoding="UTF-8") + "".join(UNITS) + "</body></tmx>").encode("cp949"))
    assert read(path, encoding="cp949") == ROWS
    latin = tmx(tmp_path / "latin.tmx", unit(("en", "cheese"), ("fr", "fromage salé")), encoding="ISO-8859-1")
    assert read(latin, languages=("en", "fr")) == [("cheese", "fromage salé")]


def test_a_byte_order_mark(tmp_path, read):
    path = tmx(tmp_path / "memory.tmx", *UNITS)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read(path) == ROWS


def test_text_that_is_not_in_the_declared_encoding(tmp_path, problem):
    path = tmp_path / "memory.tmx"
    path.write_bytes((HEAD.format(encoding="UTF-8") + "".join(UNITS)).encode("cp949"))
    assert "no well-formed XML" in problem(path)
    path.write_bytes(HEAD.format(encoding="cp949").encode() + b"<tu>\x80\xff")
    assert "this file is not cp949" in problem(path)
    path.write_bytes(HEAD.format(encoding="utf-9").encode())
    assert "unknown encoding" in problem(path)


def test_languages_match_whatever_their_case_and_region(tmp_path, read):
    path = tmx(
        tmp_path / "memory.tmx",
        unit(("EN", "one"), ("KO", "하나")),
        unit(("en-US", "two"), ("ko_KR", "둘")),
        unit(("en-GB", "colour"), ("en", "color"), ("kor", "색")),
        unit(("en-GB", "lorry"), ("en-US", "truck"), ("ko", "트럭")),
        unit(("en", "four"), ("en", "4"), ("ko", "넷")),
        unit(("en", "five"), ("ko", "다섯"), name="lang"),
    )
    expected = [("one", "하나"), ("two", "둘"), ("color", "색"), ("lorry", "트럭"), ("four", "넷"), ("five", "다섯")]
    assert read(path) == expected
    assert read(path, languages=("en-GB", "ko")) == [("colour", "색"), ("lorry", "트럭")]


def test_units_without_one_of_the_languages_are_counted(tmp_path, read, check):
    path = tmx(tmp_path / "memory.tmx", unit(("en", "one"), ("de", "eins")), *UNITS, unit(("ko", "셋")), "<tu></tu>")
    counts = Counter()
    assert read(path, counts=counts) == ROWS
    assert counts == {"missing_language": 3}
    assert check(path) == []


def test_a_language_that_no_unit_has_is_named_with_those_there_are(tmp_path, problem):
    path = tmx(tmp_path / "memory.tmx", unit(("en", "one"), ("de", "eins")), unit(("en-US", "two"), ("fr", "deux")))
    told = problem(path)
    assert "no unit of this file has ko (Korean)" in told
    assert "languages in this file: de, en, en-US, fr" in told
    assert "no unit of this file has fi (Finnish) and sv (Swedish)" in problem(path, languages=("fi", "sv"))
    assert "no unit of this file has both de (German) and fr (French)" in problem(path, languages=("de", "fr"))
    assert "none is named" in problem(tmx(tmp_path / "none.tmx", "<tu><tuv><seg>x</seg></tuv></tu>"))
    assert "this source has no translations" in problem(tmx(tmp_path / "empty.tmx"))


def test_inline_elements_leave_their_text_alone(tmp_path, read):
    source = (
        'Click <bpt i="1">&lt;b&gt;</bpt><hi>here</hi><ept i="1">&lt;/b&gt;</ept> for <ph x="1">%s <sub>a note</sub></ph>'
        '<it pos="begin">{</it>5 &lt; 6<ut>\\par</ut> &amp; &#xD55C;<![CDATA[<x>]]>.'
    )
    path = tmx(tmp_path / "memory.tmx", unit(("en", source), ("ko", "여기<hi>를 <hi>누르</hi>세</hi>요.")))
    assert read(path) == [("Click here for 5 < 6 & 한<x>.", "여기를 누르세요.")]


def test_what_stands_around_segments_is_no_text(tmp_path, read):
    notes = '<note>n</note><prop type="x">p</prop>'
    body = (
        f'<tu tuid="1">{notes}<tuv xml:lang="en">{notes}<seg>one</seg></tuv><tuv xml:lang="ko"><seg>하나</seg>{notes}</tuv></tu>'
    )
    assert read(tmx(tmp_path / "memory.tmx", "<!-- <tu> -->", body)) == [("one", "하나")]


def test_white_space_and_line_breaks_stay(tmp_path, read):
    path = tmx(tmp_path / "memory.tmx", unit(("en", " one\n\ttwo&#13; "), ("ko", "하나\n둘")))
    assert read(path) == [(" one\n\ttwo\r ", "하나\n둘")]


def test_bad_units(tmp_path, read, problem):
    path = tmx(
        tmp_path / "memory.tmx",
        *UNITS,
        unit(("en", "three"), ("ko", " ")),
        unit(("en", ""), ("ko", "넷")),
        unit(("en", "x"), ("ko", "x")),
    )
    told = problem(path, checked=False)
    assert "memory.tmx, row 3 (line 7): the side in ko is empty" in told
    counts = Counter()
    assert read(path, on_bad_row="skip", counts=counts) == ROWS
    assert counts == {"bad_rows": 2, "untranslated": 1}


def test_what_is_no_tmx(tmp_path, problem):
    path = tmp_path / "memory.tmx"
    path.write_text("<html><p>not here</p></html>")
    assert "this is no TMX file" in problem(path)
    path.write_text("")
    assert "no well-formed XML: no element found" in problem(path)
    path.write_bytes(b"PK\x03\x04\x00\x00")
    assert "no well-formed XML" in problem(path)
    assert "no such file" in problem(tmp_path / "memori.tmx")
    gz = tmp_path / "memory.tmx.gz"
    gz.write_bytes(b"no gzip")
    assert "cannot read this file" in problem(gz)


def test_a_file_that_breaks_off_is_told_with_its_line(tmp_path, read, problem):
    path = tmx(tmp_path / "memory.tmx", *UNITS)
    path.write_text(path.read_text().partition("</body>")[0])
    told = problem(path, checked=False)
    assert "memory.tmx, line 7, column 1" in told
    assert "check that the file is whole" in problem(path, checked=False, on_bad_row="skip")
    assert read(path, limit=2) == ROWS, "what is after the limit is not read"


def test_another_library_writes_what_is_read_here(tmp_path, read):
    rows = [*ROWS, ("a <b> & \"c\" 'd'", "가 <나> & 다\n라 😀")]
    store = tmxfile()
    for source, translation in rows:
        store.addtranslation(source, "en", translation, "ko")
    stream = BytesIO()
    store.serialize(stream)
    path = tmp_path / "other.tmx"
    path.write_bytes(stream.getvalue())
    assert b"<!DOCTYPE tmx" in path.read_bytes(), "a document type that names its file, as tools write it"
    assert read(path) == rows
