"""The in-batch relations against hand values and against loops over every pair."""

import itertools
import math

import pytest
import torch

from distill.losses.relation import pair_order, similarity_matrix


def cosine(a, b):
    """Of two lists of numbers, in plain Python."""
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


def pair_cosines(embeddings):
    return [cosine(a, b) for a, b in itertools.combinations(embeddings.tolist(), 2)]


def angles(*degrees):
    """Unit vectors in the plane: the cosine of two is that of the angle between them."""
    return torch.tensor([[math.cos(math.radians(d)), math.sin(math.radians(d))] for d in degrees], dtype=torch.float64)


def test_similarity_matrix_by_hand():
    """Teacher cosines 1/2, 0, cos 30; student cosines 0, -1, 0."""
    teacher, student = angles(0, 60, 90), angles(0, 90, 180)
    expected = ((0.5 - 0) ** 2 + (0 + 1) ** 2 + (math.sqrt(3) / 2) ** 2) / 3
    assert similarity_matrix(student, teacher).item() == pytest.approx(expected)
    assert similarity_matrix(student[:2], teacher[:2]).item() == pytest.approx(0.25)


def test_similarity_matrix_limits():
    together, apart = angles(0, 0), angles(0, 180)
    assert similarity_matrix(together, apart).item() == pytest.approx(4)
    assert similarity_matrix(angles(0, 90), together).item() == pytest.approx(1)
    assert similarity_matrix(together[:1], apart[:1]).item() == 0


@pytest.mark.parametrize(("rows", "ours", "theirs"), [(2, 3, 7), (5, 1, 4), (12, 6, 6)])
def test_similarity_matrix_against_a_loop_over_pairs(embeddings, rows, ours, theirs):
    student, teacher = embeddings(rows, ours, 1), embeddings(rows, theirs, 2)
    pairs = list(zip(pair_cosines(student), pair_cosines(teacher), strict=True))
    expected = sum((s - t) ** 2 for s, t in pairs) / len(pairs)
    assert similarity_matrix(student, teacher).item() == pytest.approx(expected)


@pytest.mark.parametrize("name", ["similarity_matrix", "pair_order"])
def test_relations_are_blind_to_rotation_length_and_width(embeddings, name):
    loss = {"similarity_matrix": similarity_matrix, "pair_order": pair_order}[name]
    student, teacher = embeddings(6, 5, 1), embeddings(6, 3, 2)
    rotation, _ = torch.linalg.qr(embeddings(5, 5, 3))
    wider = torch.nn.functional.pad(3 * student @ rotation, (0, 4))
    assert loss(wider, teacher).item() == pytest.approx(loss(student, teacher).item())


def test_pair_order_by_hand():
    """Three sentences, pairs (01, 02, 12): the teacher says 0.5, 0, 0.87; the student 0, 0.5, 0.87."""
    teacher, student = angles(0, 60, 90), angles(0, 90, 60)
    # 01 > 02: the student has it the other way round, by 0.5. 12 > 01 and 12 > 02 are right, by more than the margin.
    assert pair_order(student, teacher, margin=0.1).item() == pytest.approx((0.1 + 0.5) / 3)
    assert pair_order(student, teacher, margin=0.0).item() == pytest.approx(0.5 / 3)
    # With a margin of 0.5, being right by 0.366 (12 above 02) is not enough any more.
    expected = ((0.5 + 0.5) + (0.5 - (math.sqrt(3) / 2 - 0.5))) / 3
    assert pair_order(student, teacher, margin=0.5).item() == pytest.approx(expected)


def test_pair_order_is_zero_where_every_order_is_kept_by_the_margin():
    teacher, student = angles(0, 60, 90), angles(0, 50, 90)
    assert pair_order(student, teacher, margin=0.01).item() == 0
    assert pair_order(student, teacher, margin=0.9).item() > 0


def test_pairs_that_the_teacher_finds_alike_ask_for_nothing():
    """An equilateral triangle: every student is right."""
    teacher = torch.eye(3, dtype=torch.float64)
    assert pair_order(angles(0, 10, 90), teacher, margin=0.5).item() == 0


def all_pairs_of_pairs(student, teacher, margin):
    """(teacher difference, hinge, first, second) for every two pairs of the batch."""
    s, t = pair_cosines(student), pair_cosines(teacher)
    for p, q in itertools.combinations(range(len(s)), 2):
        sign = 1 if t[p] > t[q] else -1
        yield max(0.0, margin - sign * (s[p] - s[q])), p, q, len(s)


@pytest.mark.parametrize("rows", [3, 6, 7])
@pytest.mark.parametrize("margin", [0.0, 0.015, 0.4])
def test_pair_order_is_the_mean_over_all_pairs_of_pairs(embeddings, rows, margin):
    """3, 15 and 21 pairs: an odd number of at most 33, where each pair of pairs is met exactly once."""
    student, teacher = embeddings(rows, 5, 1), embeddings(rows, 4, 2)
    found = [hinge for hinge, *_ in all_pairs_of_pairs(student, teacher, margin)]
    assert pair_order(student, teacher, margin=margin).item() == pytest.approx(sum(found) / len(found))


@pytest.mark.parametrize("rows", [4, 5, 8])
def test_pair_order_meets_opposite_pairs_twice_where_their_number_is_even(embeddings, rows):
    """6, 10 and 28 pairs in a ring: those half the ring apart are seen from both ends."""
    student, teacher = embeddings(rows, 5, 1), embeddings(rows, 4, 2)
    found = [(hinge, 2 if q - p == n // 2 else 1) for hinge, p, q, n in all_pairs_of_pairs(student, teacher, 0.1)]
    expected = sum(hinge * weight for hinge, weight in found) / sum(weight for _, weight in found)
    assert pair_order(student, teacher, margin=0.1).item() == pytest.approx(expected)


def test_pair_order_on_a_large_batch_is_a_fair_sample_of_all_pairs_of_pairs(embeddings):
    """24 rows make 276 pairs and 37,950 pairs of pairs, of which 4,416 are looked at."""
    student = embeddings(24, 6, 1)
    for seed in (2, 3, 4):
        teacher = student + embeddings(24, 6, seed)
        found = [hinge for hinge, *_ in all_pairs_of_pairs(student, teacher, 0.015)]
        assert pair_order(student, teacher).item() == pytest.approx(sum(found) / len(found), rel=0.1)
    assert pair_order(student, student.clone(), margin=0.0).item() == 0


def test_a_step_down_pair_order_mends_the_order(embeddings):
    teacher, student = angles(0, 60, 90), angles(0, 90, 60).requires_grad_()
    optimizer = torch.optim.SGD([student], lr=0.2)
    before = pair_order(student, teacher).item()
    for _ in range(40):
        optimizer.zero_grad()
        pair_order(student, teacher).backward()
        optimizer.step()
    assert pair_order(student, teacher).item() < before / 100


def test_fewer_than_two_pairs_have_no_order(embeddings):
    for rows in (1, 2):
        student = embeddings(rows, 3).requires_grad_()
        found = pair_order(student, embeddings(rows, 3, 1))
        found.backward()
        assert found.item() == 0
