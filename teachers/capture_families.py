"""Where each encoder family keeps its layers and its attention, and how that attention is listened to."""

from __future__ import annotations

import copy
import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from distill.errors import ModelError

from .capture_hooks import AttentionCall, See, Tap, tap_deberta, tap_deberta_v1, tap_mpnet


@dataclass(frozen=True)
class EncoderShape:
    """The sizes of an encoder, as its config says.

    Attributes:
        model_type: its family.
        layers: how many times hidden states are made; ALBERT's repeated layer counts each time.
        heads, head_dim: of the attention of each layer.
        hidden: width of hidden states and of the embeddings that the first layer sees.
        vocabulary: rows of the token table.
        windows: per layer, how far from a token another may be to be attended to; None for no limit.
    """

    model_type: str
    layers: int
    heads: int
    head_dim: int
    hidden: int
    vocabulary: int
    windows: tuple[int | None, ...]


@dataclass(frozen=True)
class Parts:
    """The modules of one encoder that capture listens to.

    Attributes:
        model_type: its family.
        start: called first in every forward pass.
        layers: one a layer, in the order of the calls; the same module several times where layers share one.
        outputs: the module whose output is the hidden state of each layer: the layer itself, but for DeBERTa's convolution.
        attentions: the attention module of each layer.
        tap: how to listen to an attention module.
    """

    model_type: str
    start: nn.Module
    layers: list[nn.Module]
    outputs: list[nn.Module]
    attentions: list[nn.Module]
    tap: Tap


def encoder_of(model: nn.Module) -> nn.Module:
    """The transformers encoder itself: `model`, or the one inside a task model or a SentenceTransformer.

    Raises:
        ModelError: there is no transformers encoder in it.
    """
    inner = getattr(model, "transformers_model", model)
    encoder = getattr(inner, "base_model", inner)
    if not isinstance(encoder, nn.Module) or not hasattr(getattr(encoder, "config", None), "model_type"):
        raise ModelError("there is no transformers encoder in this model", got=type(model).__name__)
    return encoder


def shape_of(encoder: nn.Module) -> EncoderShape:
    """The sizes of a transformers encoder, or of the one inside a task model or a SentenceTransformer.

    Raises:
        ModelError: there is no transformers encoder in it, or its config does not say them.
    """
    config = encoder_of(encoder).config
    try:
        layers = int(config.num_hidden_layers) * int(getattr(config, "inner_group_num", 1))
        heads, hidden, vocabulary = int(config.num_attention_heads), int(config.hidden_size), int(config.vocab_size)
    except AttributeError as error:
        raise ModelError("the config of this model does not say its sizes", got=str(error)) from error
    head_dim = getattr(config, "head_dim", None) or getattr(config, "attention_head_size", None) or hidden // heads
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * layers
    windows = tuple(int(config.sliding_window) if kind == "sliding_attention" else None for kind in kinds)
    return EncoderShape(str(config.model_type), layers, heads, int(head_dim), hidden, vocabulary, windows)


def parts_of(encoder: nn.Module) -> Parts:
    """The modules of an encoder that capture listens to.

    Raises:
        ModelError: a family that is not known here.
    """
    kind = str(encoder.config.model_type)
    if kind not in _FAMILIES:
        raise ModelError(
            "the inner states of this kind of model cannot be captured",
            got=f"model_type {kind}",
            expected=f"one of {', '.join(sorted(_FAMILIES))}",
            hint="use losses on embeddings or logits, which need no inner states",
        )
    path, attention, tap = _FAMILIES[kind]
    layers = _albert_layers(encoder) if kind == "albert" else list(encoder.get_submodule(path).children())
    outputs = list(layers)
    convolution = getattr(getattr(encoder, "encoder", None), "conv", None)
    if kind == "deberta-v2" and convolution is not None:
        outputs[0] = convolution
    attentions = [layer.get_submodule(attention) for layer in layers]
    return Parts(kind, encoder.get_submodule("embeddings"), layers, outputs, attentions, tap)


def _albert_layers(encoder: nn.Module) -> list[nn.Module]:
    """ALBERT's layers in the order of their calls: groups of layers that share weights, each called several times."""
    config: Any = encoder.config
    groups = list(encoder.get_submodule("encoder.albert_layer_groups").children())
    share = config.num_hidden_layers / config.num_hidden_groups
    called = [groups[int(index / share)] for index in range(config.num_hidden_layers)]
    return [layer for group in called for layer in group.get_submodule("albert_layers").children()]


_LISTENERS: WeakKeyDictionary[nn.Module, See] = WeakKeyDictionary()


def _observe(base: str, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Any, **options: Any) -> Any:
    """The attention function `base`, telling a listener what it is given."""
    see = _LISTENERS.get(module)
    if see is not None:
        scaling = options.get("scaling")
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        see(module, AttentionCall(query, key, value, lambda: torch.matmul(query, key.transpose(-1, -2)) * scale))
    if base == "eager":
        return sys.modules[type(module).__module__].eager_attention_forward(module, query, key, value, mask, **options)
    return ALL_ATTENTION_FUNCTIONS[base](module, query, key, value, mask, **options)


@functools.cache
def _observed(base: str) -> str:
    """The name under which transformers finds `_observe` around the attention function `base`."""
    name = f"observed_{base}"
    AttentionInterface.register(name, functools.partial(_observe, base))
    return name


def _tap_interface(module: nn.Module, see: See) -> Callable[[], None]:
    """Listen to a module that asks its config which attention function to use: it alone gets a config of its own.

    The model's config stays as it is, so that masks are made for the function that still does the work, other layers
    use it directly, and models built from the same config object notice nothing.
    """
    original: Any = module.config
    own = copy.deepcopy(original)
    own._attn_implementation = _observed(original._attn_implementation)
    module.config = own
    _LISTENERS[module] = see

    def undo() -> None:
        _LISTENERS.pop(module, None)
        module.config = original

    return undo


_BERT = ("encoder.layer", "attention.self", _tap_interface)
_FAMILIES: dict[str, tuple[str, str, Tap]] = {
    # model_type: (path of the list of layers, path of attention inside a layer, how to listen to it)
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "camembert": _BERT,
    "electra": _BERT,
    "distilbert": ("transformer.layer", "attention", _tap_interface),
    "albert": ("", "attention", _tap_interface),
    "modernbert": ("layers", "attn", _tap_interface),
    "mpnet": ("encoder.layer", "attention.attn", tap_mpnet),
    "deberta-v2": ("encoder.layer", "attention.self", tap_deberta),
    "deberta": ("encoder.layer", "attention.self", tap_deberta_v1),
}
