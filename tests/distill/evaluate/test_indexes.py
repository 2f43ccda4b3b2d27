"""Every kind of index against a plain comparison of all vectors."""

import builtins

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.errors import MissingExtra, UserError
from distill.evaluate.agreement import unit
from distill.evaluate.indexes import KINDS, IndexSettings, build_index, search_documents

RANDOM = np.random.default_rng(0)
CENTRES = RANDOM.normal(size=(20, 24))
VECTORS = unit(CENTRES[RANDOM.integers(0, 20, 1200)] + RANDOM.normal(size=(1200, 24)) * 0.6)
QUERIES = unit(VECTORS[:40] + 0.02 * RANDOM.normal(size=(40, 24)))
EXACT = np.argsort(-(QUERIES @ VECTORS.T), axis=1, kind="stable")[:, :10]
LEAST = {"flat_ip": 1.0, "flat_l2": 1.0, "hnsw": 0.98, "ivf": 0.9, "int8": 0.97, "binary": 0.2, "binary_rescored": 0.3}
"""Recall of the ten nearest that each kind reaches here."""


def recall(found):
    return np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, EXACT, strict=True)])


@pytest.mark.parametrize("kind", KINDS)
def test_it_finds_the_nearest(kind):
    scores, found = build_index(VECTORS, kind).search(QUERIES, 10)
    assert recall(found) >= LEAST[kind]
    assert (np.diff(scores, axis=1) <= 0).all()
    assert all(len(set(row)) == 10 for row in found)


def test_flat_kinds_agree_with_a_plain_comparison():
    scores, found = build_index(VECTORS, "flat_ip").search(QUERIES, 10)
    assert np.array_equal(found, EXACT)
    np.testing.assert_allclose(scores, np.take_along_axis(QUERIES @ VECTORS.T, EXACT, 1), atol=1e-5)
    long = VECTORS * RANDOM.uniform(1, 3, (1200, 1))  # lengths matter to a distance and an inner product
    distances = ((QUERIES[:, None] - long[None]) ** 2).sum(-1)
    scores, found = build_index(long, "flat_l2").search(QUERIES, 5)
    assert np.array_equal(found, np.argsort(distances, axis=1)[:, :5])
    np.testing.assert_allclose(scores, -np.sort(distances, axis=1)[:, :5], atol=1e-4)
    assert not np.array_equal(build_index(long, "flat_ip").search(QUERIES, 5)[1], found)


def test_bits_go_by_signs_and_are_rescored_by_the_full_query():
    signs, asked = np.where(VECTORS > 0, 1, -1), np.where(QUERIES > 0, 1, -1)
    scores, found = build_index(VECTORS, "binary").search(QUERIES, 10)
    similar = asked @ signs.T / 24
    np.testing.assert_allclose(scores, -np.sort(-similar, axis=1)[:, :10], atol=1e-6)
    np.testing.assert_allclose(scores, np.take_along_axis(similar, found, 1), atol=1e-6)
    everything = IndexSettings(oversample=1200)
    scores, found = build_index(VECTORS, "binary_rescored", everything).search(QUERIES, 10)
    cosines = QUERIES @ signs.T / np.sqrt(24)
    np.testing.assert_allclose(scores, -np.sort(-cosines, axis=1)[:, :10], atol=1e-5)
    shallow, deep = (build_index(VECTORS, "binary_rescored", IndexSettings(oversample=m)).search(QUERIES, 10)[0] for m in (1, 8))
    assert deep.sum() > shallow.sum()


def test_a_width_that_fills_no_byte():
    vectors = unit(RANDOM.normal(size=(50, 11)))
    scores, _ = build_index(vectors, "binary").search(vectors, 1)
    assert scores.tolist() == [[1.0]] * 50
    assert build_index(vectors, "binary_rescored").search(vectors, 3)[1].shape == (50, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_one_thread_builds_the_same_index_every_time(kind):
    first, second = (build_index(VECTORS, kind).search(QUERIES, 10) for _ in range(2))
    assert np.array_equal(first[1], second[1])
    assert np.array_equal(first[0], second[0])


def test_sizes_are_what_the_precision_says():
    size = {kind: build_index(VECTORS, kind).size() for kind in KINDS}
    assert size["flat_ip"] == pytest.approx(1200 * 24 * 4, rel=0.01)
    assert size["int8"] == pytest.approx(1200 * 24, rel=0.02)
    assert size["binary"] == size["binary_rescored"] == pytest.approx(1200 * 3, rel=0.02)
    assert size["flat_ip"] < size["ivf"] < size["hnsw"]


def test_ivf_lists_and_probes():
    settings = IndexSettings()
    assert [settings.lists(count) for count in (1, 100, 1200, 10_000, 1_000_000)] == [1, 2, 30, 256, 4000]
    assert [settings.probes(lists) for lists in (1, 2, 30, 4000)] == [1, 1, 3, 500]
    assert build_index(VECTORS, "ivf").index.nlist == 30
    whole = build_index(VECTORS, "ivf", IndexSettings(ivf_lists=16, ivf_probes=99))
    assert np.array_equal(whole.search(QUERIES, 10)[1], EXACT)  # all clusters are all vectors
    one = build_index(VECTORS, "ivf", IndexSettings(ivf_lists=30, ivf_probes=1))
    scores, found = one.search(QUERIES, 400)
    assert (found == -1).any()
    assert np.isneginf(scores[found == -1]).all()
    assert np.isfinite(scores[found >= 0]).all()


def test_threads_are_put_back():
    import faiss

    before = faiss.omp_get_max_threads()
    build_index(VECTORS, "hnsw", IndexSettings(threads=2)).search(QUERIES, 3)
    assert faiss.omp_get_max_threads() == before


def test_more_than_there_is_and_nothing():
    index = build_index(VECTORS[:5])
    assert index.search(QUERIES, 9)[1].shape == (40, 5)
    assert index.search(QUERIES[:0], 3)[1].shape == (0, 3)
    assert len(index) == 5


@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 10**6), st.integers(2, 12), st.integers(1, 5), st.sampled_from(["flat_ip", "hnsw", "int8", "binary_rescored"])
)
def test_documents_by_their_best_part(seed, count, k, kind):
    """Against a plain loop: the best part of each document, the excluded one left out."""
    rng = np.random.default_rng(seed)
    owners = rng.permutation(np.concatenate([np.arange(count), rng.integers(0, count, 30)]))
    vectors, queries = unit(rng.normal(size=(len(owners), 8))), unit(rng.normal(size=(3, 8)))
    exclude = np.array([0, -1, count - 1])
    index = build_index(vectors, kind, IndexSettings(oversample=100))
    scores, documents, rows = search_documents(index, queries, k, owners=owners, exclude=exclude)
    every, parts = index.search(queries, len(owners))
    for query in range(3):
        best = {}
        for score, part in zip(every[query], parts[query], strict=True):
            if owners[part] != exclude[query]:
                best.setdefault(owners[part], (score, part))
        expected = list(best.items())[:k]
        there = documents[query] >= 0
        assert documents[query][there].tolist() == [name for name, _ in expected]
        assert rows[query][there].tolist() == [part for _, (_, part) in expected]
        assert scores[query][there].tolist() == [score for _, (score, _) in expected]
        assert np.isneginf(scores[query][~there]).all()


def test_a_document_of_many_near_parts_hides_no_other():
    vectors = unit(np.concatenate([np.tile([[1.0, 0.0]], (200, 1)), [[0.9, 0.1], [0.5, 0.5]]]))
    owners = np.array([0] * 200 + [1, 2])
    _, documents, rows = search_documents(build_index(vectors), np.array([[1.0, 0.0]]), 3, owners=owners)
    assert documents.tolist() == [[0, 1, 2]]
    assert rows[0, 1:].tolist() == [200, 201]


def test_itself_is_left_out():
    index = build_index(VECTORS)
    _, documents, _ = search_documents(index, VECTORS[:30], 4, exclude=np.arange(30))
    order = np.argsort(-(VECTORS[:30] @ VECTORS.T), axis=1, kind="stable")
    assert documents.tolist() == [[name for name in row if name != own][:4] for own, row in enumerate(order.tolist())]


@pytest.mark.parametrize(
    ("vectors", "kind", "words"),
    [
        (VECTORS, "flat_pi", "flat_ip"),
        (VECTORS[:0], "flat_ip", "[0, 24]"),
        (np.full((3, 4), np.nan), "flat_ip", "row 0"),
        (VECTORS[0], "flat_ip", "[n, d]"),
    ],
)
def test_mistakes_in_building(vectors, kind, words):
    with pytest.raises(UserError) as caught:
        build_index(vectors, kind)
    assert words in str(caught.value)


def test_mistakes_in_searching():
    index = build_index(VECTORS)
    with pytest.raises(UserError) as caught:
        index.search(QUERIES[:, :20], 3)
    assert "[40, 20]" in str(caught.value)
    assert "[q, 24]" in str(caught.value)
    with pytest.raises(UserError, match="at least 1"):
        index.search(QUERIES, 0)
    with pytest.raises(UserError, match="hnsw_links"):
        IndexSettings(hnsw_links=1)
    with pytest.raises(UserError, match="oversample"):
        IndexSettings(oversample=0)


def test_without_faiss_the_error_names_the_extra(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name == "faiss":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtra, match=r"distill-toolkit\[search\]"):
        build_index(VECTORS)
