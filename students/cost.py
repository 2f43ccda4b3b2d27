"""What a model costs in parameters."""

from __future__ import annotations

from torch import nn


def count_parameters(model: nn.Module) -> dict[str, int]:
    """Count the parameters of a model; one that is used in several places counts once.

    Args:
        model: any torch module.

    Returns:
        `params`: all of them. `embedding_params`: those of lookup tables (words, positions, token types), which cost
        memory but hardly any time. `encoder_params`: the others.
    """
    params = sum(weight.numel() for weight in model.parameters())
    tables = {
        id(module.weight): module.weight.numel()
        for module in model.modules()
        if isinstance(module, (nn.Embedding, nn.EmbeddingBag))
    }
    embedding = sum(tables.values())
    return {"params": params, "embedding_params": embedding, "encoder_params": params - embedding}
