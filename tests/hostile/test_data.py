"""Hostile data: files that are no text, too long, packed, or no files at all."""

from __future__ import annotations

import gzip
import os
import zlib
from collections import Counter
from pathlib import Path

import pytest

from distill.data.parallel.read import read_parallel
from distill.data.sources import read_sentences
from distill.recipe import ParallelSpec, SourceSpec

GOOD = b"One good line.\nAnother good line.\n"


def bomb(megabytes: int) -> bytes:
    """Zeros, packed a thousandfold."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([packer.compress(bytes(1 << 20)) for _ in range(megabytes)] + [packer.flush()])


FILES: dict[str, tuple[str, bytes, dict, list[str]]] = {
    "random bytes": ("a.txt", bytes(range(256)) * 10, {}, ["row 1"]),
    "an image": ("a.txt", b"\x89PNG\r\n\x1a\n" + bytes(range(128, 256)), {}, ["row 1"]),
    "Latin-1 in row 3": ("a.txt", GOOD + b"d\xe9j\xe0\n", {}, ["row 3"]),
    "UTF-16": ("a.txt", GOOD.decode().encode("utf-16"), {}, ["utf-16"]),
    "odd UTF-16": ("a.txt", b"\xff\xfea", {"encoding": "utf-16"}, ["utf-16"]),
    "a lone surrogate": ("a.txt", GOOD + b"\xed\xa0\x80\n", {}, ["row 3"]),
    "overlong": ("a.txt", GOOD + b"\xc0\xaf\n", {}, ["row 3"]),
    "NUL": ("a.txt", GOOD + b"a\0b\n", {}, ["row 3"]),
    "a line of 20 MB": ("a.txt", b"x" * 20_000_000, {}, ["16 MiB"]),
    "a quote that never closes": ("a.csv", b'text\n"' + b"x\n" * 1_000_000, {}, []),
    "JSON of 20 MB in a line": ("a.jsonl", b'{"text": "' + b"x" * 20_000_000 + b'"}\n', {}, ["16 MiB"]),
    "an encoding that is none": ("a.txt", GOOD, {"encoding": "no-such"}, ["no-such"]),
    "an encoding of bytes": ("a.txt", GOOD, {"encoding": "zlib"}, ["zlib"]),
    "an encoding of hex": ("a.txt", GOOD, {"encoding": "hex"}, ["hex"]),
    "an encoding with NUL": ("a.txt", GOOD, {"encoding": "utf-8\0"}, []),
    "a path for an encoding": ("a.txt", GOOD, {"encoding": "../../x"}, []),
    "a gzip bomb of one line": ("a.txt.gz", bomb(1000), {}, ["16 MiB"]),
    "a gzip bomb of JSON": ("a.jsonl.gz", bomb(1000), {}, ["16 MiB"]),
    "a gzip bomb of CSV": ("a.csv.gz", bomb(1000), {"header": False}, ["16 MiB"]),
    "half a gzip": ("a.txt.gz", gzip.compress(os.urandom(1000).hex().encode())[:300], {}, ["a.txt.gz"]),
    "a gzip with a wrong sum": ("a.txt.gz", gzip.compress(GOOD)[:-8] + bytes(8), {}, ["a.txt.gz"]),
    "a gzip header alone": ("a.txt.gz", gzip.compress(GOOD)[:5], {}, ["a.txt.gz"]),
    "no gzip": ("a.txt.gz", GOOD, {}, ["a.txt.gz"]),
    "gzip with rubbish behind": ("a.txt.gz", gzip.compress(GOOD) + b"rubbish", {}, ["a.txt.gz"]),
    "a gzip in a gzip": ("a.txt.gz", gzip.compress(gzip.compress(GOOD)), {}, []),
    "a packed parquet": ("a.parquet.gz", gzip.compress(GOOD), {}, ["parquet"]),
    "ragged CSV": ("a.csv", b"text,more\na,b\nc\n", {"columns": ["text"]}, ["row 3"]),
    "CSV too wide": ("a.csv", b"text,more\na,b\nc,d,e\n", {"columns": ["text"]}, ["row 3"]),
    "ragged TSV": ("a.tsv", b"text\tmore\na\tb\nc\n", {"columns": ["text"]}, ["row 3"]),
    "no such column": ("a.csv", b"text,more\na,b\n", {"columns": ["txet"]}, ["txet", "'text'"]),
    "a column too far": ("a.csv", b"a,b\n", {"columns": [9], "header": False}, ["9"]),
    "a column far below": ("a.csv", b"a,b\n", {"columns": [10**18], "header": False}, []),
    "a header twice": ("a.csv", b"text,text\na,b\n", {"columns": ["text"]}, []),
    "a header alone, another column": ("a.csv", b"a,b\n", {"columns": ["c"]}, ["c"]),
    "JSON that is none": ("a.jsonl", b'{"text": "a"}\n{"text": \n', {}, ["row 2"]),
    "JSON that is a list": ("a.jsonl", b'{"text": "a"}\n[1]\n', {}, ["row 2"]),
    "JSON that is deep": ("a.jsonl", b'{"text": "a"}\n' + b"[" * 100_000 + b"\n", {}, ["row 2"]),
    "JSON that is deep within": ("a.jsonl", b'{"text": ' + b'{"a":' * 50_000 + b"\n", {}, ["row 1"]),
    "JSON with a huge number": ("a.jsonl", b'{"text": "a"}\n{"text": ' + b"9" * 5000 + b"}\n", {}, ["row 2"]),
    "JSON with no text": ("a.jsonl", b'{"text": "a"}\n{"text": 3}\n', {}, ["row 2"]),
    "JSON with null": ("a.jsonl", b'{"text": "a"}\n{"text": null}\n', {}, ["row 2"]),
    "JSON with a surrogate": ("a.jsonl", b'{"text": "a"}\n{"text": "\\ud800"}\n', {}, ["row 2"]),
    "JSON with NUL": ("a.jsonl", b'{"text": "a"}\n{"text": "a\\u0000b"}\n', {}, ["row 2"]),
    "JSON without the key": ("a.jsonl", b'{"text": "a"}\n{"txet": "b"}\n', {"columns": ["text"]}, ["row 2"]),
    "JSON not UTF-8": ("a.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n', {}, ["row 2"]),
    "a pickle": ("a.parquet", b"\x80\x04\x95\x0b\0\0\0\0\0\0\0", {}, ["a.parquet"]),
    "an empty parquet": ("a.parquet", b"", {}, ["a.parquet"]),
    "parquet's marks alone": ("a.parquet", b"PAR1PAR1", {}, ["a.parquet"]),
    "parquet with a huge footer": ("a.parquet", b"PAR1" + bytes(50) + b"\xff\xff\xff\x7fPAR1", {}, ["a.parquet"]),
    "parquet with rubbish in its footer": ("a.parquet", b"PAR1" + b"\x15" * 500 + b"\xf4\x01\0\0PAR1", {}, ["a.parquet"]),
    "an ending that nobody knows": ("a.xlsx", b"PK\3\4", {}, ["a.xlsx"]),
    "a zip": ("a.zip", b"PK\3\4" + bytes(100), {}, ["a.zip"]),
    "a zip that is called text": ("a.txt", b"PK\3\4" + bytes(100), {}, ["row 1"]),
    "a packed zip": ("a.txt.gz", gzip.compress(b"PK\3\4" + bytes(100)), {}, ["row 1"]),
    "no ending": ("a", GOOD, {}, ["format"]),
}


def sentences(source, **fields):
    spec = SourceSpec(source=source, **fields)
    return lambda: list(read_sentences(spec, on_bad_row="error", counts=Counter()))


@pytest.mark.parametrize("case", FILES)
def test_a_file_of_sentences(refused, place, case):
    name, content, fields, words = FILES[case]
    Path(name).write_bytes(content)
    refused(sentences(name, **fields), words)


PLACES = {
    "a named pipe": lambda: os.mkfifo("a.txt"),
    "a folder": lambda: os.mkdir("a.txt"),
    "a device": lambda: os.symlink("/dev/zero", "a.txt"),
    "a terminal": lambda: os.symlink("/dev/tty", "a.txt"),
    "a link to itself": lambda: os.symlink("a.txt", "a.txt"),
    "a link to nothing": lambda: os.symlink("nothing", "a.txt"),
    "nothing": lambda: None,
}


@pytest.mark.parametrize("case", PLACES)
def test_what_is_no_file(refused, place, case):
    PLACES[case]()
    refused(sentences("a.txt"), ["a.txt"])


@pytest.mark.parametrize("case", [case for case in PLACES if case != "nothing"])
@pytest.mark.parametrize("name", ["my.yaml", "a.tmx", "a.po"])
def test_what_is_no_recipe_and_no_translation(refused, place, case, name):
    PLACES[case]()
    os.rename("a.txt", name) if case != "a link to itself" else os.symlink(name, name)
    refused(["check", name] if name == "my.yaml" else translations(name), [name])


def tmx(body: str, before: str = "") -> bytes:
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    return f'{head}{before}<tmx version="1.4"><header/><body>{body}</body></tmx>'.encode()


def unit(first: str = "One.", second: str = "Eins.") -> str:
    return f'<tu><tuv xml:lang="en"><seg>{first}</seg></tuv><tuv xml:lang="de"><seg>{second}</seg></tuv></tu>'


def entities(*declared: str) -> str:
    return "<!DOCTYPE tmx [" + "".join(f"<!ENTITY {text}>" for text in declared) + "]>"


LAUGHS = ['a0 "ha"', *(f'a{n} "{f"&a{n - 1};" * 10}"' for n in range(1, 10))]
HEADER = b'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n\n'

TRANSLATIONS: dict[str, tuple[str, bytes, list[str]]] = {
    "entities that grow": ("a.tmx", tmx(unit("&a9;"), entities(*LAUGHS)), ["to be safe"]),
    "an entity of 100 kB, many times": (
        "a.tmx",
        tmx(unit("&a;" * 1000), entities('a "' + "x" * 100_000 + '"')),
        ["to be safe"],
    ),
    "an external entity": ("a.tmx", tmx(unit("&a;"), entities('a SYSTEM "file:///etc/passwd"')), ["to be safe"]),
    "an external entity of the net": ("a.tmx", tmx(unit("&a;"), entities('a SYSTEM "http://127.0.0.1/"')), ["to be safe"]),
    "a public entity": ("a.tmx", tmx(unit("&a;"), entities('a PUBLIC "x" "/etc/passwd"')), ["to be safe"]),
    "a parameter entity": ("a.tmx", tmx(unit(), entities('% a SYSTEM "/etc/passwd"')), ["to be safe"]),
    "an unparsed entity": ("a.tmx", tmx(unit(), entities('a SYSTEM "x" NDATA y')), ["to be safe"]),
    "an entity of itself": ("a.tmx", tmx(unit("&a;"), entities('a "&b;"', 'b "&a;"')), ["to be safe"]),
    "an unknown entity": ("a.tmx", tmx(unit("&nbsp;")), ["a.tmx"]),
    "an attribute's default": ("a.tmx", tmx(unit(), '<!DOCTYPE tmx [<!ATTLIST tuv a CDATA "x">]>'), ["to be safe"]),
    "a foreign DTD with declarations": ("a.tmx", tmx(unit(), '<!DOCTYPE tmx SYSTEM "/etc/passwd" [<!ELEMENT a ANY>]>'), ["safe"]),
    "deep": ("a.tmx", tmx("<a>" * 100_000), ["nested"]),
    "a tag of 10 MB": ("a.tmx", tmx('<tu a="' + "x" * 10_000_000 + '"/>'), ["MiB"]),
    "a comment of 10 MB before": ("a.tmx", tmx(unit(), "<!--" + "x" * 10_000_000 + "-->"), ["KiB"]),
    "many attributes": ("a.tmx", tmx("<tu " + " ".join(f'a{n}="1"' for n in range(600_000)) + "/>"), ["MiB"]),
    "an attribute twice": ("a.tmx", tmx('<tu a="1" a="2"/>'), ["line 1"]),
    "half a file": ("a.tmx", tmx(unit())[:120], ["line 1"]),
    "rubbish behind": ("a.tmx", tmx(unit()) + b"<a/>", ["line 1"]),
    "NUL in XML": ("a.tmx", tmx(unit("a\0b")), ["a.tmx"]),
    "another root": ("a.tmx", b"<html></html>", ["<tmx>"]),
    "no XML": ("a.tmx", GOOD, ["a.tmx"]),
    "an empty XML": ("a.tmx", b"", ["a.tmx"]),
    "no unit": ("a.tmx", tmx(""), ["no translations"]),
    "other languages": ("a.tmx", tmx(unit()).replace(b'"de"', b'"fr"'), ["fr"]),
    "a wrong encoding": ("a.tmx", tmx(unit("\xe9")).replace(b"\xc3\xa9", b"\xe9"), ["a.tmx"]),
    "an unknown encoding": ("a.tmx", tmx(unit()).replace(b"UTF-8", b"no-such"), ["no-such"]),
    "UTF-7": ("a.tmx", tmx(unit("+ADw-")).replace(b"UTF-8", b"no-utf-7"), ["utf-7"]),
    "an encoding of bytes in XML": ("a.tmx", tmx(unit()).replace(b"UTF-8", b"zlib"), ["zlib"]),
    "a packed bomb of XML": ("a.tmx.gz", bomb(1000), ["a.tmx"]),
    "a packed XML, cut": ("a.tmx.gz", gzip.compress(tmx(unit()))[:60], ["a.tmx.gz"]),
    "a packed bomb of PO": ("a.po.gz", bomb(1000), ["16 MiB"]),
    "PO of one long line": ("a.po", b'msgid "' + b"x" * 20_000_000 + b'"\n', ["16 MiB"]),
    "PO with an open quote": ("a.po", HEADER + b'msgid "a\nmsgstr "b"\n', ["row"]),
    "PO with an unknown charset": ("a.po", HEADER.replace(b"UTF-8", b"no-such"), ["no-such"]),
    "PO with a charset of bytes": ("a.po", HEADER.replace(b"UTF-8", b"zlib"), ["zlib"]),
    "PO of random bytes": ("a.po", bytes(range(256)) * 10, ["a.po"]),
    "PO with a form of huge number": ("a.po", HEADER + b'msgid "a"\nmsgid_plural "b"\nmsgstr[99999999999] "c"\n', ["row"]),
    "PO with no translation": ("a.po", HEADER + b'msgid "a"\nmsgstr ""\n', ["no translations"]),
    "PO with strings alone": ("a.po", b'"a"\n' * 100_000, ["a.po"]),
    "PO of backslashes": ("a.po", HEADER + b'msgid "' + b"\\" * 1_000_001 + b'"\nmsgstr "a"\n', []),
    "an empty PO": ("a.po", b"", ["no translations"]),
    "a table with one side": ("a.tsv", b"en\na\n", ["a.tsv"]),
    "a table that is ragged": ("a.tsv", b"en\tde\na\n", ["a.tsv"]),
    "a table with an empty side": ("a.tsv", b"en\tde\na\t\n", ["a.tsv"]),
    "text alone": ("a.txt", GOOD, ["one side"]),
}


def translations(source, **fields):
    spec = ParallelSpec(source=source, languages=("en", "de"), **fields)
    return lambda: list(read_parallel(spec, on_bad_row="error", counts=Counter()))


@pytest.mark.parametrize("case", TRANSLATIONS)
def test_translations(refused, place, case):
    name, content, words = TRANSLATIONS[case]
    Path(name).write_bytes(content)
    refused(translations(name), words)


@pytest.mark.parametrize("name", ["a.tmx", "a.po", "a.tsv", "a.txt"])
def test_a_home_that_is_not_there(refused, place, name):
    """`~nobody/...` stays as it is written: no such file."""
    refused(translations(f"~nobody-at-all/{name}"), [name])
    refused(sentences(f"~nobody-at-all/{name}"), [name])
