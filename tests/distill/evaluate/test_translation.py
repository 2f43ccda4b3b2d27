"""Translation retrieval by hand, with ties and repeated texts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.errors import DataError
from distill.evaluate import translation
from distill.evaluate.translation import evaluate_translation, translation_accuracy

NAMES = ("accuracy_to_translation", "accuracy_to_source", "mrr_to_translation", "mrr_to_source")


def angle(*degrees):
    """Unit vectors of the plane, [n, 2]."""
    turn = np.deg2rad(np.array(degrees, dtype=np.float64))
    return np.stack([np.cos(turn), np.sin(turn)], axis=1).astype(np.float32)


def test_by_hand():
    """Text 1 is nearer to translation 0; translation 2 is nearer to text 0, and translation 1 to text 0 as well."""
    found = evaluate_translation(angle(0, 40, 90), angle(10, 15, 200))
    # text -> translations at 10, 15, 200: text 0 finds 0; text 40 prefers 15, its own; text 90 is nearest to 15, its own is last
    # translation -> texts at 0, 40, 90: 10 finds 0; 15 prefers 0 (15 away) to its own (25 away); 200 finds 90, its own
    assert found["details"]["accuracy_to_translation"] == pytest.approx(2 / 3)
    assert found["details"]["mrr_to_translation"] == pytest.approx((1 + 1 + 1 / 3) / 3)
    assert found["details"]["accuracy_to_source"] == pytest.approx(2 / 3)
    assert found["details"]["mrr_to_source"] == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert found["value"] == pytest.approx(2 / 3)
    cosines = np.cos(np.deg2rad([10, 25, 110]))
    assert found["details"]["mean_cosine"] == pytest.approx(cosines.mean(), abs=1e-6)
    assert found["rows"]["nearest_to_translation"].tolist() == [0, 1, 1]
    assert found["rows"]["nearest_to_source"].tolist() == [0, 0, 2]
    assert found["n"] == 3


def test_the_length_of_a_vector_does_not_count():
    sources, translations = angle(0, 40, 90), angle(10, 15, 200)
    scaled = sources * np.array([[1], [50], [0.01]], dtype=np.float32)
    assert evaluate_translation(scaled, translations)["details"]["mrr_to_source"] == pytest.approx(2.5 / 3)


@pytest.mark.parametrize("n", [2, 5, 40])
def test_a_collapsed_model_finds_one_in_n(n):
    same = np.ones((n, 3), dtype=np.float32)
    details = evaluate_translation(same, same)["details"]
    harmonic = sum(1 / rank for rank in range(1, n + 1))
    for name in NAMES:
        assert details[name] == pytest.approx(1 / n if name.startswith("accuracy") else harmonic / n)


def test_equal_candidates_share_the_hit():
    """Two translations at the same place: each of the two texts finds its own with probability one half."""
    found = evaluate_translation(angle(0, 2, 90), angle(1, 1, 91))
    assert found["rows"]["hit_to_translation"].tolist() == [0.5, 0.5, 1]
    assert found["rows"]["reciprocal_rank_to_translation"].tolist() == [0.75, 0.75, 1]
    assert found["rows"]["hit_to_source"].tolist() == [0.5, 0.5, 1], "both texts are one degree away from the one place"


def test_a_repeated_text_may_find_the_translation_of_its_twin():
    """ "thanks" stands twice with two translations; "fine" with one that is far off."""
    keys = (["thanks", "thanks", "fine"], ["gracias", "muchas gracias", "bien"])
    sources, translations = angle(0, 0, 90), angle(3, 10, 200)
    alone = evaluate_translation(sources, translations)["rows"]["hit_to_translation"]
    assert alone.tolist() == [1, 0, 0]
    assert evaluate_translation(sources, translations, keys)["rows"]["hit_to_translation"].tolist() == [1, 1, 0]
    back = evaluate_translation(sources, translations, keys)["rows"]["hit_to_source"]
    assert back.tolist() == [1, 1, 1], "either of the equal texts is right for both translations"


def test_a_repeated_translation_is_right_wherever_it_stands():
    keys = (["cat", "pussycat", "dog"], ["gato", "gato", "perro"])
    found = evaluate_translation(angle(0, 30, 90), angle(29, 31, 92), keys)
    assert found["rows"]["hit_to_translation"].tolist() == [1, 1, 1], "text 0 is nearest to row 0, text 1 to either"
    assert found["rows"]["hit_to_source"].tolist() == [1, 1, 1]
    without = evaluate_translation(angle(0, 30, 90), angle(29, 31, 92))["rows"]["hit_to_source"]
    assert without.tolist() == [0, 1, 1]


def reference(sources, translations, keys):
    """Hits and reciprocal ranks of one direction by going through every order of the tied candidates."""
    unit = [side.astype(np.float64) / np.linalg.norm(side, axis=1, keepdims=True) for side in (sources, translations)]
    hits, ranks = [], []
    for row, cosines in enumerate(unit[0] @ unit[1].T):
        wanted = {keys[1][other] for other, key in enumerate(keys[0]) if key == keys[0][row]}
        values = sorted({round(float(value), 5) for value in cosines}, reverse=True)
        groups = [[place for place, value in enumerate(cosines) if round(float(value), 5) == level] for level in values]
        firsts = []
        for orders in itertools.product(*(itertools.permutations(group) for group in groups)):
            order = [place for part in orders for place in part]
            firsts.append(next(rank for rank, place in enumerate(order, 1) if keys[1][place] in wanted))
        hits.append(np.mean([rank == 1 for rank in firsts]))
        ranks.append(np.mean([1 / rank for rank in firsts]))
    return hits, ranks


CORNERS = st.integers(0, 7).map(lambda turn: 45 * turn)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(2, 5))
def test_against_every_order_of_the_ties(data, n):
    sides = [angle(*data.draw(st.lists(CORNERS, min_size=n, max_size=n))) for _ in range(2)]
    keys = tuple(data.draw(st.lists(st.sampled_from("abc"), min_size=n, max_size=n)) for _ in range(2))
    rows = evaluate_translation(*sides, keys, rounds=2)["rows"]
    for name, order in (("translation", (0, 1)), ("source", (1, 0))):
        hits, ranks = reference(*(sides[side] for side in order), tuple(keys[side] for side in order))
        np.testing.assert_allclose(rows[f"hit_to_{name}"], hits, atol=1e-9)
        np.testing.assert_allclose(rows[f"reciprocal_rank_to_{name}"], ranks, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12))
def test_the_order_of_the_rows_decides_nothing(seed, n):
    chance = np.random.default_rng(seed)
    sides = [chance.integers(-1, 2, (n, 2)).astype(np.float32) for _ in range(2)]  # many ties, some vectors of zeros
    keys = tuple([str(key) for key in chance.integers(0, n, n)] for _ in range(2))
    order = chance.permutation(n)
    moved = tuple([side[place] for place in order] for side in keys)
    one = evaluate_translation(*sides, keys)["details"]
    two = evaluate_translation(*(side[order] for side in sides), moved)["details"]
    for name in one:
        assert one[name] == pytest.approx(two[name], abs=1e-6)


def test_swapping_the_sides_swaps_the_directions():
    chance = np.random.default_rng(1)
    sides = [chance.normal(size=(30, 4)).astype(np.float32) for _ in range(2)]
    one, two = evaluate_translation(*sides), evaluate_translation(*sides[::-1])
    assert one["details"]["accuracy_to_source"] == two["details"]["accuracy_to_translation"]
    assert one["details"]["mrr_to_translation"] == two["details"]["mrr_to_source"]
    assert one["value"] == two["value"]


def test_blocks_give_the_numbers_of_the_whole(monkeypatch):
    chance = np.random.default_rng(2)
    sources = chance.normal(size=(50, 8)).astype(np.float32)
    translations = sources + chance.normal(size=(50, 8)).astype(np.float32)
    whole = evaluate_translation(sources, translations)
    assert 0.2 < whole["value"] < 0.98
    monkeypatch.setattr(translation, "BLOCK_ENTRIES", 350)
    blocks = evaluate_translation(sources, translations)
    assert blocks["details"] == pytest.approx(whole["details"])
    assert blocks["rows"]["nearest_to_source"].tolist() == whole["rows"]["nearest_to_source"].tolist()


def test_the_interval_resamples_rows():
    chance = np.random.default_rng(3)
    sources = chance.normal(size=(400, 6)).astype(np.float32)
    found = evaluate_translation(sources, sources + chance.normal(size=(400, 6)).astype(np.float32))
    hits = (found["rows"]["hit_to_translation"] + found["rows"]["hit_to_source"]) / 2
    error = hits.std() / np.sqrt(400)
    assert found["ci95"] == pytest.approx([found["value"] - 1.96 * error, found["value"] + 1.96 * error], abs=0.3 * error)
    assert evaluate_translation(sources, sources)["ci95"] == [1, 1]


def test_a_vector_that_is_no_number_leaves_no_number():
    sources = angle(0, 40, 90)
    sources[1, 0] = np.nan
    found = evaluate_translation(sources, angle(0, 40, 90))
    assert np.isnan([found["value"], *found["ci95"], *found["details"].values()]).all()
    assert found["rows"]["nearest_to_source"].tolist() == [-1, -1, -1]


def test_accuracy_alone_is_the_value():
    keys = (["a", "a", "b"], ["c", "d", "e"])
    sides = angle(0, 0, 90), angle(3, 10, 200)
    assert translation_accuracy(*sides, keys) == evaluate_translation(*sides, keys)["value"]


@pytest.mark.parametrize(
    ("shapes", "keys"),
    [(((3, 2), (4, 2)), None), (((3, 2), (3, 4)), None), (((1, 2), (1, 2)), None), (((3, 2), (3, 2)), (["a"] * 3, ["b"] * 2))],
)
def test_what_does_not_fit_is_told(shapes, keys):
    with pytest.raises(DataError):
        evaluate_translation(*(np.ones(shape) for shape in shapes), keys)
