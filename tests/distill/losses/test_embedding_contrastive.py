"""InfoNCE against hand values and torch's cross entropy."""

import pytest
import torch
import torch.nn.functional as F

from distill.losses.embedding import embedding_contrastive

EYE = torch.eye(3)


def test_hand_value():
    """Own cosine 1, the others 0, temperature 1: log(e + 2) - 1."""
    expected = torch.log(torch.tensor(torch.e + 2)) - 1
    assert embedding_contrastive(EYE, EYE, temperature=1.0).item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_torch_agrees(embeddings, temperature):
    student, teacher = embeddings(9, 6, 1), embeddings(9, 6, 2)
    scores = F.normalize(student) @ F.normalize(teacher).T / temperature
    expected = F.cross_entropy(scores, torch.arange(9))
    assert embedding_contrastive(student, teacher, temperature=temperature).item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_sentence_that_is_there_twice_is_no_negative_of_itself():
    teacher = torch.stack([EYE[0], EYE[0], EYE[1]])
    value = embedding_contrastive(teacher, teacher, temperature=1.0)
    expected = (2 * (torch.log(torch.tensor(torch.e + 1)) - 1) + torch.log(torch.tensor(torch.e + 2)) - 1) / 3
    assert value.item() == pytest.approx(expected.item(), abs=1e-6)


def test_masked_rows_are_neither_anchors_nor_negatives(embeddings):
    student, teacher = embeddings(7, 5, 1).requires_grad_(), embeddings(7, 5, 2)
    mask = torch.tensor([1, 1, 0, 1, 0, 1, 1])
    some = mask.bool()
    value = embedding_contrastive(student, teacher, mask)
    assert value.item() == pytest.approx(embedding_contrastive(student[some], teacher[some]).item(), rel=1e-6)
    value.backward()
    assert torch.isfinite(student.grad).all()
    assert student.grad[~some].abs().max() == 0


def test_gradcheck(embeddings):
    student, teacher = embeddings(4, 3, 1).double().requires_grad_(), embeddings(4, 3, 2).double()
    assert torch.autograd.gradcheck(lambda x: embedding_contrastive(x, teacher, temperature=0.5), (student,))


def test_the_temperature_is_positive():
    with pytest.raises(ValueError, match="temperature must be above 0, got 0"):
        embedding_contrastive(EYE, EYE, temperature=0)


def test_autocast_does_not_round_it(embeddings):
    """In bfloat16 the cosine of a vector to its own copy may be 0.996: a sentence would be a negative of its translation."""
    student, teacher = embeddings(8, 32, 1).float(), embeddings(4, 32, 2).float().repeat(2, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = embedding_contrastive(student, teacher)
    assert found.item() == pytest.approx(embedding_contrastive(student, teacher).item(), rel=1e-6)
