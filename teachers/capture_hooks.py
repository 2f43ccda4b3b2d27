"""How attention is listened to in families that do not ask transformers' attention interface."""

from __future__ import annotations

import math
import types
from collections.abc import Callable
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


def _hear_projections(module: nn.Module, names: tuple[str, str, str], kept: dict[str, Tensor]) -> list[Any]:
    """Keep the first output of the query, key and value projection in every call of `module`; returns the hooks."""

    def keep(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, args: Any, output: Tensor) -> None:
            kept.setdefault(name, output)  # DeBERTa may project its relative positions afterwards with the same module

        return hook

    def clear(_: nn.Module, args: Any) -> None:
        kept.clear()  # what an interrupted pass has left

    hooks = [module.register_forward_pre_hook(clear)]
    return hooks + [module.get_submodule(name).register_forward_hook(keep(key)) for key, name in zip("qkv", names, strict=True)]


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

    hooks = [*_hear_projections(module, ("q", "k", "v"), kept), module.register_forward_hook(finish, with_kwargs=True)]

    def undo() -> None:
        for hook in hooks:
            hook.remove()

    return undo


def tap_deberta(module: nn.Module, see: See) -> Callable[[], None]:
    """Listen to DeBERTa's attention: QK^T / sqrt(d * terms) plus what it adds for relative positions.

    That term is had by wrapping the bound method of this one module that makes it: with dropout on, making it again
    would give another.
    """
    kept: dict[str, Tensor] = {}
    bias_of = type(module).disentangled_attention_bias

    def wrapped(self: nn.Module, *args: Any, **options: Any) -> Any:
        bias = bias_of(self, *args, **options)
        if isinstance(bias, Tensor):
            kept["bias"] = bias
        return bias

    def finish(called: nn.Module, args: Any, output: Any) -> None:
        heads, terms = module.num_attention_heads, 1 + len({"c2p", "p2c"} & set(module.pos_att_type))
        queries, keys, values = (_split_heads(kept.pop(name), heads) for name in "qkv")
        bias = kept.pop("bias", None)

        def scores() -> Tensor:
            plain = torch.matmul(queries, keys.transpose(-1, -2) / math.sqrt(queries.shape[-1] * terms))
            return plain if bias is None else plain + bias.view_as(plain)

        see(called, AttentionCall(queries, keys, values, scores))

    module.disentangled_attention_bias = types.MethodType(wrapped, module)
    names = ("query_proj", "key_proj", "value_proj")
    hooks = [*_hear_projections(module, names, kept), module.register_forward_hook(finish)]

    def undo() -> None:
        for hook in hooks:
            hook.remove()
        del module.disentangled_attention_bias

    return undo


def tap_deberta_v1(module: nn.Module, see: See) -> Callable[[], None]:
    """Listen to the first DeBERTa's attention: one projection for all three, biases added behind it, and heads that may talk.

    Scores are QK^T / sqrt(d * terms) plus what relative positions add, through the projection between heads if there is one.
    """
    kept: dict[str, Tensor] = {}
    bias_of = type(module).disentangled_att_bias

    def wrapped(self: nn.Module, *args: Any, **options: Any) -> Any:
        bias = bias_of(self, *args, **options)
        if isinstance(bias, Tensor):
            kept["bias"] = bias
        return bias

    def keep(_: nn.Module, args: Any, output: Tensor) -> None:
        kept.setdefault("all", output)

    def finish(called: nn.Module, args: Any, output: Any) -> None:
        split = module.transpose_for_scores
        queries, keys, values = split(kept.pop("all")).chunk(3, dim=-1)
        queries, values = queries + split(module.q_bias[None, None]), values + split(module.v_bias[None, None])
        bias, terms = kept.pop("bias", None), 1 + len(module.pos_att_type)

        def scores() -> Tensor:
            plain = torch.matmul(queries / math.sqrt(queries.shape[-1] * terms), keys.transpose(-1, -2))
            found = plain if bias is None else plain + bias
            talk = module.head_logits_proj
            return found if talk is None else talk(found.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

        see(called, AttentionCall(queries, keys, values, scores))

    def clear(_: nn.Module, args: Any) -> None:
        kept.clear()

    module.disentangled_att_bias = types.MethodType(wrapped, module)
    hooks = [module.register_forward_pre_hook(clear), module.in_proj.register_forward_hook(keep)]
    hooks.append(module.register_forward_hook(finish))

    def undo() -> None:
        for hook in hooks:
            hook.remove()
        del module.disentangled_att_bias

    return undo
