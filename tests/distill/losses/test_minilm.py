"""MiniLM's relations against hand values and plain loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.losses.minilm import minilm_v1, minilm_v2, relation_heads_for, relation_kl


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def softmax(scores):
    weights = [math.exp(score) for score in scores]
    return [weight / sum(weights) for weight in weights]


def divergence(theirs, ours):
    return sum(p * math.log(p / q) for p, q in zip(softmax(theirs), softmax(ours), strict=True))


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def by_loops(student, teacher, mask, heads):
    """relation_kl of lists of numbers, one (sentence, head, query) after another."""
    found = []
    for ours, theirs, counts in zip(student.tolist(), teacher.tolist(), mask.tolist(), strict=True):
        valid = [token for token, one in enumerate(counts) if one]
        for head in range(heads):
            for i in valid:
                rows = []
                for side in (theirs, ours):
                    width = len(side[0]) // heads
                    part = slice(head * width, (head + 1) * width)
                    rows.append([dot(side[i][part], side[j][part]) / math.sqrt(width) for j in valid])
                found.append(divergence(*rows))
    return sum(found) / len(found) if found else 0.0


def test_by_hand():
    """One head of one number: the teacher's scores are [0, 0] and [0, 1], the student's [1, 1] and [1, 1]."""
    teacher, student = torch.tensor([[[0.0], [1.0]]]), torch.tensor([[[1.0], [1.0]]])
    p = math.e / (1 + math.e)
    expected = (0 + p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))) / 2
    assert relation_kl(student, teacher, torch.ones(1, 2), relation_heads=1).item() == pytest.approx(expected)


def test_the_divergence_is_taken_from_the_teacher():
    student, teacher, mask = normal(1, 4, 2), 3 * normal(1, 4, 2, seed=1), torch.ones(1, 4)
    one = relation_kl(student, teacher, mask, relation_heads=1).item()
    other = relation_kl(teacher, student, mask, relation_heads=1).item()
    assert one == pytest.approx(by_loops(student, teacher, mask, 1))
    assert abs(one - other) > 0.1


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_against_loops_over_sentences_heads_and_queries(data):
    length, heads = data.draw(st.integers(1, 6)), data.draw(st.sampled_from([1, 2, 4]))
    mask = torch.tensor(data.draw(st.lists(st.lists(st.booleans(), min_size=length, max_size=length), min_size=1, max_size=3)))
    seed = data.draw(st.integers(0, 99))
    student, teacher = normal(len(mask), length, 4, seed=seed), normal(len(mask), length, 8, seed=seed + 1)
    found = relation_kl(student, teacher, mask, relation_heads=heads).item()
    assert found == pytest.approx(by_loops(student, teacher, mask, heads), abs=1e-12)


def test_v2_is_the_sum_over_queries_keys_and_values_however_the_heads_are_cut():
    """Student: 2 heads of 6; teacher: 3 heads of 8; 4 relation heads cut across both."""
    student = [normal(2, 2, 5, 6, seed=seed) for seed in (1, 2, 3)]
    teacher = [normal(2, 3, 5, 8, seed=seed) for seed in (4, 5, 6)]
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    joined = [[torch.cat(x.unbind(1), -1) for x in side] for side in (student, teacher)]
    expected = sum(by_loops(ours, theirs, mask, 4) for ours, theirs in zip(*joined, strict=True))
    assert minilm_v2(student, teacher, mask, relation_heads=4).item() == pytest.approx(expected)
    assert minilm_v2(*joined, mask, relation_heads=4).item() == pytest.approx(expected)


def test_v1_against_loops():
    scores, others = normal(2, 3, 4, 4, seed=1), normal(2, 3, 4, 4, seed=2)
    values, their_values = normal(2, 3, 4, 2, seed=3), normal(2, 3, 4, 5, seed=4)
    mask = torch.tensor([[1, 1, 0, 1], [1, 1, 0, 0]])
    found = []
    for b, counts in enumerate(mask.tolist()):
        valid = [token for token, one in enumerate(counts) if one]
        for head in range(3):
            for i in valid:
                attention = [[side[b, head, i, j].item() for j in valid] for side in (others, scores)]
                relation = [
                    [dot(v[b, head, i].tolist(), v[b, head, j].tolist()) / math.sqrt(v.shape[-1]) for j in valid]
                    for v in (their_values, values)
                ]
                found.append(divergence(*attention) + divergence(*relation))
    assert minilm_v1(scores, others, values, their_values, mask).item() == pytest.approx(sum(found) / len(found))


def test_v1_scores_of_minus_infinity_are_keys_that_a_layer_may_not_look_at():
    """A layer with a window has them in both models."""
    scores, others, values = normal(1, 2, 4, 4, seed=1), normal(1, 2, 4, 4, seed=2), normal(1, 2, 4, 3)
    far = (torch.arange(4)[:, None] - torch.arange(4)).abs() > 1
    blind, blind_teacher = scores.masked_fill(far, -torch.inf).requires_grad_(), others.masked_fill(far, -torch.inf)
    found = minilm_v1(blind, blind_teacher, values, values, torch.ones(1, 4))
    found.backward()
    rows = []
    for head in range(2):
        for i in range(4):
            near = [j for j in range(4) if abs(i - j) <= 1]
            rows.append(divergence(*([side[0, head, i, j].item() for j in near] for side in (others, scores))))
    assert found.item() == pytest.approx(sum(rows) / len(rows))
    assert torch.isfinite(blind.grad).all()
    assert not blind.grad[:, :, far].any()


def test_v1_does_not_see_a_shift_of_a_row_of_scores():
    scores, others, values = normal(1, 2, 4, 4, seed=1), normal(1, 2, 4, 4, seed=2), normal(1, 2, 4, 3)
    mask = torch.ones(1, 4)
    shifted = minilm_v1(scores + normal(1, 2, 4, 1, seed=3), others, values, values, mask)
    assert shifted.item() == pytest.approx(minilm_v1(scores, others, values, values, mask).item())


def rotation(width, seed):
    return torch.linalg.qr(normal(width, width, seed=seed))[0]


def test_a_rotation_within_a_head_changes_nothing_and_one_across_heads_does():
    student, teacher, mask = normal(2, 5, 8), normal(2, 5, 4, seed=1), torch.ones(2, 5)
    before = relation_kl(student, teacher, mask, relation_heads=2).item()
    within = student @ torch.block_diag(rotation(4, 2), rotation(4, 3))
    assert relation_kl(within, teacher, mask, relation_heads=2).item() == pytest.approx(before)
    assert abs(relation_kl(student @ rotation(8, 4), teacher, mask, relation_heads=2).item() - before) > 1e-3
    whole = relation_kl(student, teacher, mask, relation_heads=1).item()
    assert relation_kl(student @ rotation(8, 4), teacher, mask, relation_heads=1).item() == pytest.approx(whole)


def test_the_order_of_the_words_does_not_matter():
    student, teacher, order = normal(2, 5, 4), normal(2, 5, 4, seed=1), torch.tensor([3, 0, 4, 1, 2])
    mask = torch.tensor([[1, 1, 0, 1, 1], [1, 0, 0, 1, 1]])
    turned = relation_kl(student[:, order], teacher[:, order], mask[:, order], relation_heads=2)
    assert turned.item() == pytest.approx(relation_kl(student, teacher, mask, relation_heads=2).item())


def test_one_word_has_no_relations():
    student = normal(2, 3, 4).requires_grad_()
    found = relation_kl(student, normal(2, 3, 8, seed=1), torch.tensor([[0, 1, 0], [0, 0, 0]]), relation_heads=2)
    found.backward()
    assert found.item() == 0
    assert not student.grad.any()


def test_a_step_down_the_loss_brings_the_student_closer():
    teacher, mask = normal(2, 6, 8, seed=1), torch.ones(2, 6)
    student = normal(2, 6, 4).requires_grad_()
    optimizer = torch.optim.Adam([student], lr=0.05)
    before = relation_kl(student, teacher, mask, relation_heads=2).item()
    for _ in range(60):
        optimizer.zero_grad()
        relation_kl(student, teacher, mask, relation_heads=2).backward()
        optimizer.step()
    assert relation_kl(student, teacher, mask, relation_heads=2).item() < before / 5


@pytest.mark.parametrize(
    ("widths", "heads"),
    [
        ((312, 768), [1, 2, 3, 4, 6, 8, 12, 24]),
        ((5, 7), [1]),
        ((6,), [1, 2, 3, 6]),
        ((384, 768, 1024), [1, 2, 4, 8, 16, 32, 64, 128]),
    ],
)
def test_relation_heads_that_divide_all_widths(widths, heads):
    assert relation_heads_for(*widths) == heads
    assert relation_heads_for(*reversed(widths)) == heads


def test_48_fits_the_papers_widths():
    assert 48 in relation_heads_for(384, 768)
    assert 64 in relation_heads_for(384, 1024)
    assert 48 not in relation_heads_for(312, 768)


@pytest.mark.parametrize("widths", [(), (0,), (768, -1)])
def test_widths_that_are_none(widths):
    with pytest.raises(ValueError, match="positive"):
        relation_heads_for(*widths)


@pytest.mark.parametrize("heads", [48, 0, -1])
def test_heads_that_do_not_fit_are_answered_with_those_that_do(heads):
    with pytest.raises(
        ValueError, match=rf"relation_heads={heads} .*\(1, 2, 312\).*\(1, 2, 768\); 1, 2, 3, 4, 6, 8, 12, 24 would"
    ):
        relation_kl(normal(1, 2, 312), normal(1, 2, 768), torch.ones(1, 2), relation_heads=heads)


def test_v1_refuses_other_heads_and_names_the_way_out():
    values = normal(1, 2, 3, 4)
    with pytest.raises(ValueError, match=r"student \(1, 2, 3, 3\), teacher \(1, 4, 3, 3\); minilm_v2 needs no equal heads"):
        minilm_v1(normal(1, 2, 3, 3), normal(1, 4, 3, 3), values, values, torch.ones(1, 3))
    with pytest.raises(ValueError, match=r"values .* student \(1, 2, 3, 4\), teacher \(1, 4, 3, 4\)"):
        minilm_v1(normal(1, 2, 3, 3), normal(1, 2, 3, 3), values, normal(1, 4, 3, 4), torch.ones(1, 3))
    with pytest.raises(ValueError, match="values"):
        minilm_v1(normal(1, 2, 3, 3), normal(1, 2, 3, 3), values[:, 0], values[:, 0], torch.ones(1, 3))


def test_v2_wants_three_of_each():
    x = normal(1, 3, 4)
    with pytest.raises(ValueError, match="got 2 of the student and 3 of the teacher"):
        minilm_v2((x, x), (x, x, x), torch.ones(1, 3), relation_heads=2)
