"""How attention is listened to in families that do not ask transformers' attention interface."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class AttentionCall:
    """What one call of an attention module worked on.

    Attributes:
        queries, keys, values: [B, H, L, d_head] each, after any rotation by position.
        scores: makes the raw scores [B, H, L, L] out of them, before mask and softmax.
    """

    queries: Tensor
    keys: Tensor
    values: Tensor
    scores: Callable[[], Tensor]


See = Callable[[nn.Module, AttentionCall], None]
Tap = Callable[[nn.Module, See], Callable[[], None]]  # (attention module, listener) -> what takes the listener away again


def _hear_projections(module: nn.Module, names: Mapping[str, str], kept: dict[str, Tensor]) -> list[Any]:
    """Keep the first output of some modules inside `module` in every call of it; returns the hooks.

    Args:
        module: of attention.
        names: key in `kept` -> name of the module.
        kept: gets the outputs; what an interrupted pass has left is dropped.
    """

    def keep(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, args: Any, output: Tensor) -> None:
            kept.setdefault(name, output)  # DeBERTa may project its relative positions afterwards with the same module

        return hook

    def clear(_: nn.Module, args: Any) -> None:
        kept.clear()

    hooks = [module.register_forward_pre_hook(clear)]
    return hooks + [module.get_submodule(name).register_forward_hook(keep(key)) for key, name in names.items()]


def _hear_bias(module: nn.Module, method: str, kept: dict[str, Tensor]) -> None:
    """Keep as `bias` what a method of this one module returns: with dropout on, calling it again would give another.

    Args:
        module: of attention; gets a method of its own, which `delattr` takes away.
        method: its name; makes what relative positions add to the scores.
        kept: gets it, where it is a tensor.
    """
    bias_of = getattr(type(module), method)

    def wrapped(self: nn.Module, *args: Any, **options: Any) -> Any:
        bias = bias_of(self, *args, **options)
        if isinstance(bias, Tensor):
            kept["bias"] = bias
        return bias

    setattr(module, method, types.MethodType(wrapped, module))


def _undo(hooks: Sequence[Any], module: nn.Module, method: str | None = None) -> Callable[[], None]:
    """What takes hooks, and a method of `_hear_bias`, away again."""

    def undo() -> None:
        for hook in hooks:
            hook.remove()
        if method is not None:
            delattr(module, method)

    return undo


def _split_heads(states: Tensor, heads: int) -> Tensor:
    """[B, L, H * d] -> [B, H, L, d]."""
    return states.unflatten(-1, (heads, -1)).transpose(1, 2)


def tap_mpnet(module: nn.Module, see: See) -> Callable[[], None]:
    """Listen to MPNet's attention: QK^T / sqrt(d) plus the bias of relative positions, which every layer is given."""
    kept: dict[str, Tensor] = {}

    def finish(called: nn.Module, args: Any, options: dict[str, Any], output: Any) -> None:
        queries, keys, values = (_split_heads(kept.pop(name), module.num_attention_heads) for name in "qkv")
        bias = args[2] if len(args) > 2 else options.get("position_bias")

        def scores() -> Tensor:
            plain = torch.matmul(queries, keys.transpose(-1, -2)) / math.sqrt(queries.shape[-1])
            return plain if bias is None else plain + bias

        see(called, AttentionCall(queries, keys, values, scores))

    heard = _hear_projections(module, {"q": "q", "k": "k", "v": "v"}, kept)
    return _undo([*heard, module.register_forward_hook(finish, with_kwargs=True)], module)


def tap_deberta(module: nn.Module, see: See) -> Callable[[], None]:
    """Listen to DeBERTa's attention: QK^T / sqrt(d * terms) plus what it adds for relative positions."""
    kept: dict[str, Tensor] = {}

    def finish(called: nn.Module, args: Any, output: Any) -> None:
        heads, terms = module.num_attention_heads, 1 + len({"c2p", "p2c"} & set(module.pos_att_type))
        queries, keys, values = (_split_heads(kept.pop(name), heads) for name in "qkv")
        bias = kept.pop("bias", None)

        def scores() -> Tensor:
            plain = torch.matmul(queries, keys.transpose(-1, -2) / math.sqrt(queries.shape[-1] * terms))
            return plain if bias is None else plain + bias.view_as(plain)

        see(called, AttentionCall(queries, keys, values, scores))

    method = "disentangled_attention_bias"
    _hear_bias(module, method, kept)
    heard = _hear_projections(module, {"q": "query_proj", "k": "key_proj", "v": "value_proj"}, kept)
    return _undo([*heard, module.register_forward_hook(finish)], module, method)


def tap_deberta_v1(module: nn.Module, see: See) -> Callable[[], None]:
    """Listen to the first DeBERTa's attention: one projection for all three, biases added behind it, and heads that may talk.

    Scores are QK^T / sqrt(d * terms) plus what relative positions add, through the projection between heads if there is one.
    """
    kept: dict[str, Tensor] = {}

    def finish(called: nn.Module, args: Any, output: Any) -> None:
        split = module.transpose_for_scores
        queries, keys, values = split(kept.pop("qkv")).chunk(3, dim=-1)
        queries, values = queries + split(module.q_bias[None, None]), values + split(module.v_bias[None, None])
        bias, terms = kept.pop("bias", None), 1 + len(module.pos_att_type)

        def scores() -> Tensor:
            plain = torch.matmul(queries / math.sqrt(queries.shape[-1] * terms), keys.transpose(-1, -2))
            found = plain if bias is None else plain + bias
            talk = module.head_logits_proj
            return found if talk is None else talk(found.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

        see(called, AttentionCall(queries, keys, values, scores))

    method = "disentangled_att_bias"
    _hear_bias(module, method, kept)
    heard = _hear_projections(module, {"qkv": "in_proj"}, kept)
    return _undo([*heard, module.register_forward_hook(finish)], module, method)
