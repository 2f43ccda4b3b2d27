"""Small encoders of the teacher's family, made anew: TinyBERT's shapes and any other, with a start from the teacher or none."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import nn

from distill.errors import ModelError, nearest

from .spec import TinySpec, shape_problem
from .start import Started, project_embeddings, start_from

__all__ = ["FAMILIES", "PRESETS", "Started", "build_tiny", "project_embeddings", "start_from", "tiny_config"]

PRESETS: dict[str, tuple[int, int, int, int]] = {
    # layers, width, heads, width of the feed-forward layer
    "4x312": (4, 312, 12, 1200),
    "6x384": (6, 384, 12, 1536),
    "6x768": (6, 768, 12, 3072),
}
"""TinyBERT's two shapes, and MiniLM's between them."""

FAMILIES = ("bert", "roberta", "xlm-roberta", "electra", "distilbert", "modernbert", "mpnet", "deberta-v2", "albert")
"""Every `config.model_type` of which a small encoder can be made."""

logger = logging.getLogger(__name__)


def tiny_config(
    like: Any,
    *,
    preset: str | None = None,
    layers: int | None = None,
    hidden: int | None = None,
    heads: int | None = None,
    intermediate: int | None = None,
    vocab_size: int | None = None,
) -> Any:
    """The config of a smaller encoder of the same family, with all else as it is.

    Args:
        like: a transformers config, such as the teacher's; left as it is.
        preset: one of `PRESETS`, in place of the numbers.
        layers, hidden, heads: the shape, all three where there is no preset.
        intermediate: width of the feed-forward layers; None takes that of the preset of this shape, else 4 x hidden.
        vocab_size: rows of the word table; None keeps `like`'s.

    Raises:
        ModelError: a family or preset that is not known, or numbers that fit neither each other nor the family.
    """
    family = str(getattr(like, "model_type", "unknown"))
    if family not in FAMILIES:
        raise ModelError(
            "no small encoder of this family can be made", got=f"model_type {family}", expected=f"one of {', '.join(FAMILIES)}"
        )
    shape = _shape(preset, layers, hidden, heads, intermediate)
    _check(like, shape, vocab_size)
    config = type(like)(**{**_rest(like), **_spelled(like, shape)})
    if vocab_size is not None:
        config.vocab_size = vocab_size
    return config


def build_tiny(
    like: Any,
    *,
    seed: int,
    preset: str | None = None,
    layers: int | None = None,
    hidden: int | None = None,
    heads: int | None = None,
    intermediate: int | None = None,
    vocab_size: int | None = None,
    init_from: nn.Module | None = None,
    copy_layers: Sequence[int] | Literal["spread"] | None = None,
) -> Any:
    """A small encoder, as `AutoModel` makes it, in fp32 and eval mode; the global random state stays as it is.

    Args:
        like: the teacher, or its config.
        seed: of the weights.
        preset, layers, hidden, heads, intermediate, vocab_size: as in `tiny_config`.
        init_from: an encoder whose embeddings it starts from; see `start_from`, whose words go to the log.
        copy_layers: layers of `init_from` to start from as well.
    """
    from transformers import AutoModel

    config = tiny_config(
        getattr(like, "config", like),
        preset=preset,
        layers=layers,
        hidden=hidden,
        heads=heads,
        intermediate=intermediate,
        vocab_size=vocab_size,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModel.from_config(config, dtype=torch.float32)
    if init_from is not None:
        logger.info("the student starts with %s", start_from(model, init_from, copy_layers))
    return model.eval()


def _shape(
    preset: str | None, layers: int | None, hidden: int | None, heads: int | None, intermediate: int | None
) -> tuple[int, int, int, int]:
    """(layers, hidden, heads, intermediate), all given."""
    if preset is not None and preset not in PRESETS:
        raise ModelError(
            "there is no such size", where="size", got=preset, expected=", ".join(PRESETS), hint=nearest(preset, PRESETS)
        )
    problem = shape_problem(preset, layers, hidden, heads)
    if problem is not None:
        raise ModelError(problem)
    if preset is not None:
        known = PRESETS[preset]
        return (*known[:3], known[3] if intermediate is None else intermediate)
    assert layers is not None, "a shape without a problem has all three"
    assert hidden is not None
    assert heads is not None
    usual = next((row[3] for row in PRESETS.values() if row[:3] == (layers, hidden, heads)), 4 * hidden)
    return layers, hidden, heads, usual if intermediate is None else intermediate


def _check(like: Any, shape: tuple[int, int, int, int], vocab_size: int | None) -> None:
    _, hidden, heads, _ = shape
    if min(shape) < 1:
        raise ModelError("these numbers must be at least 1", got=f"layers, hidden, heads, intermediate = {shape}")
    if like.model_type == "modernbert" and (hidden // heads) % 2:
        raise ModelError(
            "ModernBERT turns pairs of numbers by position, so a head needs an even width",
            got=f"{hidden} / {heads} = {hidden // heads}",
        )
    pad = getattr(like, "pad_token_id", None)
    if vocab_size is not None and pad is not None and vocab_size <= pad:
        raise ModelError("the padding token lies beyond this vocabulary", got=f"vocab_size {vocab_size}, pad_token_id {pad}")


def _rest(like: Any) -> dict[str, Any]:
    """The settings of a config that do not depend on the shape."""
    settings = copy.deepcopy(like.to_dict())
    dropped = ("architectures", "_name_or_path", "transformers_version", "model_type", "dtype", "torch_dtype")
    # What follows from the number or width of the layers is worked out anew.
    derived = ("layer_types", "pooler_hidden_size", "attention_head_size", "head_dim", "embedding_size")
    return {key: value for key, value in settings.items() if key not in (*dropped, *derived)}


def _spelled(like: Any, shape: tuple[int, int, int, int]) -> dict[str, Any]:
    """The shape as the family's config names it."""
    layers, hidden, heads, intermediate = shape
    if like.model_type == "distilbert":
        return {"n_layers": layers, "dim": hidden, "n_heads": heads, "hidden_dim": intermediate}
    named: dict[str, Any] = {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "intermediate_size": intermediate,
    }
    wide = getattr(like, "embedding_size", None)
    if like.model_type in ("electra", "albert"):  # a narrow word table stays narrow; one as wide as the layers follows them
        named["embedding_size"] = hidden if wide is None or wide == like.hidden_size else min(wide, hidden)
    if like.model_type == "deberta-v2":
        named["pooler_hidden_size"] = hidden
    return named


def tiny_of(spec: TinySpec, source: Any, seed: int) -> Any:
    """The small encoder that a recipe asks for.

    Args:
        spec: how large, and whether its word table starts at that of `source`.
        source: an encoder of the family; left as it is.
        seed: of the weights.
    """
    return build_tiny(
        source,
        preset=spec.size,
        layers=spec.layers,
        hidden=spec.hidden,
        heads=spec.heads,
        intermediate=spec.intermediate,
        init_from=source if spec.init == "embeddings" else None,
        seed=seed,
    )
