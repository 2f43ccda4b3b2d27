"""Gram and flow matrices against hand values, plain loops and TextBrewer."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from textbrewer.presets import MATCH_LOSS_MAP

from distill.losses.gram import fsp, nst, nst_pair


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def mean(values):
    return sum(values) / len(values) if values else 0.0


def nst_by_loops(student_a, student_b, teacher_a, teacher_b, mask):
    found = []
    for b, counts in enumerate(mask.tolist()):
        valid = [token for token, one in enumerate(counts) if one]
        for i in valid:
            for j in valid:
                ours = dot(student_a[b, i].tolist(), student_b[b, j].tolist()) / student_a.shape[-1]
                theirs = dot(teacher_a[b, i].tolist(), teacher_b[b, j].tolist()) / teacher_a.shape[-1]
                found.append((ours - theirs) ** 2)
    return mean(found)


def fsp_by_loops(student_a, student_b, teacher_a, teacher_b, mask):
    found = []
    for b, counts in enumerate(mask.tolist()):
        valid = [token for token, one in enumerate(counts) if one]
        for p in range(student_a.shape[-1] if valid else 0):
            for q in range(student_b.shape[-1]):
                ours = mean([student_a[b, i, p].item() * student_b[b, i, q].item() for i in valid])
                theirs = mean([teacher_a[b, i, p].item() * teacher_b[b, i, q].item() for i in valid])
                found.append((ours - theirs) ** 2)
    return mean(found)


def test_nst_by_hand():
    """Student: one number a token, Gram [[1, 2], [2, 4]]; teacher: two, [[2, 0], [0, 1/2]] after the division by 2."""
    student, teacher = torch.tensor([[[1.0], [2.0]]]), torch.tensor([[[2.0, 0.0], [0.0, 1.0]]])
    assert nst(student, teacher, torch.ones(1, 2)).item() == pytest.approx((1 + 4 + 4 + 3.5**2) / 4)
    assert nst(student, teacher, torch.tensor([[0, 1]])).item() == pytest.approx(3.5**2)


def test_fsp_by_hand():
    """Flows of one number: (1 * 3 + 2 * 4) / 2 = 5.5 against (1 * 1 + 1 * 0) / 2 = 0.5."""
    a, b = torch.tensor([[[1.0], [2.0]]]), torch.tensor([[[3.0], [4.0]]])
    their_a, their_b = torch.tensor([[[1.0], [1.0]]]), torch.tensor([[[1.0], [0.0]]])
    assert fsp(a, b, their_a, their_b, torch.ones(1, 2)).item() == pytest.approx(25)
    assert fsp(a, b, their_a, their_b, torch.tensor([[1, 0]])).item() == pytest.approx((3 - 1) ** 2)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_against_loops(data):
    length = data.draw(st.integers(1, 5))
    mask = torch.tensor(data.draw(st.lists(st.lists(st.booleans(), min_size=length, max_size=length), min_size=1, max_size=3)))
    seed = data.draw(st.integers(0, 99))
    a, b = normal(len(mask), length, 3, seed=seed), normal(len(mask), length, 3, seed=seed + 1)
    their_a, their_b = normal(len(mask), length, 5, seed=seed + 2), normal(len(mask), length, 5, seed=seed + 3)
    assert nst(a, their_a, mask).item() == pytest.approx(nst_by_loops(a, a, their_a, their_a, mask), abs=1e-12)
    expected = nst_by_loops(a, b, their_a, their_b, mask)
    assert nst_pair(a, b, their_a, their_b, mask).item() == pytest.approx(expected, abs=1e-12)
    expected = fsp_by_loops(a, their_a, b, their_b, mask)
    assert fsp(a, their_a, b, their_b, mask).item() == pytest.approx(expected, abs=1e-12)


def test_the_teacher_at_twice_the_width_is_a_perfect_student():
    teacher = normal(2, 5, 4)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    assert nst(torch.cat([teacher, teacher], -1), teacher, mask).item() == pytest.approx(0, abs=1e-15)


def test_nst_is_blind_to_rotation_and_not_to_length():
    student, teacher, mask = normal(2, 5, 4), normal(2, 5, 6, seed=1), torch.ones(2, 5)
    rotation, _ = torch.linalg.qr(normal(4, 4, seed=2))
    before = nst(student, teacher, mask).item()
    assert nst(student @ rotation, teacher, mask).item() == pytest.approx(before)
    assert abs(nst(2 * student, teacher, mask).item() - before) > 0.1


def test_fsp_sees_a_rotation_of_the_dimensions_and_not_the_order_of_the_words():
    a, b, their_a, their_b = (normal(2, 5, 4, seed=seed) for seed in range(4))
    mask, order = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 1, 0]]), torch.tensor([3, 0, 4, 1, 2])
    before = fsp(a, b, their_a, their_b, mask).item()
    turned = fsp(*(x[:, order] for x in (a, b, their_a, their_b)), mask[:, order])
    assert turned.item() == pytest.approx(before)
    rotation, _ = torch.linalg.qr(normal(4, 4, seed=9))
    assert abs(fsp(a @ rotation, b, their_a, their_b, mask).item() - before) > 1e-3


@pytest.mark.parametrize("name", ["nst", "mmd"])
@pytest.mark.parametrize(("ours", "theirs"), [(4, 4), (4, 6)])
def test_textbrewer_agrees_on_nst_without_padding(name, ours, theirs):
    a, b = normal(2, 5, ours), normal(2, 5, ours, seed=1)
    their_a, their_b = normal(2, 5, theirs, seed=2), normal(2, 5, theirs, seed=3)
    expected = MATCH_LOSS_MAP[name]([a, b], [their_a, their_b])
    assert nst_pair(a, b, their_a, their_b, torch.ones(2, 5)).item() == pytest.approx(expected.item(), rel=1e-12)
    expected = MATCH_LOSS_MAP[name]([a, a], [their_a, their_a])
    assert nst(a, their_a, torch.ones(2, 5)).item() == pytest.approx(expected.item(), rel=1e-12)


def test_textbrewer_divides_nst_by_the_length_where_it_has_a_mask():
    """With equal widths that is a factor, (length / width)^2; with others it is another loss."""
    student, teacher = normal(2, 5, 4), normal(2, 5, 4, seed=1)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    theirs = MATCH_LOSS_MAP["nst"]([student, student], [teacher, teacher], mask=mask)
    assert nst(student, teacher, mask).item() == pytest.approx(theirs.item() * (5 / 4) ** 2, rel=1e-12)


@pytest.mark.parametrize("name", ["fsp", "gram"])
@pytest.mark.parametrize("mask", [None, [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]])
def test_textbrewer_agrees_on_fsp(name, mask):
    a, b, their_a, their_b = (normal(2, 5, 4, seed=seed) for seed in range(4))
    mask = None if mask is None else torch.tensor(mask)
    expected = MATCH_LOSS_MAP[name]([a, b], [their_a, their_b], mask=mask)
    found = fsp(a, b, their_a, their_b, torch.ones(2, 5) if mask is None else mask)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)


def test_a_sentence_without_words_does_not_thin_the_flow():
    a, b, their_a, their_b = (normal(2, 3, 4, seed=seed) for seed in range(4))
    mask = torch.tensor([[1, 1, 0], [0, 0, 0]])
    alone = fsp(a[:1], b[:1], their_a[:1], their_b[:1], mask[:1])
    assert fsp(a, b, their_a, their_b, mask).item() == pytest.approx(alone.item())


def test_widths_that_do_not_fit():
    x, wide, mask = normal(1, 3, 4), normal(1, 3, 6), torch.ones(1, 3)
    with pytest.raises(ValueError, match="student is 4 wide, teacher 6"):
        fsp(x, x, wide, wide, mask)
    with pytest.raises(ValueError, match=r"students \(1, 3, 4\) and \(1, 3, 6\)"):
        nst_pair(x, wide, x, x, mask)
    with pytest.raises(ValueError, match=r"teachers \(1, 3, 6\) and \(1, 3, 4\)"):
        nst_pair(x, x, wide, x, mask)


@pytest.mark.parametrize("loss", [nst_pair, fsp])
def test_layers_of_different_sentences_are_refused(loss):
    one, two = normal(1, 3, 4), normal(2, 3, 4)
    with pytest.raises(ValueError, match=r"one batch and length.*\(1, 3, 4\) and \(2, 3, 4\)"):
        loss(one, two, one, two, torch.ones(1, 3))
