"""Index files come back as they were, and what is no such file is refused before FAISS reads it."""

import struct

import numpy as np
import pytest

from distill.errors import DataError
from distill.evaluate.agreement import unit
from distill.evaluate.index_files import index_file_limit, read_index, write_index
from distill.evaluate.indexes import KINDS, IndexSettings, build_index

VECTORS = unit(np.random.default_rng(0).normal(size=(300, 20)))
SETTINGS = IndexSettings(hnsw_links=8)


def written(path, kind="flat_ip"):
    index = build_index(VECTORS, kind, SETTINGS)
    write_index(index, path)
    return index


@pytest.mark.parametrize("kind", KINDS)
def test_it_comes_back_as_it_was(kind, tmp_path):
    index = written(tmp_path / "index", kind)
    again = read_index(tmp_path / "index", kind, 20, 300, SETTINGS)
    for ours, theirs in zip(again.search(VECTORS[:20], 7), index.search(VECTORS[:20], 7), strict=True):
        assert np.array_equal(ours, theirs)
    assert again.size() == index.size() == (tmp_path / "index").stat().st_size


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 4), (3000, 20), (50, 600)])
def test_no_file_is_larger_than_its_limit(kind, shape):
    for settings in (IndexSettings(), IndexSettings(hnsw_links=4, ivf_lists=40), IndexSettings(hnsw_links=64)):
        vectors = np.random.default_rng(1).normal(size=shape)
        size = build_index(vectors, kind, settings).size()
        assert size <= index_file_limit(kind, shape[1], shape[0], settings.__dict__)
    assert index_file_limit(kind, 384, 10**6, {}) < 3 * 10**9


@pytest.mark.parametrize(
    ("kind", "dim", "rows", "words"),
    [
        ("flat_l2", 20, 300, "IxF2"),
        ("binary", 20, 300, "IBxF"),
        ("flat_ip", 24, 300, "20 dimensions"),
        ("flat_ip", 20, 299, "300 vectors"),
    ],
)
def test_a_file_of_another_kind_width_or_length(kind, dim, rows, words, tmp_path):
    written(tmp_path / "index")
    with pytest.raises(DataError) as caught:
        read_index(tmp_path / "index", kind, dim, rows, SETTINGS)
    assert words in str(caught.value)
    assert str(tmp_path / "index") in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_ends_early(kind, tmp_path):
    written(tmp_path / "index", kind)
    whole = (tmp_path / "index").read_bytes()
    for length in (0, 3, 20, 40, len(whole) // 2, len(whole) - 1):
        (tmp_path / "index").write_bytes(whole[:length])
        with pytest.raises(DataError, match="index"):
            read_index(tmp_path / "index", kind, 20, 300, SETTINGS)


def test_a_file_that_claims_more_than_it_holds(tmp_path):
    """The length of the list of vectors, 37 bytes from the beginning, made 2^36: nothing of that size is allocated."""
    written(tmp_path / "index")
    whole = bytearray((tmp_path / "index").read_bytes())
    assert struct.unpack_from("<q", whole, 37) == (300 * 20,)
    struct.pack_into("<q", whole, 37, 1 << 36)
    (tmp_path / "index").write_bytes(whole)
    with pytest.raises(DataError, match="cannot be used"):
        read_index(tmp_path / "index", "flat_ip", 20, 300, SETTINGS)


def test_unknown_settings_and_kinds():
    with pytest.raises(DataError, match="unknown settings"):
        index_file_limit("hnsw", 20, 300, {"hnsw_m": 3})
    with pytest.raises(DataError, match="unknown settings"):
        index_file_limit("hnsw", 20, 300, {"hnsw_links": 0})
    with pytest.raises(DataError, match="flat_ip"):
        index_file_limit("flat", 20, 300, {})
