"""Texts and numbers that lie on disk are those that were written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill import mapped
from distill.errors import RunError
from distill.mapped import Joined, MappedTexts, Prompted, Spool

texts = st.lists(st.text(max_size=6), max_size=20)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("DISTILL_CACHE", str(folder))
    return folder


@pytest.mark.parametrize("chunk", [3, 4096])
@given(first=texts, second=texts, data=st.data())
def test_a_list_on_disk_is_the_list(chunk: int, first: list[str], second: list[str], data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapped, "CHUNK", chunk)
        made = MappedTexts(iter(first))
        assert made == first
        assert list(made) == first
    assert made[:] == first
    joined, prompted = Joined(made, second), Prompted("a: ", made)
    assert joined == [*first, *second]
    assert prompted == [f"a: {text}" for text in first]
    place = data.draw(st.slices(len(first) + len(second)))
    assert joined[place] == [*first, *second][place]
    for number in range(-len(first), len(first)):
        assert made[number] == first[number]
    with pytest.raises(IndexError):
        made[len(first)]
    assert made != [*first, "more"]


def test_lone_surrogates_survive() -> None:
    assert list(MappedTexts(["\ud800", "é"])) == ["\ud800", "é"]


@given(st.lists(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5), max_size=8))
def test_a_spool_is_its_parts_behind_each_other(parts: list[list[int]]) -> None:
    spool = Spool(np.int32)
    for part in parts:
        spool.add(np.array(part, dtype=np.int32))
    found = spool.array()
    assert (found.tolist(), found.dtype) == ([value for part in parts for value in part], np.int32)


def test_what_is_mapped_leaves_no_file_behind_and_cannot_be_changed(cache: Path) -> None:
    spool = Spool(np.uint8)
    spool.add(np.ones(10))
    found = spool.array()
    assert not [path for path in cache.rglob("*") if path.is_file()]
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 2


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, data: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    spool = Spool(np.uint8)
    monkeypatch.setattr(spool, "_file", Full())
    with pytest.raises(RunError, match="the disk is full"):
        spool.add(np.ones(10))
