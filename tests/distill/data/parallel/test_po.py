"""gettext catalogues: what is a row, what is none, what cannot be read."""

import gzip
import sys
import time
from collections import Counter

import pytest
from translate.storage.pypo import pofile

from distill.errors import MissingExtra

HEADER = """# A translation.
msgid ""
msgstr ""
"Project-Id-Version: x 1\\n"
"POT-Creation-Date: whenever\\n"
"Language: {language}\\n"
"Content-Type: text/plain; charset={charset}\\n"
"Plural-Forms: nplurals=1; plural=0;\\n"

"""


def po(path, body, language="ko", charset="UTF-8", encoding=None):
    data = (HEADER.format(language=language, charset=charset) + body).encode(encoding or charset)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def entry(source, translation, before=""):
    return f'{before}msgid "{source}"\nmsgstr "{translation}"\n\n'


ROWS = [("Open", "열기"), ("Save %s as…", "%s 다른 이름으로 저장…")]
BODY = "".join(entry(*row) for row in ROWS)


@pytest.mark.parametrize("name", ["ko.po", "ko.po.gz", "KO.PO"])
def test_messages(tmp_path, read, check, name):
    path = po(tmp_path / name, BODY)
    assert read(path) == ROWS
    assert read(path, limit=1) == ROWS[:1]
    assert check(path) == []


def test_lines_in_parts_escapes_comments_and_contexts(tmp_path, read):
    body = (
        '#. auto\n#: a.c:1 b c:2\n#, c-format\n#| msgid "Opn"\nmsgctxt "menu"\nmsgid ""\n"One \\"two\\"\\n"\n"three\\t\\\\n"\n'
        'msgstr "하나\\n"\n  "둘"\n#~ # old\n#: \u2068x\nmsgid   "No space between"\nmsgstr "사이"\n'
        'msgid "tab"\nmsgstr\t"탭"\n# The end.\n'
    )
    expected = [('One "two"\nthree\t\\n', "하나\n둘"), ("No space between", "사이"), ("tab", "탭")]
    assert read(po(tmp_path / "ko.po", body)) == expected


def test_plural_forms(tmp_path, read):
    one = 'msgid "%d file"\nmsgid_plural "%d files"\nmsgstr[0] "파일 %d개"\n\n'
    assert read(po(tmp_path / "ko.po", one)) == [("%d files", "파일 %d개")]
    two = 'msgid "%d file"\nmsgid_plural "%d files"\nmsgstr[0] "%d Datei"\nmsgstr[1] "%d Dateien"\n'
    german = po(tmp_path / "de.po", two, "de")
    assert read(german, languages=("en", "de")) == [("%d file", "%d Datei"), ("%d files", "%d Dateien")]
    three = 'msgid "%d file"\nmsgid_plural "%d files"\nmsgstr[0] "%d файл"\nmsgstr[1] "%d файла"\nmsgstr[2] "%d файлов"\n'
    assert read(po(tmp_path / "ru.po", three, "ru"), languages=("en", "ru")) == [("%d files", "%d файлов")]
    counts = Counter()
    half = 'msgid "%d file"\nmsgid_plural "%d files"\nmsgstr[0] "%d Datei"\nmsgstr[1] ""\n'
    assert read(po(tmp_path / "half.po", two + half, "de"), languages=("en", "de"), counts=counts)
    assert counts == {"untranslated": 1}


def test_what_is_no_row_is_counted(tmp_path, read):
    body = (
        entry("Fuzzy", "흐림", "#, fuzzy\n")
        + entry("Fuzzy too", "흐림", "#: a.c:1\n#, c-format, fuzzy\n")
        + entry("Not fuzzy", "또렷", "#, no-fuzzy-at-all-c-format\n")
        + entry("Empty", "")
        + entry("Blank", "  ")
        + BODY
        + '#~ msgid "Old"\n#~ msgstr "옛날"\n\n#, fuzzy\n#~| msgid "Older"\n#~ msgid "Old "\n#~ "news"\n#~ msgstr ""\n#~ "옛날"\n'
    )
    counts = Counter()
    assert read(po(tmp_path / "ko.po", body), counts=counts) == [("Not fuzzy", "또렷"), *ROWS]
    assert counts == {"fuzzy": 2, "untranslated": 2, "obsolete": 2}


def test_a_template_has_no_translations(tmp_path, problem):
    told = problem(po(tmp_path / "x.pot", entry("Open", "") + entry("Save", ""), "", "CHARSET", "utf-8"))
    assert "this source has no translations" in told
    assert "2 untranslated" in told
    assert "no translations" in problem(po(tmp_path / "ko.po", ""))


@pytest.mark.parametrize("charset", ["EUC-KR", "cp949", "UTF-8", "utf-8"])
def test_the_charset_of_the_header(tmp_path, read, charset):
    rows = [("Open", "열기"), ("Close", "닫기")]
    assert read(po(tmp_path / "ko.po", "".join(entry(*row) for row in rows), charset=charset)) == rows


def test_an_encoding_that_the_recipe_names_goes_before_the_header(tmp_path, read):
    assert read(po(tmp_path / "ko.po", entry("Open", "열기"), encoding="cp949"), encoding="cp949") == [("Open", "열기")]


def test_bytes_in_another_encoding_are_bad_rows_of_their_own(tmp_path, read, problem):
    path = po(tmp_path / "ko.po", BODY)
    path.write_bytes(path.read_bytes() + 'msgid "Bad"\nmsgstr "나쁨"\n\n'.encode("cp949") + entry("Good", "좋음").encode())
    told = problem(path, checked=False)
    assert "ko.po, row 17" in told
    assert "is not utf-8" in told
    counts = Counter()
    assert read(path, on_bad_row="skip", counts=counts) == [*ROWS, ("Good", "좋음")]
    assert counts == {"bad_rows": 1}
    assert "unknown encoding" in problem(po(tmp_path / "x.po", BODY, charset="utf-9", encoding="utf-8"))


def test_a_file_in_another_language(tmp_path, read, problem):
    path = po(tmp_path / "ko.po", BODY, "de_AT")
    told = problem(path)
    assert "this file is in German, not in Korean" in told
    assert "Language: de_AT" in told
    assert "this file is in" in problem(path, on_bad_row="skip"), "it is the file that is wrong, not a row"
    assert "languages: [en, ko]" in problem(po(tmp_path / "ko.po", BODY, "ko"), languages=("ko", "en"))
    for language in ("ko", "ko_KR", "KO", "kor", "", "LANGUAGE"):
        assert read(po(tmp_path / "ko.po", BODY, language)) == ROWS
    bare = tmp_path / "bare.po"
    bare.write_text(BODY)
    assert read(bare) == ROWS, "a header is not needed"


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("hello\n", "row 16: this is no line of a PO file"),
        ('msgid "a"\nmsgstr "가\n', "row 17: this is no line of a PO file"),
        ('msgid "a"\nmsgstr 가"\n', "row 17: this is no line of a PO file"),
        ('msgid "a " b"\nmsgstr "가"\n', "row 16: this is no line of a PO file"),
        ('msgid "a"\nmsgstr "가\\"\n', "row 17: this is no line of a PO file"),
        ('msgid "a"\nmsgstrs "가"\n', "row 17: this is no line of a PO file"),
        ('msgid "a"\n\n', "row 16: this message cannot be read: missing msgstr for msgid 'a'"),
        ('msgstr "가"\n', "row 16: this message cannot be read: it has no msgid"),
        ('"a"\nmsgstr "가"\n', "row 16: this message cannot be read"),
        ('msgid "a"\nmsgid_plural "b"\nmsgstr[0] "가"\nmsgstr[3] "나"\n', "row 16: this message cannot be read"),
        ('msgid "a\0"\nmsgstr "가"\n', "row 16: the side in en is no text that can be read"),
        ('msgid "Open"\nmsgstr "Open "\n', "row 16: the two sides are the same text"),
        ('msgid "  "\nmsgstr "가"\n', "row 16: the side in en is empty"),
        ('msgid ""\nmsgstr "가"\n', "row 16: the side in en is empty"),
    ],
)
def test_a_message_that_cannot_be_read_harms_no_other(tmp_path, read, problem, bad, told):
    path = po(tmp_path / "ko.po", BODY + bad + "\n# next\n" + entry("After", "다음"))
    assert f"ko.po, {told}" in problem(path, checked=False)
    counts = Counter()
    assert read(path, on_bad_row="skip", counts=counts) == [*ROWS, ("After", "다음")]
    assert counts.total() == 1


def test_a_message_without_msgstr_leaves_the_next_as_it_is(tmp_path, read):
    counts = Counter()
    path = po(tmp_path / "ko.po", 'msgid "a"\nmsgid "b"\nmsgstr "나"\nmsgid "c"\n\nmsgctxt "x"\nmsgid "d"\nmsgstr "라"\n')
    assert read(path, on_bad_row="skip", counts=counts) == [("b", "나"), ("d", "라")]
    assert counts == {"bad_rows": 2}


@pytest.mark.parametrize(
    "body",
    [
        'msgid "a"\nmsgstr "' + "가" * 5_000_000 + '"\n',
        'msgid "a"\nmsgstr "' + "\\" * 10_000_001 + '"\n',
        "가" * 5_000_000 + "\n",
        'msgid "a"\nmsgstr ""\n' + '"0123456789"\n' * 150_000,
    ],
    ids=["one-line", "backslashes", "no-message", "many-lines"],
)
def test_huge_texts_are_bad_rows_and_take_little_time(tmp_path, read, problem, body):
    path = po(tmp_path / "ko.po", BODY + body + "\n# next\n" + entry("After", "다음"))
    started = time.process_time()
    told = problem(path, checked=False)
    assert "ko.po, row" in told
    assert len(told) < 1000
    counts = Counter()
    assert read(path, on_bad_row="skip", counts=counts) == [*ROWS, ("After", "다음")]
    assert counts == {"bad_rows": 1}
    assert time.process_time() - started < 10


def test_a_line_that_never_ends(tmp_path, problem):
    path = po(tmp_path / "ko.po.gz", BODY + 'msgid "' + "a" * (17 << 20))
    assert "this line is over 16 MiB" in problem(path, on_bad_row="skip", checked=False)


def test_messages_after_the_limit_are_not_read(tmp_path, read):
    path = po(tmp_path / "ko.po", BODY + "broken\n")
    assert read(path, limit=1) == ROWS[:1]


def test_without_babel_the_extra_is_named(tmp_path, problem, read, monkeypatch):
    path = po(tmp_path / "ko.po", BODY)
    monkeypatch.setitem(sys.modules, "distill.data.parallel.babel_messages", None)
    assert "pip install 'distill-toolkit[parallel]'" in problem(path)
    with pytest.raises(MissingExtra):
        read(path)


def test_another_library_writes_what_is_read_here(tmp_path, read):
    rows = [*ROWS, ('a "b" \\ c\n', "가 '나' \\n 다\n라 😀\t"), ("long " * 40, "긴 " * 60)]
    store = pofile()
    store.updateheader(add=True, Language="ko", Content_Type="text/plain; charset=UTF-8")
    for source, translation in rows:
        unit = store.addsourceunit(source)
        unit.target = translation
    path = tmp_path / "other.po"
    path.write_bytes(bytes(store))
    assert read(path) == rows
