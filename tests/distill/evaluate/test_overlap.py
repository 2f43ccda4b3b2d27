"""What two models bring up: limits, hand values, and a plain loop beside it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from distill.errors import UserError
from distill.evaluate.agreement import unit
from distill.evaluate.indexes import KINDS
from distill.evaluate.overlap import SHORT, overlap_table, retrieval_overlap, shared, shared_rank_correlation

RANDOM = np.random.default_rng(0)
TEACHER = RANDOM.normal(size=(300, 24)).astype(np.float32)
STUDENT = (TEACHER + 0.5 * RANDOM.normal(size=(300, 24))).astype(np.float32)
NARROW = TEACHER @ RANDOM.normal(size=(24, 12)).astype(np.float32)
LISTS = st.integers(1, 8).flatmap(lambda k: st.lists(st.permutations(range(12)).map(lambda row: row[:k]), min_size=2, max_size=2))


def rows_of(result, mode="symmetric", dim=24):
    return {row["kind"]: row for row in result["rows"] if row["mode"] == mode and row["dim"] == dim}


@settings(deadline=None, max_examples=150)
@given(LISTS, st.booleans())
def test_share_and_order_of_two_lists(lists, gap):
    first, second = (np.array([row, row[::-1]]) for row in lists)
    if gap:
        first[:, -1] = second[:, -1] = -1
    for row in range(2):
        both = [name for name in first[row].tolist() if name in second[row].tolist() and name >= 0]
        assert shared(first, second, first.shape[1])[row] == pytest.approx(len(both) / first.shape[1])
        found = shared_rank_correlation(first, second)[row]
        if len(both) < 2:
            assert np.isnan(found)
        else:
            places = [second[row].tolist().index(name) for name in both]
            assert found == pytest.approx(stats.spearmanr(range(len(both)), places).statistic)


@pytest.mark.parametrize("normalize", [True, False])
def test_a_model_finds_what_it_finds(normalize):
    result = retrieval_overlap(TEACHER, TEACHER.copy(), k=(1, 10), normalize=normalize, rounds=20)
    for row in result["rows"]:
        assert row["overlap"] == {"1": 1.0, "10": 1.0}, row["kind"]
        assert row["overlap_ci95"] == {"1": [1.0, 1.0], "10": [1.0, 1.0]}
        assert row["rank_correlation"] == pytest.approx(1)
        assert row["recall"] == row["teacher_recall"]
    assert {row["mode"] for row in result["rows"]} == {"symmetric", "asymmetric"}
    assert all(rows_of(result)[kind]["recall"]["10"] == 1 for kind in ("flat_ip", *(["flat_l2"] if normalize else [])))


def test_lengths_and_rotations_change_nothing():
    turned = TEACHER @ np.linalg.qr(RANDOM.normal(size=(24, 24)))[0] * RANDOM.uniform(1, 4, (300, 1))
    row = rows_of(retrieval_overlap(TEACHER, turned.astype(np.float32), kinds=["flat_ip"], rounds=5))["flat_ip"]
    assert row["overlap"]["10"] == pytest.approx(1.0, abs=1e-3)
    assert row["rank_correlation"] == pytest.approx(1, abs=1e-3)


def test_exact_rows_are_those_of_a_plain_loop():
    result = retrieval_overlap(TEACHER, STUDENT, kinds=["flat_ip"], k=(1, 10), rounds=300)

    def nearest(queries, documents):
        similar = unit(queries) @ unit(documents).T
        np.fill_diagonal(similar, -np.inf)
        return np.argsort(-similar, axis=1)[:, :10]

    theirs = nearest(TEACHER, TEACHER)
    for mode, documents in (("symmetric", STUDENT), ("asymmetric", TEACHER)):
        row, ours = rows_of(result, mode)["flat_ip"], nearest(STUDENT, documents)
        assert row["overlap"]["10"] == pytest.approx(
            np.mean([len(set(a) & set(b)) / 10 for a, b in zip(ours, theirs, strict=True)])
        )
        assert row["overlap"]["1"] == pytest.approx((ours[:, 0] == theirs[:, 0]).mean())
        assert row["recall"] == pytest.approx(row["overlap"])
        assert row["teacher_recall"] == {"1": 1.0, "10": 1.0}
        low, high = row["overlap_ci95"]["10"]
        assert low < row["overlap"]["10"] < high
    assert rows_of(result, "asymmetric")["flat_ip"]["overlap"] != rows_of(result)["flat_ip"]["overlap"]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_documents_changes_nothing(seed):
    order = np.random.default_rng(seed).permutation(300)
    kinds = ["flat_ip", "flat_l2", "int8"]
    plain, moved = (
        retrieval_overlap(teacher, student, kinds=kinds, k=(1, 10), rounds=5)
        for teacher, student in ((TEACHER, STUDENT), (TEACHER[order], STUDENT[order]))
    )
    for a, b in zip(plain["rows"], moved["rows"], strict=True):
        assert a["overlap"] == pytest.approx(b["overlap"])
        assert a["recall"] == pytest.approx(b["recall"])
        assert a["rank_correlation"] == pytest.approx(b["rank_correlation"])


def test_strangers_share_what_chance_gives():
    stranger = RANDOM.normal(size=(300, 24))
    row = rows_of(retrieval_overlap(TEACHER, stranger, kinds=["flat_ip"], k=(30,), rounds=50))["flat_ip"]
    assert row["overlap"]["30"] == pytest.approx(30 / 299, abs=0.02)
    assert abs(row["rank_correlation"]) < 0.1


def test_what_a_kind_loses_is_told_apart_from_what_the_student_loses():
    result = rows_of(retrieval_overlap(TEACHER, STUDENT, k=(10,), rounds=5))
    assert set(result) == set(KINDS)
    for kind in ("binary", "binary_rescored"):
        assert result[kind]["teacher_recall"]["10"] < 0.9
        assert result[kind]["recall"]["10"] < result["flat_ip"]["recall"]["10"]
    assert result["flat_ip"]["student"]["bytes"] > 3 * result["int8"]["student"]["bytes"]
    for row in result.values():
        for side in ("student", "teacher"):
            assert row[side]["build_seconds"] > 0
            assert row[side]["search_ms"] > 0


def test_models_of_two_widths_are_compared_by_their_lists_alone():
    result = retrieval_overlap(TEACHER, NARROW, kinds=["flat_ip", "ivf"], k=(10,), rounds=5)
    assert [(row["kind"], row["mode"], row["dim"]) for row in result["rows"]] == [
        ("flat_ip", "symmetric", 12),
        ("ivf", "symmetric", 12),
    ]
    assert 10 / 299 < result["rows"][0]["overlap"]["10"] < 1


def test_shorter_vectors_have_rows_of_their_own():
    result = retrieval_overlap(TEACHER, TEACHER, kinds=["flat_ip", "hnsw", "binary"], k=(10,), dims=(48, 16, 8), rounds=5)
    short = [(row["kind"], row["dim"]) for row in result["rows"] if row["dim"] < 24]
    assert short == [(kind, dim) for dim in (16, 8) for kind in SHORT if kind in ("flat_ip", "binary")]
    by_dim = [rows_of(result, dim=dim)["flat_ip"] for dim in (24, 16, 8)]
    assert by_dim[0]["recall"]["10"] == 1 > by_dim[1]["recall"]["10"] > by_dim[2]["recall"]["10"]
    assert by_dim[2]["student"]["bytes"] < by_dim[0]["student"]["bytes"] / 2
    assert by_dim[2]["teacher"]["bytes"] == by_dim[0]["teacher"]["bytes"]


def test_queries_of_their_own_may_find_any_document():
    result = retrieval_overlap(
        TEACHER, STUDENT, teacher_queries=TEACHER[:7], student_queries=STUDENT[:7], kinds=["flat_ip"], k=(1,), rounds=5
    )
    assert result["queries"] == 7
    assert rows_of(result)["flat_ip"]["overlap"]["1"] == 1.0  # each finds the document that it is


def test_some_documents_as_queries():
    chosen = np.array([5, 250, 17])
    result = retrieval_overlap(TEACHER, STUDENT, query_rows=chosen, kinds=["flat_ip"], k=(500,), rounds=5)
    assert (result["n"], result["queries"], result["depths"]) == (300, 3, [299])
    assert rows_of(result)["flat_ip"]["overlap"]["299"] == 1.0  # all others, never itself


def test_documents_by_their_best_sentence():
    owners = np.repeat(np.arange(100), 3)
    result = retrieval_overlap(TEACHER, STUDENT, owners=owners, kinds=["flat_ip"], k=(1, 5, 400), rounds=5)
    assert (result["n"], result["queries"], result["depths"]) == (100, 300, [1, 5, 99])
    row = rows_of(result)["flat_ip"]
    assert row["overlap"]["99"] == 1.0

    def best(vectors):
        similar = (unit(vectors) @ unit(vectors).T).reshape(300, 100, 3).max(-1)
        similar[np.arange(300), owners] = -np.inf
        return similar.argmax(1)

    assert row["overlap"]["1"] == pytest.approx((best(TEACHER) == best(STUDENT)).mean())


def test_equal_seeds_give_equal_numbers():
    def numbers(seed):
        rows = retrieval_overlap(TEACHER, STUDENT, k=(10,), rounds=30, seed=seed)["rows"]
        return [(row["kind"], row["overlap"], row["overlap_ci95"], row["rank_correlation"]) for row in rows]

    assert numbers(3) == numbers(3)
    assert numbers(3) != numbers(4)


def test_the_table_has_a_line_a_row():
    result = retrieval_overlap(TEACHER, STUDENT, kinds=["flat_ip", "int8"], rounds=5)
    lines = overlap_table(result).splitlines()
    assert len(lines) == 2 + 4
    assert len({line.count("|") for line in lines}) == 1
    assert "overlap@10" in lines[0]
    assert lines[2].startswith("| flat_ip | student -> student | 24 |")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"student": STUDENT[:299]}, "student [299, 24]"),
        ({"teacher_queries": TEACHER[:3]}, "or neither"),
        ({"teacher_queries": TEACHER[:3], "student_queries": STUDENT[:4]}, "3 and 4"),
        ({"teacher_queries": TEACHER[:3], "student_queries": STUDENT[:3, :5]}, "queries [3, 5]"),
        ({"teacher_queries": TEACHER[:3], "student_queries": STUDENT[:3], "query_rows": np.arange(2)}, "query_rows"),
        ({"query_rows": np.array([300])}, "0 to 299"),
        ({"query_rows": np.array([], int)}, "nothing to compare"),
        ({"k": (0,)}, "nothing to compare"),
        ({"owners": np.arange(10)}, "got:      10"),
        ({"kinds": ["hsnw"]}, "'hnsw'"),
    ],
)
def test_mistakes_are_named(change, words):
    arguments = {"student": STUDENT, **change}
    with pytest.raises(UserError) as caught:
        retrieval_overlap(TEACHER, arguments.pop("student"), **arguments)
    assert words in str(caught.value)
