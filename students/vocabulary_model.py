"""A model whose embedding table, and whatever else has a row for each piece, follows a trimmed vocabulary."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Transformer
from torch import Tensor, nn

from distill.errors import ModelError

if TYPE_CHECKING:
    from .vocabulary import Trimmed

Model = TypeVar("Model", bound=nn.Module)


def trim_model(model: Model, tokenizer: Any, trimmed: Trimmed) -> tuple[Model, Any]:
    """A copy of a model that reads the trimmed vocabulary; texts whose pieces were all kept give what they gave.

    Remapped are the input embeddings, the output layer of a language-model head with its bias, and in the config
    `vocab_size` and every `..._token_id` (None where that token is gone).

    Args:
        model: a transformers model, or a SentenceTransformer whose first module is one; left as it is.
        tokenizer: the fast transformers tokenizer that was trimmed.
        trimmed: what `trim` gave.

    Returns:
        The copy, in the same dtype and place, and its tokenizer. A SentenceTransformer holds the tokenizer already.

    Raises:
        ModelError: the model has no token embeddings, has fewer rows than the vocabulary had pieces, or counts positions
            from a padding id that moved.
    """
    from .vocabulary import trimmed_tokenizer

    words = trimmed_tokenizer(tokenizer, trimmed)
    twin = copy.deepcopy(model)
    if isinstance(twin, SentenceTransformer):
        if not isinstance(twin[0], Transformer):
            raise ModelError("only a transformer's vocabulary can be trimmed", got=type(twin[0]).__name__)
        _trim_rows(twin[0].auto_model, trimmed)
        twin[0].processor = words
    else:
        _trim_rows(twin, trimmed)
    return twin, words


def _trim_rows(model: Any, trimmed: Trimmed) -> None:
    """Cut every parameter that has a row for each piece down to the kept ones, in place."""
    table = model.get_input_embeddings() if hasattr(model, "get_input_embeddings") else None
    if not isinstance(table, nn.Embedding):
        raise ModelError("this model has no table of token embeddings", got=type(model).__name__)
    old = table.num_embeddings
    if old <= int(trimmed.kept_ids.max()):
        raise ModelError(
            "this model has fewer token embeddings than its tokenizer has pieces",
            got=f"{old} rows",
            expected=f"{trimmed.old_size}",
        )
    new = trimmed.new_ids(old)
    _check_positions(model, table, new)
    rows = torch.from_numpy(trimmed.kept_ids)
    cut = {id(weight): _rows(weight, rows) for weight in _by_piece(model, table)}
    for module in model.modules():  # tied weights are one object in several modules: it stays one
        for name, weight in list(module._parameters.items()):
            if weight is not None and id(weight) in cut:
                setattr(module, name, cut[id(weight)])
                _resize(module, trimmed.size, new)
    model.config = copy.deepcopy(model.config)
    _renumber(model.config, new)
    model.config.vocab_size = trimmed.size
    for module in model.modules():
        if getattr(module, "config", None) is not None and module is not model and hasattr(module.config, "vocab_size"):
            module.config = model.config
        if isinstance(getattr(module, "vocab_size", None), int):
            module.vocab_size = trimmed.size


def _by_piece(model: Any, table: nn.Embedding) -> list[nn.Parameter]:
    """The parameters with a row for each piece: input table, output layer, and the bias a head keeps beside that layer."""
    found = [table.weight]
    output = model.get_output_embeddings()
    if output is None:
        return found
    found += [weight for weight in (output.weight, getattr(output, "bias", None)) if weight is not None]
    for module in model.modules():
        bias = module._parameters.get("bias")
        if bias is not None and bias.shape == (table.num_embeddings,) and output in module.children():
            found.append(bias)
    return found


def _rows(weight: nn.Parameter, rows: Tensor) -> nn.Parameter:
    return nn.Parameter(weight.detach()[rows.to(weight.device)].clone(), requires_grad=weight.requires_grad)


def _resize(module: nn.Module, size: int, new: np.ndarray) -> None:
    """Make a module's own notes agree with its new weight."""
    if isinstance(module, nn.Embedding):
        module.num_embeddings = size
        if module.padding_idx is not None:
            moved = int(new[module.padding_idx])
            module.padding_idx = moved if moved >= 0 else None
    elif isinstance(module, nn.Linear):
        module.out_features = size


def _check_positions(model: nn.Module, table: nn.Embedding, new: np.ndarray) -> None:
    """Models of the RoBERTa kind count positions from the padding id, which must then stay what it is."""
    for module in model.modules():
        positions = getattr(module, "position_embeddings", None)
        padding = getattr(positions, "padding_idx", None) if isinstance(positions, nn.Embedding) else None
        if padding is not None and positions is not table and new[padding] != padding:
            raise ModelError(
                "this model counts positions from its padding id, which would move",
                got=f"{padding} -> {int(new[padding])}",
                hint="pass the transformers tokenizer to trim, which then keeps the pieces before padding",
            )


def _renumber(config: Any, new: np.ndarray) -> None:
    """Give every token that a config names by number its new number, or None where it is gone."""

    def moved(old: int) -> int | None:
        found = int(new[old]) if 0 <= old < len(new) else -1
        return found if found >= 0 else None

    for key, value in list(vars(config).items()):
        if key.endswith("_token_id") and isinstance(value, int):
            setattr(config, key, moved(value))
        elif key.endswith(("_token_id", "_token_ids")) and isinstance(value, list):
            setattr(config, key, [index for index in map(moved, value) if index is not None])
