"""Cosine and squared distance against hand values and the losses of sentence-transformers and torch."""

import pytest
import torch
from sentence_transformers.sentence_transformer.losses import EmbedDistillLoss, MSELoss

from distill.losses.embedding import embedding_cosine, embedding_mse

# rows: same way, orthogonal, opposite, 3-4-5 (cosine 24/25)
STUDENT = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [3.0, 4.0]])
TEACHER = torch.tensor([[5.0, 0.0], [0.0, 1.0], [0.0, -2.0], [4.0, 3.0]])
COSINES = [0.0, 1.0, 2.0, 1 / 25]
SQUARES = [16.0, 5.0, 9.0, 2.0]


@pytest.mark.parametrize("row", range(4))
def test_hand_values_row_by_row(row):
    student, teacher = STUDENT[row : row + 1], TEACHER[row : row + 1]
    assert embedding_cosine(student, teacher).item() == pytest.approx(COSINES[row], abs=1e-6)
    assert embedding_mse(student, teacher).item() == pytest.approx(SQUARES[row])


def test_the_batch_is_the_mean_of_its_rows():
    assert embedding_cosine(STUDENT, TEACHER).item() == pytest.approx(3.04 / 4)
    assert embedding_mse(STUDENT, TEACHER).item() == pytest.approx(32 / 4)
    mask = torch.tensor([1, 0, 0, 1])
    assert embedding_cosine(STUDENT, TEACHER, mask).item() == pytest.approx(0.02)
    assert embedding_mse(STUDENT, TEACHER, mask).item() == pytest.approx(9)


def test_cosine_is_blind_to_length_and_mse_is_not():
    assert embedding_cosine(7 * STUDENT, TEACHER).item() == pytest.approx(embedding_cosine(STUDENT, TEACHER).item())
    assert embedding_mse(7 * STUDENT, TEACHER) > 2 * embedding_mse(STUDENT, TEACHER)


@pytest.mark.parametrize("width", [2, 384])
def test_on_unit_vectors_mse_is_twice_the_cosine_loss_at_any_width(embeddings, width):
    """Averaged over dimensions it would shrink with the width, and train next to nothing."""
    student, teacher = (torch.nn.functional.normalize(embeddings(9, width, seed)) for seed in (1, 2))
    assert embedding_mse(student, teacher).item() == pytest.approx(2 * embedding_cosine(student, teacher).item())


@pytest.mark.parametrize(("rows", "width"), [(1, 7), (3, 1), (65, 24)])
def test_sentence_transformers_and_torch_agree(embeddings, rows, width):
    student, teacher = embeddings(rows, width, 1), embeddings(rows, width, 2)
    theirs = EmbedDistillLoss(torch.nn.Identity(), "cosine").compute_loss_from_embeddings([student], [teacher])
    assert embedding_cosine(student, teacher).item() == pytest.approx(theirs.item(), rel=1e-12)
    mean = MSELoss(torch.nn.Identity()).compute_loss_from_embeddings([student], [teacher])
    assert embedding_mse(student, teacher).item() == pytest.approx(mean.item() * width, rel=1e-12)
    by_torch = torch.nn.functional.cosine_embedding_loss(student, teacher, torch.ones(rows))
    assert embedding_cosine(student, teacher).item() == pytest.approx(by_torch.item(), rel=1e-9)


def test_other_widths_need_a_bridge():
    for loss in (embedding_cosine, embedding_mse):
        with pytest.raises(ValueError, match="student is 4 wide, teacher 8: map the student up with a bridge"):
            loss(torch.zeros(2, 4), torch.zeros(2, 8))
