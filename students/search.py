"""Which layers to keep: measured on plain sentences instead of spread evenly."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from sentence_transformers import SentenceTransformer

from .layers import choose_layers, cut_layers, layer_stack

SENTENCES = 192
"""How many sentences the search looks at."""
EXHAUSTIVE = 40
"""Up to so many choices all are tried; beyond, layers are taken away one by one."""

Track = Callable[[Iterable[list[int]]], Iterator[list[int]]]


def search_layers(
    encoder: SentenceTransformer,
    count: int,
    texts: Sequence[str],
    teacher_vectors: np.ndarray,
    *,
    track: Track = iter,
) -> tuple[list[int], float]:
    """The layers whose untrained cut agrees best with the teacher.

    Agreement is Pearson's correlation of the cosines of all sentence pairs; no labels are needed, and the widths of
    the two models may differ. With few choices all are tried. With many, layers are removed one at a time, always the
    one whose loss hurts least (backward elimination).

    Args:
        encoder: the start model; left as it is.
        count: how many layers to keep.
        texts: sentences, the prompt in front; the first 192 are used.
        teacher_vectors: the teacher's vectors of them, [n, d_T].
        track: wraps each round's choices, to show progress.

    Returns:
        The indices kept, and their agreement.

    Raises:
        ModelError: the model has fewer layers, or cannot be cut.
    """
    model = encoder.transformers_model
    available = len(layer_stack(model)[2])
    choose_layers(available, count)
    rows = list(texts[:SENTENCES])
    wanted = _pair_cosines(np.asarray(teacher_vectors[: len(rows)]))
    # ModernBERT's first layer has no norm before its attention: it can only be first.
    fixed = {0} if model is not None and model.config.model_type == "modernbert" else set()

    def agreement(kept: Sequence[int]) -> float:
        cut = cut_layers(encoder, kept, shared=True)
        found = cut.encode(rows, prompt="", batch_size=64, show_progress_bar=False, convert_to_numpy=True)
        ours = _pair_cosines(found)
        if not ours.std() or not wanted.std():  # nothing can agree with similarities that are all alike
            return -1.0
        return float(np.corrcoef(ours, wanted)[0, 1])

    if count == available:
        return list(range(available)), agreement(range(available))
    if math.comb(available, count) <= EXHAUSTIVE:
        choices = [list(kept) for kept in itertools.combinations(range(available), count) if fixed <= set(kept)]
        return _best(choices, agreement, track)
    kept, value = list(range(available)), 0.0
    while len(kept) > count:
        choices = [[layer for layer in kept if layer != gone] for gone in kept if gone not in fixed]
        kept, value = _best(choices, agreement, track)
    return kept, value


def _best(choices: list[list[int]], agreement: Callable[[Sequence[int]], float], track: Track) -> tuple[list[int], float]:
    """The choice with the highest agreement; the earlier one of equals."""
    scored = [(agreement(kept), kept) for kept in track(choices)]
    value, kept = max(scored, key=lambda pair: pair[0])
    return kept, value


def _pair_cosines(vectors: np.ndarray) -> np.ndarray:
    """Cosine of every distinct pair of rows."""
    rows = vectors.astype(np.float64)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return np.asarray((rows @ rows.T)[np.triu_indices(len(rows), 1)])
