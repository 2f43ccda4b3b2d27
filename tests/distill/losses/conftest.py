"""Embeddings to lose on, and the losses between sentence vectors."""

import pytest
import torch

from distill.losses.embedding import embedding_contrastive, embedding_cosine, embedding_mse
from distill.losses.relation import pair_order, similarity_matrix

LOSSES = {
    "embedding_cosine": embedding_cosine,
    "embedding_mse": embedding_mse,
    "embedding_contrastive": embedding_contrastive,
    "similarity_matrix": similarity_matrix,
    "pair_order": pair_order,
}


@pytest.fixture(params=LOSSES)
def loss(request):
    """Each of the losses."""
    return LOSSES[request.param]


@pytest.fixture
def embeddings():
    """embeddings(rows, width, seed) -> float64 [rows, width], normal."""

    def make(rows, width, seed=0):
        return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

    return make
