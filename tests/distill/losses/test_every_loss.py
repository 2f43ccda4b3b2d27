"""What holds for each of the losses: limits, gradients, masks, number formats, shapes."""

import importlib
import inspect
import runpy
from pathlib import Path

import pytest
import torch


@pytest.mark.parametrize("rows", [1, 2, 3, 65])
@pytest.mark.parametrize("width", [1, 7])
def test_the_teacher_itself_is_a_perfect_student(loss, embeddings, rows, width):
    teacher = embeddings(rows, width)
    extra = {"margin": 0.0} if loss.__name__ == "pair_order" else {}
    found = loss(teacher.clone(), teacher, **extra).item()
    if loss.__name__ == "embedding_contrastive":  # it counts how near the other rows are: no student gets to 0
        nearer = loss(teacher + 0.5 * embeddings(rows, width, 1), teacher).item()
        assert 0 <= found <= nearer + 1e-12
    else:
        assert found == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("rows", "width"), [(1, 1), (2, 7), (3, 1), (65, 7)])
def test_each_number_format_gives_about_the_float64_value_and_finite_gradients(loss, embeddings, kind, rows, width):
    student, teacher = embeddings(rows, width, 1).to(kind).requires_grad_(), embeddings(rows, width, 2).to(kind)
    found = loss(student, teacher)
    found.backward()
    exact = loss(student.detach().double(), teacher.double())
    assert found.shape == ()
    assert found.dtype == torch.float32
    # The inputs are equal bit for bit: what is left is the arithmetic, in float32.
    assert found.item() == pytest.approx(exact.item(), rel=1e-5, abs=1e-6)
    assert student.grad.dtype == kind
    assert torch.isfinite(student.grad).all()


def test_autocast_does_not_round_a_loss(loss, embeddings):
    """In bfloat16 a cosine near 1 moves in steps of 0.004: a margin of 0.015 and the last percents would drown."""
    student, teacher = embeddings(33, 24, 1).float(), embeddings(33, 24, 2).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(student, teacher)
    assert found.item() == pytest.approx(loss(student, teacher).item(), rel=1e-6)


@pytest.mark.parametrize("rows", [2, 4, 9])
def test_the_gradient_is_the_derivative(loss, embeddings, rows):
    student, teacher = embeddings(rows, 5, 3).requires_grad_(), embeddings(rows, 5, 4)
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher), (student,))
    mask = torch.arange(rows) != 1
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher, mask), (student,))


def test_the_teacher_gets_no_gradient(loss, embeddings):
    student, teacher = embeddings(6, 5, 5).requires_grad_(), embeddings(6, 5, 6).requires_grad_()
    loss(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


@pytest.mark.parametrize("garbage", [7.0, float("inf"), float("nan")])
def test_a_masked_row_counts_for_nothing(loss, embeddings, garbage):
    """Mask = subset: in the value and in the gradient, whatever stands in the rows that do not count."""
    keep = torch.tensor([True, False, True, True, False, True, True])
    student, teacher = embeddings(7, 5, 7), embeddings(7, 5, 8)
    subset = student[keep].clone().requires_grad_()
    expected = loss(subset, teacher[keep])
    expected.backward()
    student[~keep], teacher[~keep] = garbage, -garbage
    student.requires_grad_()
    found = loss(student, teacher, keep)
    found.backward()
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    torch.testing.assert_close(student.grad[keep], subset.grad)
    assert not student.grad[~keep].any()


def test_no_row_counts(loss, embeddings):
    student = embeddings(4, 5).requires_grad_()
    found = loss(student, embeddings(4, 5, 1), torch.zeros(4))
    found.backward()
    assert found.item() == 0.0
    assert not student.grad.any()


def test_an_embedding_of_zeros_is_survived(loss, embeddings):
    student = embeddings(4, 5)
    student[2] = 0
    student.requires_grad_()
    found = loss(student, embeddings(4, 5, 1))
    found.backward()
    assert torch.isfinite(found)
    assert torch.isfinite(student.grad).all()


def test_the_order_of_the_sentences_does_not_matter_on_small_batches(loss, embeddings):
    """Of pair_order only where it meets every pair of pairs once: 6 rows make 15 pairs."""
    student, teacher = embeddings(6, 5, 9), embeddings(6, 5, 10)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    assert loss(student[order], teacher[order]).item() == pytest.approx(loss(student, teacher).item(), rel=1e-12)


def test_shapes_that_do_not_fit_are_refused(loss):
    for student, teacher in (((2, 4), (3, 4)), ((4,), (4,)), ((1, 4), (3, 4))):
        with pytest.raises(ValueError, match=r"rows|batch, dim"):
            loss(torch.zeros(student), torch.zeros(teacher))
    with pytest.raises(ValueError, match="mask has shape"):
        loss(torch.zeros(2, 4), torch.zeros(2, 4), torch.ones(1))


ELSEWHERE = {
    "attention_ce": "test_textbrewer",  # TextBrewer's: padding is a part of it
    "nst_by_length": "test_textbrewer",
    "probability_shift": "test_textbrewer",  # no loss
    "relation_heads_for": "test_minilm",  # no loss
    "restricted_kl": "test_minilm",  # a part of others
    "logits_pair": "test_prediction",  # no loss
}


def test_every_public_loss_is_in_a_table_of_these_files():
    """A loss that is added is held to what holds for all: limits, gradients, masks, number formats, shapes."""
    here = Path(__file__)
    vectors, tokens, relations = (
        runpy.run_path(str(here.with_name(f"{name}.py")))[table]
        for name, table in (("conftest", "LOSSES"), ("test_token_losses", "CASES"), ("test_every_relation_loss", "LOSSES"))
    )
    known = {*vectors, *relations, *ELSEWHERE, *(name.split(",")[0] for name in tokens)}
    rooms = ("attention", "ckd", "embedding", "gram", "hidden", "minilm", "prediction", "relation", "textbrewer")
    found = {}
    for room in rooms:
        module = importlib.import_module(f"distill.losses.{room}")
        functions = inspect.getmembers(module, inspect.isfunction)
        found |= {name: room for name, value in functions if value.__module__ == module.__name__ and not name.startswith("_")}
    assert {name: room for name, room in found.items() if name not in known} == {}
