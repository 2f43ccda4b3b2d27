"""The file of candidates: what goes in comes out, damage is mended, nothing stops the work."""

from __future__ import annotations

import multiprocessing
import sqlite3

import pytest

from distill.data.augment.cache import CandidateCache

ENTRY = ((0, 3, ("cat", "책")), (4, 9, ()))


def test_what_goes_in_comes_out(tmp_path):
    cache = CandidateCache(tmp_path / "a" / "b.sqlite")
    assert cache.read(["one"]) == {}
    cache.write({"one": ENTRY, "": (), "\ud800": ENTRY})
    assert cache.read(["one", "two", "", "\ud800"]) == {"one": ENTRY, "": (), "\ud800": ENTRY}
    assert CandidateCache(cache.path).read(["one"]) == {"one": ENTRY}


def test_many_at_once(tmp_path):
    cache = CandidateCache(tmp_path / "c.sqlite")
    texts = [f"text {number}" for number in range(1203)]
    cache.write(dict.fromkeys(texts, ENTRY))
    assert cache.read(texts) == dict.fromkeys(texts, ENTRY)


def test_no_path_keeps_nothing():
    cache = CandidateCache(None)
    cache.write({"one": ENTRY})
    assert cache.read(["one"]) == {}


@pytest.mark.parametrize("damage", [b"no database at all" * 100, None])
def test_a_damaged_file_is_made_again(tmp_path, capsys, damage):
    cache = CandidateCache(tmp_path / "c.sqlite")
    cache.write({f"text {number}": ENTRY for number in range(500)})
    cache.close()
    whole = cache.path.read_bytes()
    cache.path.write_bytes(damage if damage else whole[:4096] + b"\xff" * (len(whole) - 4096))
    assert cache.read(["text 1"]) == {}
    assert "damaged" in capsys.readouterr().err
    cache.write({"text 1": ENTRY})
    assert CandidateCache(cache.path).read(["text 1"]) == {"text 1": ENTRY}


@pytest.mark.parametrize("value", ["no json", "[1, 2]", '[["a", 1, []]]', "null"])
def test_a_damaged_entry_is_no_entry(tmp_path, value):
    cache = CandidateCache(tmp_path / "c.sqlite")
    cache.write({"one": ENTRY, "two": ENTRY})
    with sqlite3.connect(cache.path) as connection:
        connection.execute("UPDATE sentences SET value = ?", (value,))
    assert cache.read(["one", "two"]) == {}


def test_a_place_that_cannot_be_written_is_told(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    cache = CandidateCache(tmp_path / "file" / "c.sqlite")
    cache.write({"one": ENTRY})
    assert cache.read(["one"]) == {}
    assert capsys.readouterr().err.count("cannot be used") == 1


def test_a_forked_process_opens_its_own(tmp_path):
    cache = CandidateCache(tmp_path / "c.sqlite")
    cache.write({"one": ENTRY})
    child = multiprocessing.get_context("fork").Process(target=cache.write, args=({"two": ENTRY},))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    cache.write({"three": ENTRY})
    assert set(cache.read(["one", "two", "three"])) == {"one", "two", "three"}
