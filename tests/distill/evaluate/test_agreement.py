"""Agreement with the teacher against loops in plain Python, and by hand."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.neighbors import NearestNeighbors

from distill.evaluate.agreement import (
    evaluate_agreement,
    neighbour_overlap,
    pair_similarities,
    quick_agreement,
    row_cosines,
    unit,
)


def vectors(rows, width, seed):
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


def cosine(a, b):
    return float(np.dot(a, b) / math.sqrt(np.dot(a, a) * np.dot(b, b)))


def naive(student, teacher, k=10):
    """Mean cosine, Spearman of pair similarities and neighbour overlap, pair by pair."""
    ours, theirs = ([cosine(a, b) for a, b in itertools.combinations(rows.astype(float), 2)] for rows in (student, teacher))
    overlaps = []
    for i in range(len(student)):
        near = []
        for rows in (student.astype(float), teacher.astype(float)):
            others = sorted((j for j in range(len(rows)) if j != i), key=lambda j: -cosine(rows[i], rows[j]))
            near.append(set(others[:k]))
        overlaps.append(len(near[0] & near[1]) / min(k, len(student) - 1))
    same = student.shape[1] == teacher.shape[1]
    return {
        "spearman": stats.spearmanr(ours, theirs).statistic,
        "mean_cosine": np.mean([cosine(a, b) for a, b in zip(student, teacher, strict=True)]) if same else None,
        "top10_overlap": np.mean(overlaps),
    }


@pytest.mark.parametrize(("rows", "ours", "theirs"), [(40, 6, 6), (23, 4, 9), (5, 3, 3)])
def test_every_number_is_that_of_the_loops(rows, ours, theirs):
    teacher = vectors(rows, theirs, 1)
    student = teacher + vectors(rows, ours, 2) if ours == theirs else teacher[:, :ours] + vectors(rows, ours, 2)
    found = evaluate_agreement(student, teacher, rounds=20)
    expected = naive(student, teacher)
    assert found["details"]["spearman"] == found["value"] == pytest.approx(expected["spearman"], abs=1e-5)
    assert found["details"]["top10_overlap"] == pytest.approx(expected["top10_overlap"])
    assert found["details"]["mean_cosine"] == (
        None if expected["mean_cosine"] is None else pytest.approx(expected["mean_cosine"])
    )
    assert found["n"] == rows
    quick = quick_agreement(student, teacher)
    assert quick["agreement_spearman"] == pytest.approx(found["value"], abs=1e-12)
    assert quick["agreement_cosine"] == pytest.approx(found["details"]["mean_cosine"] or math.nan, nan_ok=True)
    assert quick["similarity_spread"] == pytest.approx(
        np.std([cosine(a, b) for a, b in itertools.combinations(student, 2)]), rel=1e-4
    )


def test_the_teacher_agrees_with_itself():
    teacher = vectors(30, 5, 1)
    rotation, _ = np.linalg.qr(vectors(5, 5, 2))
    found = evaluate_agreement(3 * teacher @ rotation, teacher, rounds=20)
    assert found["value"] == pytest.approx(1, abs=1e-4), "similarities are blind to rotation and length"
    assert found["details"]["top10_overlap"] > 0.99
    assert found["details"]["mean_cosine"] < 0.9
    assert evaluate_agreement(teacher, teacher, rounds=20)["details"] == pytest.approx(
        {"spearman": 1, "mean_cosine": 1, "top10_overlap": 1}
    )


def test_neighbour_overlap_by_hand():
    """Four sentences, two neighbours each."""
    teacher = np.array([[1, 0.9, 0.8, 0.1], [0.9, 1, 0.7, 0.2], [0.8, 0.7, 1, 0.3], [0.1, 0.2, 0.3, 1]])
    student = np.array([[1, 0.9, 0.1, 0.8], [0.9, 1, 0.7, 0.2], [0.1, 0.7, 1, 0.9], [0.8, 0.2, 0.9, 1]])
    # teacher: {1,2} {0,2} {0,1} {1,2}; student: {1,3} {0,2} {1,3} {0,2}
    assert neighbour_overlap(student, teacher, 2).tolist() == [0.5, 1, 0.5, 0.5]
    assert neighbour_overlap(student, teacher, 1).tolist() == [1, 1, 0, 1]
    assert neighbour_overlap(student, teacher, 10).tolist() == [1, 1, 1, 1], "k is capped at the others there are"


def test_neighbour_overlap_is_that_of_scikit_learn():
    student, teacher = vectors(60, 4, 3), vectors(60, 7, 4)
    near = [
        NearestNeighbors(n_neighbors=10, metric="cosine").fit(rows).kneighbors(return_distance=False)
        for rows in (student, teacher)
    ]
    expected = [len(set(a) & set(b)) / 10 for a, b in zip(*near, strict=True)]
    found = neighbour_overlap(*(unit(rows) @ unit(rows).T for rows in (student, teacher)))
    np.testing.assert_allclose(found, expected)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 12), st.integers(1, 6), st.integers(0, 1000))
def test_pair_similarities_are_those_of_every_pair(rows, width, seed):
    values = vectors(rows, width, seed)
    expected = [cosine(a, b) for a, b in itertools.combinations(values.astype(float), 2)]
    np.testing.assert_allclose(pair_similarities(values), expected, atol=1e-5)


def test_rows_of_zeros_have_no_direction():
    assert row_cosines(np.zeros((2, 3)), np.ones((2, 3))).tolist() == [0, 0]
    assert unit(np.array([[3.0, 4.0]])).tolist() == [[np.float32(0.6), np.float32(0.8)]]


def test_the_interval_holds_the_value_and_is_about_that_of_ranking_every_resample():
    """The fast interval keeps the ranks of the full set; ranking each resample anew is the slow way."""
    teacher = vectors(60, 6, 1)
    student = teacher + 0.7 * vectors(60, 6, 2)
    found = evaluate_agreement(student, teacher, rounds=400)
    low, high = found["ci95"]
    assert low < found["value"] < high
    rng = np.random.default_rng(7)
    slow = []
    for _ in range(200):
        drawn = rng.integers(0, 60, 60)
        pairs = [(i, j) for a, i in enumerate(drawn) for j in drawn[a + 1 :] if i != j]
        i, j = np.array(pairs).T
        ours, theirs = ((unit(rows) @ unit(rows).T)[i, j] for rows in (student, teacher))
        slow.append(stats.spearmanr(ours, theirs).statistic)
    assert (low, high) == pytest.approx(np.percentile(slow, [2.5, 97.5]), abs=0.03)
    assert evaluate_agreement(student, teacher, rounds=400)["ci95"] == found["ci95"]
    assert evaluate_agreement(student, teacher, rounds=400, seed=1)["ci95"] != found["ci95"]


def test_the_interval_covers_the_agreement_of_the_population():
    """600 sentences are the world; samples of 60 say what the whole agrees to, nine times in ten and more."""
    teacher = vectors(600, 6, 1)
    student = teacher + 0.8 * vectors(600, 6, 2)
    truth = stats.spearmanr(pair_similarities(student), pair_similarities(teacher)).statistic
    rng, hits = np.random.default_rng(3), 0
    for seed in range(60):
        rows = rng.choice(600, 60, replace=False)
        low, high = evaluate_agreement(student[rows], teacher[rows], rounds=200, seed=seed)["ci95"]
        hits += low <= truth <= high
    assert hits >= 51


@pytest.mark.parametrize("student", [np.ones((20, 4)), np.full((20, 4), np.nan), np.zeros((20, 4))])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_collapsed_or_broken_student_has_no_value(student):
    found = evaluate_agreement(student, vectors(20, 4, 1), rounds=20)
    assert math.isnan(found["value"])
    assert all(math.isnan(end) for end in found["ci95"])
    assert math.isnan(quick_agreement(student, vectors(20, 4, 1))["agreement_spearman"])


@pytest.mark.parametrize("rows", [2, 3])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_the_smallest_dev_sets_are_survived(rows):
    found = evaluate_agreement(vectors(rows, 4, 1), vectors(rows, 4, 2), rounds=50)
    assert found["n"] == rows
    assert math.isnan(found["value"]) == (rows == 2), "two sentences are one pair: nothing to rank"
