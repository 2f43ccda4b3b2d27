"""Build a student from a start model: cut layers, bridge the widths, end as the teacher ends."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
from torch import nn

from distill.errors import ModelError
from distill.positions import position_limit

from .init import fit_bridge
from .layers import choose_layers, cut_layers, layer_stack
from .save import save_student
from .spec import LayersSpec, TinySpec
from .tiny import tiny_of
from .vocabulary import Trimmed
from .vocabulary_model import trim_model

__all__ = ["Student", "build_student", "save_student"]


FIT_SENTENCES = 4096
"""How many sentences a bridge is fitted to before training."""


@dataclass
class Student:
    """A student before or after training.

    Attributes:
        model: the student itself: what is saved, exported and measured.
        bridge: linear map from the student's vectors to the teacher's width that training alone uses
            (projection `drop` with different widths), else None. It sees the vectors that `model` gives.
        layers: 0-based indices of the start model's layers that were kept.
        source_layers: layers of the start model.
        projection: `none` without a bridge, else `keep` (the bridge is a module of `model`; the recipe's `keep` and
            `align`) or `drop`.
        ids: the start model's id of each of the student's token ids, int64, where its vocabulary was trimmed, else None.
    """

    model: SentenceTransformer
    bridge: nn.Linear | None
    layers: list[int]
    source_layers: int
    projection: Literal["none", "keep", "drop"]
    ids: torch.Tensor | None = None

    @property
    def dim(self) -> int:
        """Width of the vectors that `model` gives."""
        return _width(self.model)

    def bridge_place(self) -> int | None:
        """Where in `model` the kept bridge stands, or None. It is the last Dense: a start model may have its own."""
        modules = list(self.model)
        found = (i for i in reversed(range(len(modules))) if isinstance(modules[i], Dense))
        return next(found, None) if self.projection == "keep" else None

    def below_bridge(self, *, normalize: bool) -> SentenceTransformer:
        """The student in the start model's space: its modules, shared, without a kept bridge.

        Args:
            normalize: whether it ends with Normalize, as the start model does.
        """
        place = self.bridge_place()
        modules = [module for index, module in enumerate(self.model) if index != place]
        while isinstance(modules[-1], Normalize):
            modules.pop()
        below = SentenceTransformer(modules=modules + [Normalize()] * normalize, device=str(self.model.device))
        below.max_seq_length = self.model.max_seq_length
        return below

    def start_bridge(self, texts: Sequence[str], teacher_vectors: np.ndarray) -> float | None:
        """Fit the bridge, if there is one, by least squares to what the teacher says of some sentences.

        Args:
            texts: sentences, the prompt in front.
            teacher_vectors: the teacher's vectors of them, [n, d_T].

        Returns:
            Mean cosine of the mapped vectors to the teacher's before any training; None without a bridge.
        """
        if self.projection == "none":
            return None
        place = self.bridge_place()
        modules = list(self.model)
        below = self.model if place is None else SentenceTransformer(modules=modules[:place], device=str(self.model.device))
        vectors = below.encode(list(texts), prompt="", batch_size=64, show_progress_bar=False, convert_to_numpy=True)
        bridge = self.bridge if place is None else modules[place].linear
        assert bridge is not None, "a projection has a bridge"
        return fit_bridge(bridge, vectors, teacher_vectors)


def build_student(
    spec: LayersSpec | TinySpec,
    source: SentenceTransformer,
    *,
    teacher_dim: int,
    teacher_normalizes: bool,
    teacher_prompt: str,
    max_length: int,
    seed: int,
    trimmed: Trimmed | None = None,
) -> Student:
    """A student made of some layers of `source`, or a small transformer of its family; `source` is left as it is.

    The student ends with Normalize exactly where the teacher does: trained toward unit vectors, vectors of free length
    would have to learn their length as well. Its prompts are the teacher's prompt, applied by default, since that is
    the only input it will have seen.

    Args:
        spec: which layers, and what becomes of the bridge.
        source: the start model.
        teacher_dim: width of the teacher's vectors.
        teacher_normalizes: whether they have length 1.
        teacher_prompt: text the teacher puts before every sentence; "" for none.
        max_length: the teacher's longest input in tokens, used unless the recipe gives one; capped by the positions of
            `source`.
        seed: of the bridge's weights, and of everything else that is made at random.
        trimmed: the pieces of `source`'s vocabulary that the student keeps; None for all.

    Raises:
        ModelError: too few layers, a family that cannot be cut, or `spec.max_length` beyond the positions of `source`.
    """
    inner = source.transformers_model
    if inner is None or not isinstance(source[0], Transformer):
        raise ModelError(
            "a student of layers starts from a model whose first module is a transformer",
            where="student.from",
            got=type(source[0]).__name__,
        )
    if isinstance(spec, TinySpec):
        kept, available = [], 0
        model = tiny_encoder(spec, source, seed)
    else:
        available = len(layer_stack(inner)[2])
        kept = choose_layers(available, spec.layers)
        model = cut_layers(source, kept)
    if trimmed is not None:
        model, _ = trim_model(model, model.tokenizer, trimmed)
    length = _length(spec.max_length, max_length, position_limit(inner))
    model = model.float().requires_grad_(True)
    model.truncate_dim = None
    while isinstance(model[-1], Normalize):
        del model[-1]
    bridge: nn.Linear | None = None
    projection: Literal["none", "keep", "drop"] = "none"
    width = _width(model)
    if width != teacher_dim or spec.projection == "align":
        projection = "drop" if spec.projection == "drop" else "keep"
        dense = _bridge(width, teacher_dim, seed)
        if projection == "keep":
            _append(model, dense)
        else:
            bridge = dense.linear.to(model.device)
    if teacher_normalizes:
        _append(model, Normalize())
    for module in model:
        if isinstance(module, Pooling):
            module.include_prompt = True  # the prompt is part of the text from here on, in ONNX too
    model.prompts = {"query": teacher_prompt, "document": teacher_prompt}
    model.default_prompt_name = "query" if teacher_prompt else None
    model.max_seq_length = length
    ids = None if trimmed is None else torch.from_numpy(np.asarray(trimmed.kept_ids, dtype=np.int64))
    return Student(model.eval(), bridge, kept, available, projection, ids)


def tiny_encoder(spec: TinySpec, source: SentenceTransformer, seed: int) -> SentenceTransformer:
    """A small transformer of `source`'s family under its kind of pooling.

    Args:
        spec: how large, and whether its word table starts at that of `source`.
        source: left as it is.
        seed: of the weights.
    """
    inner = source.transformers_model
    encoder = tiny_of(spec, inner, seed)
    first = copy.deepcopy(source[0])
    first.model = encoder
    modes = next((module.pooling_mode for module in source if isinstance(module, Pooling)), "mean")
    pooling = Pooling(encoder.config.hidden_size, modes)
    return SentenceTransformer(modules=[first, pooling], device=str(source.device))


def _append(model: SentenceTransformer, module: nn.Module) -> None:
    """Put a module at the end, named by its place as SentenceTransformer names them."""
    model.add_module(str(len(model)), module.to(model.device))


def _width(model: SentenceTransformer) -> int:
    """Width of a model's sentence vectors."""
    width = model.get_embedding_dimension()
    if width is None:
        raise ModelError("the start model does not tell the width of its vectors", where="student.from")
    return int(width)


def _length(asked: int | None, teacher: int, limit: int | None) -> int:
    """The student's longest input in tokens."""
    if asked is not None and limit is not None and asked > limit:
        raise ModelError(
            "that is more than the start model can read", where="student.max_length", got=asked, expected=f"at most {limit}"
        )
    wanted = teacher if asked is None else asked
    return int(min(wanted, limit if limit is not None else math.inf))


def _bridge(width: int, teacher_dim: int, seed: int) -> Dense:
    """A linear map with orthonormal rows or columns: before training it keeps angles where it widens."""
    with torch.random.fork_rng(devices=[]):
        dense = Dense(width, teacher_dim, activation_function=nn.Identity())
    with torch.no_grad():
        nn.init.orthogonal_(dense.linear.weight, generator=torch.Generator().manual_seed(seed))
        dense.linear.bias.zero_()
    return dense
