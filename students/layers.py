"""Where the layers of each encoder family are, which of them a student keeps, and how the others are cut away."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from sentence_transformers import SentenceTransformer
from torch import nn

from distill.errors import ModelError

LAYERS: dict[str, tuple[str, str]] = {
    # model_type: (path of the module that holds the list, name of the list there)
    "bert": ("encoder", "layer"),
    "roberta": ("encoder", "layer"),
    "xlm-roberta": ("encoder", "layer"),
    "mpnet": ("encoder", "layer"),
    "electra": ("encoder", "layer"),
    "deberta-v2": ("encoder", "layer"),
    "distilbert": ("transformer", "layer"),
    "modernbert": ("", "layers"),
}


def layer_stack(encoder: nn.Module) -> tuple[nn.Module, str, nn.ModuleList]:
    """The list of layers of a transformers encoder.

    Args:
        encoder: the transformers model inside a SentenceTransformer.

    Returns:
        (owner, name, layers): `getattr(owner, name)` is `layers`, and may be replaced by a shorter list.

    Raises:
        ModelError: a family whose layers cannot be taken apart, or that is not known here.
    """
    kind = str(getattr(encoder.config, "model_type", "unknown"))
    if kind == "albert":
        raise ModelError(
            "all layers of ALBERT share one set of weights, so none can be cut",
            got="model_type albert",
            expected=f"one of {', '.join(sorted(LAYERS))}",
            hint="make a small one anew (student={kind: tiny, layers: ..., hidden: ..., heads: ...}), or start from another "
            "model with student.from",
        )
    if kind not in LAYERS:
        raise ModelError(
            "it is not known where the layers of this kind of model are",
            got=f"model_type {kind}",
            expected=f"one of {', '.join(sorted(LAYERS))}",
            hint="start the student from another model with student.from",
        )
    path, name = LAYERS[kind]
    owner = encoder.get_submodule(path)
    return owner, name, getattr(owner, name)


def choose_layers(available: int, layers: int | Sequence[int]) -> list[int]:
    """The 0-based indices of the layers to keep.

    Args:
        available: layers of the start model.
        layers: how many to keep, or which. A number spreads them evenly from the first to the last, a tie going to the
            even index: 3 of 6 are 0, 2, 5 and 6 of 12 are 0, 2, 4, 7, 9, 11. One alone is the first, the only layer
            that has learnt to read the word embeddings.

    Raises:
        ModelError: more layers, or a higher index, than there are; none; a repeated or unsorted index.
    """
    if isinstance(layers, int):
        if layers > available:
            raise ModelError(
                "the start model has fewer layers than that", where="student.layers", got=layers, expected=f"at most {available}"
            )
        if layers < 1:
            raise ModelError("a student needs at least 1 layer", where="student.layers", got=layers)
        return [round(step * (available - 1) / (layers - 1)) for step in range(layers)] if layers > 1 else [0]
    chosen = list(layers)
    if not chosen or chosen != sorted(set(chosen)) or chosen[0] < 0:
        raise ModelError("layer indices must rise, without repeats, from 0", where="student.layers", got=chosen)
    if chosen[-1] >= available:
        raise ModelError(
            "the start model has fewer layers than that",
            where="student.layers",
            got=chosen,
            expected=f"indices from 0 to {available - 1}: it has {available} layers",
        )
    return chosen


def cut_layers(encoder: SentenceTransformer, indices: Sequence[int], *, shared: bool = False) -> SentenceTransformer:
    """A copy of `encoder` with some of its layers, sharing nothing with it unless told to.

    Args:
        encoder: a SentenceTransformer whose first module is a transformer; left as it is.
        indices: 0-based indices of the layers to keep, rising.
        shared: take the weights and the tokenizer themselves instead of copies: a model to look at, not to train, which
            takes next to no memory.

    Returns:
        The shorter model, config included.

    Raises:
        ModelError: see `layer_stack`, or ModernBERT without its first layer, the only one built to follow the embeddings.
    """
    original = encoder.transformers_model
    if original is None:
        raise ModelError("a student of layers starts from a transformer, and this model has none", where="student.from")
    check_cut(original, indices)
    kept = [*encoder.parameters(), *encoder.buffers(), encoder.tokenizer] if shared else []
    cut = copy.deepcopy(encoder, {id(part): part for part in kept})
    keep_layers(cut.transformers_model, indices)
    return cut


def check_cut(encoder: nn.Module, indices: Sequence[int]) -> None:
    """Refuse a cut that the family of a transformers encoder does not allow.

    Raises:
        ModelError: see `layer_stack`, or ModernBERT without its first layer, the only one built to follow the embeddings.
    """
    if encoder.config.model_type == "modernbert" and indices[0] != 0:
        raise ModelError(
            "ModernBERT's first layer must be kept: it alone has no normalisation of its own before attention",
            where="student.layers",
            got=list(indices),
            expected="indices that start with 0",
        )
    layer_stack(encoder)


def keep_layers(encoder: nn.Module, indices: Sequence[int]) -> None:
    """Take all other layers out of a transformers encoder, in place, config included."""
    owner, name, layers = layer_stack(encoder)
    setattr(owner, name, nn.ModuleList(layers[index] for index in indices))
    _shorten_config(encoder.config, indices)


def _shorten_config(config: Any, indices: Sequence[int]) -> None:
    """Make a config say what the cut model is, so that saving and loading give the same model."""
    setattr(config, "n_layers" if config.model_type == "distilbert" else "num_hidden_layers", len(indices))
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[index] for index in indices]
        if hasattr(config, "global_attn_every_n_layers"):  # the older spelling of layer_types, no longer true
            del config.global_attn_every_n_layers
