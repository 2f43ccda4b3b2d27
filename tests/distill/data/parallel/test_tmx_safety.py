"""XML made to harm: refused, soon and in little memory, and nothing of it fetched."""

import gzip
import socket
import subprocess
import sys
import time

import pytest

BODY = '<tu><tuv xml:lang="en"><seg>{}</seg></tuv><tuv xml:lang="ko"><seg>하나</seg></tuv></tu>'
LAUGHS = '<!ENTITY a0 "lol">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 20))
QUADRATIC = f'<!ENTITY a "{"x" * 100_000}">'


def document(declarations, text="one", encoding="UTF-8"):
    return f'<?xml version="1.0" encoding="{encoding}"?>\n{declarations}<tmx version="1.4"><body>{BODY.format(text)}</body></tmx>'


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("something was to be fetched")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize(
    ("declarations", "text"),
    [
        (f"<!DOCTYPE tmx [{LAUGHS}]>", "&a19;"),
        (f"<!DOCTYPE tmx [{QUADRATIC}]>", "&a;" * 100_000),
        ('<!DOCTYPE tmx [<!ENTITY x SYSTEM "file:///etc/passwd">]>', "&x;"),
        ('<!DOCTYPE tmx [<!ENTITY x SYSTEM "http://127.0.0.1:9/x">]>', "&x;"),
        ('<!DOCTYPE tmx [<!ENTITY x PUBLIC "-//x//" "http://127.0.0.1:9/x">]>', "&x;"),
        ('<!DOCTYPE tmx [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x"> %x;]>', "one"),
        ('<!DOCTYPE tmx SYSTEM "tmx14.dtd" [<!ENTITY x "y">]>', "&x;"),
        ('<!DOCTYPE tmx [<!ATTLIST tuv note CDATA "y">]>', "one"),
        ("<!DOCTYPE tmx\n  [\n  ]\n>", "one"),
    ],
    ids=["laughs", "quadratic", "file", "address", "public", "parameter", "with-system", "attributes", "empty"],
)
@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16", "EUC-KR"])
def test_declarations_are_refused_before_they_are_read(tmp_path, problem, no_network, declarations, text, encoding):
    path = tmp_path / "memory.tmx.gz"
    path.write_bytes(gzip.compress(document(declarations, text, encoding).encode(encoding), 1))
    started = time.process_time()
    told = problem(path)
    assert "this XML is not read, to be safe" in told
    assert "a document type with declarations of its own" in told
    assert time.process_time() - started < 5


def test_a_document_type_that_only_names_its_file_is_never_looked_up(tmp_path, read, no_network):
    path = tmp_path / "memory.tmx"
    for declaration in (
        '<!DOCTYPE tmx SYSTEM "tmx14.dtd">',
        '<!DOCTYPE tmx SYSTEM "http://127.0.0.1:9/tmx14.dtd">',
        '<!DOCTYPE tmx PUBLIC "-//LISA OSCAR:1998//DTD for Translation Memory eXchange//EN" "/etc/passwd" >',
        "<!DOCTYPE tmx>",
    ):
        path.write_text(document(declaration))
        assert read(path) == [("one", "하나")]


@pytest.mark.parametrize("declaration", ["", '<!DOCTYPE tmx SYSTEM "tmx14.dtd">'])
@pytest.mark.parametrize("entity", ["&nbsp;", "&x;"])
def test_an_entity_that_nothing_declares_is_told_and_no_text_lost(tmp_path, problem, declaration, entity):
    path = tmp_path / "memory.tmx"
    path.write_text(document(declaration, f"one{entity}two"))
    told = problem(path)
    assert f"got:      {entity}" in told if declaration else "undefined entity" in told


def test_a_part_before_the_first_element_that_does_not_end(tmp_path, problem):
    path = tmp_path / "memory.tmx"
    for filler in ("<!--" + ">" * 500_000 + "-->", "<?x " + "[" * 500_000 + "?>", "<!-- -->" * 50_000):
        path.write_text(document(filler))
        started = time.process_time()
        assert "no element within the first 8 KiB" in problem(path)
        assert time.process_time() - started < 5


def test_elements_nested_without_end(tmp_path, problem):
    path = tmp_path / "memory.tmx"
    path.write_text(document("", "<hi>" * 200_000))
    assert "nested more than 100 deep" in problem(path)


SCRIPT = """
import resource, sys
from collections import Counter
from distill.data.parallel import read_parallel
from distill.errors import DataError
from distill.recipe_data import ParallelSpec
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
spec = ParallelSpec(source=sys.argv[1], languages=("en", "ko"))
counts = Counter()
try:
    print(sum(1 for _ in read_parallel(spec, on_bad_row="skip", counts=counts)), dict(counts))
except DataError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def in_little_memory(path):
    """What a fresh process tells of a file; it must not take 40 MiB more for it."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(path)], capture_output=True, text=True, check=True, timeout=120)
    *told, taken = done.stdout.splitlines()
    assert int(taken) < 40, f"{taken} MiB"
    return "\n".join(told)


def unending(path, before, filler, after, mebibytes=60):
    """A small .gz file that unpacks to a large one."""
    with gzip.open(path, "wb", 1) as stream:
        stream.write(before)
        for _ in range(mebibytes):
            stream.write(filler * ((1 << 20) // len(filler)))
        stream.write(after)
    return path


@pytest.mark.slow
def test_a_small_file_that_unpacks_to_a_large_one_takes_little_memory(tmp_path):
    first, last = document("").encode().split("하나".encode())
    path = unending(tmp_path / "segment.tmx.gz", first, "하".encode(), last)
    assert "1 bad rows" in in_little_memory(path), "a segment of 60 MiB is one bad row, and there is no other"
    head, tail = document("").encode().split(b'"ko"')
    path = unending(tmp_path / "tag.tmx.gz", head + b'"', b"k", b'"' + tail)
    assert "one tag or comment of more than 4 MiB" in in_little_memory(path)
    path = unending(
        tmp_path / "variants.tmx.gz",
        head + b'"ko"' + tail.partition(b"</tu>")[0],
        b'<tuv xml:lang="en"><seg>x</seg></tuv>',
        b"</tu></body></tmx>",
        10,
    )
    assert in_little_memory(path) == "1 {}"
