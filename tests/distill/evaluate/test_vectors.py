"""Shorter, int8 and binary vectors: codes by hand, limits, and FAISS and sentence-transformers beside them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sentence_transformers.util import quantize_embeddings

from distill.errors import UserError
from distill.evaluate.vectors import Int8Scale, bit_similarities, from_bits, judge_vectors, shorten, to_bits, widths
from distill.recipe_data import VectorSpec

ALL = VectorSpec(dims=(16, 8))
MATRICES = arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 20)), elements=st.floats(-4, 4, width=32))


def pairs(count=400, width=32, seed=0, top=5):
    """Sides whose cosine grows with the score, up to 1 at a score of 5; all dimensions alike."""
    rng = np.random.default_rng(seed)
    first, noise = rng.normal(size=(2, count, width))
    gold = rng.uniform(0, top, count)
    return first.astype(np.float32), (first * gold[:, None] / 5 + noise * (1 - gold[:, None] / 5)).astype(np.float32), gold


def test_int8_by_hand():
    scale = Int8Scale.fit(np.array([[0.0, -1.0, 7.0], [2.55, 1.55, 7.0]]))
    codes = scale.encode(np.array([[0.0, -1.0, 7.0], [2.55, 1.55, 7.0], [1.0, 9.0, 8.0], [-3.0, 0.0, 0.0]]))
    assert codes.dtype == np.int8
    assert codes[:, :2].tolist() == [[-128, -128], [127, 127], [-28, 127], [-128, -28]]
    assert scale.decode(codes)[0].tolist() == pytest.approx([0.0, -1.0, 7.0])
    assert scale.decode(codes)[:, 2].tolist() == [7.0] * 4  # a dimension that never changes says nothing


@settings(deadline=None)
@given(MATRICES)
def test_int8_is_off_by_half_a_step_at_most(vectors):
    scale = Int8Scale.fit(vectors)
    error = np.abs(scale.decode(scale.encode(vectors)) - vectors)
    assert (error <= scale.step / 2 + 1e-5).all()


def test_sentence_transformers_cuts_the_same_ranges():
    vectors = pairs()[0]
    theirs = quantize_embeddings(vectors, precision="int8", ranges=np.stack([vectors.min(0), vectors.max(0)]))
    assert np.abs(Int8Scale.fit(vectors).encode(vectors).astype(int) - theirs).max() <= 1  # they cut off, we round


@settings(deadline=None)
@given(MATRICES)
def test_bits_keep_signs(vectors):
    bits = to_bits(vectors)
    dim = vectors.shape[1]
    assert bits.shape == (len(vectors), -(-dim // 8))
    assert np.array_equal(from_bits(bits, dim), np.where(vectors > 0, 1, -1))
    other = to_bits(vectors[::-1])
    signs = from_bits(bits, dim)
    assert bit_similarities(bits, other, dim) == pytest.approx((signs * signs[::-1]).mean(1))


def test_bits_are_those_of_sentence_transformers():
    vectors = pairs()[0]
    assert np.array_equal(to_bits(vectors), quantize_embeddings(vectors, precision="ubinary"))


def test_rows_for_every_width_and_precision():
    rows = judge_vectors(*pairs(), ALL)
    kinds = [("float32", False), ("int8", False), ("binary", False), ("binary", True)]
    found = [(row["dim"], row["precision"], row["rescore"]) for row in rows]
    assert found == [(dim, *kind) for dim in (32, 16, 8) for kind in kinds]
    assert [row["bytes_per_vector"] for row in rows] == [128, 32, 4, 4, 64, 16, 2, 2, 32, 8, 1, 1]


def test_float_rows_are_scipys():
    first, second, gold = pairs()
    for row in judge_vectors(first, second, gold, VectorSpec(dims=(16, 8), precisions=())):
        a, b = first[:, : row["dim"]].astype(float), second[:, : row["dim"]].astype(float)
        cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        assert row["value"] == pytest.approx(stats.spearmanr(cosine, gold).statistic, abs=1e-4)


def test_less_is_worth_less():
    values = {(row["dim"], row["precision"], row["rescore"]): row["value"] for row in judge_vectors(*pairs(), ALL)}
    assert values[32, "int8", False] == pytest.approx(values[32, "float32", False], abs=5e-3)
    assert max(values[32, "binary", False], values[32, "binary", True]) < values[32, "float32", False] - 0.01
    assert values[8, "float32", False] < values[32, "float32", False]


def test_rescoring_tells_what_is_loosely_related_apart():
    """Among near duplicates signs against signs do better: where two vectors agree, so do all their signs."""
    binary, rescored = (row["value"] for row in judge_vectors(*pairs(4000, top=2), VectorSpec(precisions=("binary",)))[1:])
    assert rescored > binary + 0.01


def test_bits_of_bits_lose_nothing():
    rng = np.random.default_rng(1)
    first, second = (np.where(rng.normal(size=(200, 16)) > 0, 1.0, -1.0) for _ in range(2))
    gold = (first * second).mean(1)
    rows = judge_vectors(first, second, gold, VectorSpec())
    assert [row["value"] for row in rows] == pytest.approx([1.0] * 4)


def test_calibration_vectors_set_the_ranges():
    first, second, gold = pairs()
    narrow = judge_vectors(first, second, gold, VectorSpec(precisions=("int8",)), calibrate=first[:2])
    wide = judge_vectors(first, second, gold, VectorSpec(precisions=("int8",)), calibrate=np.concatenate([first, second]))
    own = judge_vectors(first, second, gold, VectorSpec(precisions=("int8",)))
    assert wide == own
    assert narrow[0] == own[0]
    assert narrow[1]["value"] < own[1]["value"]


def test_what_is_asked_for_decides_the_rows():
    rows = judge_vectors(*pairs(), VectorSpec(precisions=("binary",), rescore=False))
    assert [(row["precision"], row["rescore"]) for row in rows] == [("float32", False), ("binary", False)]
    assert widths(32, (64, 32, 8, 16, 8)) == [32, 16, 8]
    assert shorten(np.array([[3.0, 4.0, 9.0]]), 2).tolist() == [pytest.approx([0.6, 0.8])]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"second": np.ones((400, 31))}, "second [400, 31]"),
        ({"gold": np.ones(399)}, "399 scores"),
        ({"calibrate": np.ones((5, 31))}, "[at least 1, 32]"),
        ({"calibrate": np.ones((0, 32))}, "[at least 1, 32]"),
    ],
)
def test_mistakes_are_named(change, words):
    first, second, gold = pairs()
    arguments = {"second": second, "gold": gold, "calibrate": None, **change}
    with pytest.raises(UserError) as caught:
        judge_vectors(first, arguments["second"], arguments["gold"], ALL, calibrate=arguments["calibrate"])
    assert words in str(caught.value)
