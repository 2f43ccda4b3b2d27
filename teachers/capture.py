"""Inner states of an encoder while it runs: embeddings, hidden states, raw attention scores, queries, keys and values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn

from distill.errors import DistillError, ModelError

from .capture_families import EncoderShape, Parts, encoder_of, parts_of, shape_of
from .capture_hooks import AttentionCall

__all__ = ["Capture", "EncoderShape", "States", "Wanted", "attention_probabilities", "encoder_of", "shape_of"]

_CAPTURED: WeakSet[nn.Module] = WeakSet()


@dataclass(frozen=True)
class Wanted:
    """Which inner states are wanted. Layers are 0-based; `a | b` wants what either does.

    Attributes:
        embeddings: what the first layer sees.
        hidden_states: layers whose output is wanted.
        attention_scores: layers whose raw scores are wanted.
        qkv: layers whose queries, keys and values are wanted.
    """

    embeddings: bool = False
    hidden_states: frozenset[int] = frozenset()
    attention_scores: frozenset[int] = frozenset()
    qkv: frozenset[int] = frozenset()

    def __or__(self, other: Wanted) -> Wanted:
        return Wanted(
            self.embeddings or other.embeddings,
            self.hidden_states | other.hidden_states,
            self.attention_scores | other.attention_scores,
            self.qkv | other.qkv,
        )


@dataclass
class States:
    """Inner states of one forward pass, by 0-based layer; what was not wanted is None or missing.

    Attributes:
        embeddings: what the first layer sees, [B, L, d].
        hidden_states: the output of a layer, [B, L, d]; before the final norm of a family that has one (ModernBERT).
        attention_scores: QK^T * scale, with the family's term for relative positions, before mask, softmax and dropout:
            [B, H, L, L]. Padded tokens have scores too.
        queries, keys, values: [B, H, L, d_head] each, as attention uses them: ModernBERT's are rotated.
    """

    embeddings: Tensor | None = None
    hidden_states: dict[int, Tensor] = field(default_factory=dict)
    attention_scores: dict[int, Tensor] = field(default_factory=dict)
    queries: dict[int, Tensor] = field(default_factory=dict)
    keys: dict[int, Tensor] = field(default_factory=dict)
    values: dict[int, Tensor] = field(default_factory=dict)


class Capture:
    """Listens to an encoder, whose outputs and weights stay as they are, until it is closed.

    Nothing but the wanted states is kept, and attention runs on the function the model already uses (sdpa, eager): scores
    are one more product QK^T of the layers where they are wanted. Nothing is detached: gradients flow into the encoder.
    A forward pass forgets what the last one has left. Copy or pickle a model after `close()`, or it takes the
    listeners along. Usable as a context manager.

    Args:
        encoder: a transformers encoder, or a task model or SentenceTransformer around one.
        wanted: what to keep.

    Raises:
        ModelError: no encoder in it, a family that cannot give what is wanted, a layer out of range, or an encoder that
            another open capture listens to.
    """

    def __init__(self, encoder: nn.Module, wanted: Wanted) -> None:
        self.encoder = encoder_of(encoder)
        self.wanted = wanted
        self._states = States()
        self._calls: Counter[tuple[str, nn.Module]] = Counter()
        self._undo: list[Callable[[], None]] = []
        parts = parts_of(self.encoder)
        _check(parts, wanted)
        if self.encoder in _CAPTURED:
            raise ModelError(
                "another capture listens to this encoder", hint="close that one first, or join what they want: Wanted | Wanted"
            )
        _CAPTURED.add(self.encoder)
        self._undo.append(lambda: _CAPTURED.discard(self.encoder))
        self._listen(parts)

    def take(self) -> States:
        """What the last forward pass left; it is then forgotten here.

        Raises:
            DistillError: no forward pass since the last `take`, or one that did not get through every wanted layer.
        """
        states, self._states = self._states, States()
        self._calls.clear()
        missing = _missing(self.wanted, states)
        if missing:
            raise DistillError(
                "the encoder has not been run to its end since the last take",
                where="capture of inner states",
                got=f"no {', '.join(missing)}",
                hint="run the captured encoder once before each take",
            )
        return states

    def close(self) -> None:
        """Leave the encoder as it was found; what was kept is forgotten."""
        while self._undo:
            self._undo.pop()()
        self._states = States()
        self._calls.clear()

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _listen(self, parts: Parts) -> None:
        """Install a listener wherever something wanted comes by, and nowhere else."""
        hooks = [parts.start.register_forward_pre_hook(self._start)]
        if self.wanted.embeddings:
            hooks.append(parts.layers[0].register_forward_pre_hook(self._hear_input, with_kwargs=True))
        self._outputs = _numbers(parts.outputs)
        self._attentions = _numbers(parts.attentions)
        for module, layers in self._outputs.items():
            if self.wanted.hidden_states & set(layers):
                hooks.append(module.register_forward_hook(self._hear_output))
        self._undo.extend(hook.remove for hook in hooks)
        for module, layers in self._attentions.items():
            if (self.wanted.attention_scores | self.wanted.qkv) & set(layers):
                self._undo.append(parts.tap(module, self._hear_attention))

    def _start(self, module: nn.Module, args: Any) -> None:
        """A forward pass begins."""
        self._states = States()
        self._calls.clear()
        if self.encoder.training and torch.is_grad_enabled() and _checkpointing(self.encoder):
            raise ModelError(
                "inner states cannot be captured with gradient checkpointing, which runs layers again in the backward pass",
                hint="train without gradient checkpointing, or without losses on inner states",
            )

    def _next(self, kind: str, module: nn.Module, numbers: dict[nn.Module, list[int]]) -> int | None:
        """The layer that this call of a module is; None for a module, or a call of it, that is not the encoder's."""
        layers = numbers.get(module, [])
        call = self._calls[kind, module]
        self._calls[kind, module] += 1
        return layers[call] if call < len(layers) else None

    def _hear_input(self, module: nn.Module, args: Any, options: dict[str, Any]) -> None:
        if self._states.embeddings is None:
            self._states.embeddings = args[0] if args else options["hidden_states"]

    def _hear_output(self, module: nn.Module, args: Any, output: Any) -> None:
        layer = self._next("output", module, self._outputs)
        if layer in self.wanted.hidden_states:
            self._states.hidden_states[layer] = output[0] if isinstance(output, tuple) else output

    def _hear_attention(self, module: nn.Module, call: AttentionCall) -> None:
        layer = self._next("attention", module, self._attentions)
        if layer in self.wanted.attention_scores:
            self._states.attention_scores[layer] = call.scores()
        if layer in self.wanted.qkv:
            self._states.queries[layer] = call.queries
            self._states.keys[layer] = call.keys
            self._states.values[layer] = call.values


def attention_probabilities(scores: Tensor, attention_mask: Tensor, window: int | None = None) -> Tensor:
    """softmax(scores + mask) over keys: the attention probabilities before dropout.

    Args:
        scores: raw scores [B, H, L, L].
        attention_mask: [B, L], 1 on real tokens; padded keys get exactly 0.
        window: how far from a token another may be to be attended to (`EncoderShape.windows`); None for no limit.

    Returns:
        [B, H, L, L], each row summing to 1. A row without any key to attend to is uniform; rows of padded queries mean
        nothing.

    Raises:
        ValueError: shapes that do not fit each other.
    """
    if scores.dim() != 4 or attention_mask.shape != (scores.shape[0], scores.shape[-1]):
        raise ValueError(f"scores {tuple(scores.shape)} and attention_mask {tuple(attention_mask.shape)} do not fit each other")
    allowed = attention_mask.bool()[:, None, None, :]
    if window is not None:
        rows = torch.arange(scores.shape[-2], device=scores.device)[:, None]
        columns = torch.arange(scores.shape[-1], device=scores.device)[None, :]
        allowed = allowed & ((rows - columns).abs() <= window)
    return torch.softmax(scores.masked_fill(~allowed, torch.finfo(scores.dtype).min), dim=-1)


def _checkpointing(encoder: nn.Module) -> bool:
    return any(getattr(module, "gradient_checkpointing", False) for module in encoder.modules())


def _numbers(modules: Sequence[nn.Module]) -> dict[nn.Module, list[int]]:
    """For each different module, the layers it is, in the order of its calls."""
    numbers: dict[nn.Module, list[int]] = {}
    for layer, module in enumerate(modules):
        numbers.setdefault(module, []).append(layer)
    return numbers


def _check(parts: Parts, wanted: Wanted) -> None:
    """Refuse what this encoder cannot give."""
    asked = {"hidden_states": wanted.hidden_states, "attention_scores": wanted.attention_scores, "qkv": wanted.qkv}
    for name, layers in asked.items():
        wrong = sorted(layer for layer in layers if not 0 <= layer < len(parts.layers))
        if wrong:
            raise ModelError(
                f"{name} of layers that the model does not have",
                got=wrong,
                expected=f"layers 0 to {len(parts.layers) - 1}: it has {len(parts.layers)}",
            )


def _missing(wanted: Wanted, states: States) -> list[str]:
    """The names of what is wanted and not there."""
    pairs = {
        "hidden_states": (wanted.hidden_states, states.hidden_states),
        "attention_scores": (wanted.attention_scores, states.attention_scores),
        "qkv": (wanted.qkv, states.values),
    }
    missing = [f"{name} of layer {layer}" for name, (layers, have) in pairs.items() for layer in sorted(layers - set(have))]
    return (["embeddings"] if wanted.embeddings and states.embeddings is None else []) + missing
