"""The pieces of a vocabulary one by one: which of them text gives, and what a model says of each alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from distill.errors import ModelError

Track = Callable[[Iterable[int]], Iterator[int]]

_UNUSED = re.compile(r"[\[<]?unused[_ -]?\d+[\]>]?")
"""Places that a vocabulary keeps free."""


def pieces_by_id(tokenizer: Any) -> list[str | None]:
    """The vocabulary by token id; None where an id has no piece.

    Raises:
        ModelError: not a fast tokenizer.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError("a table of pieces needs a teacher with a fast tokenizer", got=type(tokenizer).__name__)
    vocabulary = tokenizer.get_vocab()
    pieces: list[str | None] = [None] * (max(vocabulary.values()) + 1)
    for piece, index in vocabulary.items():
        pieces[index] = piece
    return pieces


def ordinary_ids(tokenizer: Any, pieces: Sequence[str | None]) -> np.ndarray:
    """The token ids that text gives, in order: neither special nor unused."""
    special = {int(index) for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    special.update(tokenizer.all_special_ids)
    found = (i for i, piece in enumerate(pieces) if piece is not None and i not in special and not _UNUSED.fullmatch(piece))
    return np.fromiter(found, np.int64)


def frame_of(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The special tokens that a tokenizer puts before and after a text."""
    framed = tokenizer("a", return_special_tokens_mask=True, truncation=False)
    inner = [place for place, special in enumerate(framed["special_tokens_mask"]) if not special]
    return framed["input_ids"][: inner[0]], framed["input_ids"][inner[-1] + 1 :]


def framed_pieces(tokenizer: Any, ids: np.ndarray, before: Sequence[int] = ()) -> dict[str, torch.Tensor]:
    """Inputs of a model in which every piece is a text of its own.

    Args:
        tokenizer: whose special tokens stand around.
        ids: int64 [n].
        before: ids of a prompt.

    Returns:
        int64 [n, length]; `token_type_ids` where the tokenizer's models take them.
    """
    head, tail = frame_of(tokenizer)
    part = torch.from_numpy(ids)
    lines = (
        [torch.full_like(part, token) for token in (*head, *before)] + [part] + [torch.full_like(part, token) for token in tail]
    )
    batch = torch.stack(lines, 1)
    features = {"input_ids": batch, "attention_mask": torch.ones_like(batch)}
    if "token_type_ids" in tokenizer.model_input_names:
        features["token_type_ids"] = torch.zeros_like(batch)
    return features


@torch.no_grad()
def piece_states(encoder: Any, tokenizer: Any, *, batch_size: int = 256, track: Track = iter) -> tuple[np.ndarray, np.ndarray]:
    """What an encoder's last layer gives at every piece of the vocabulary, each read alone between the special tokens.

    Args:
        encoder: of transformers; left as it is, but in eval mode.
        tokenizer: fast.
        batch_size: pieces per forward.
        track: wraps the batches, to show progress.

    Returns:
        The ids that text gives, int64 [n], and their states, float32 [n, d].

    Raises:
        ModelError: not a fast tokenizer.
    """
    ids = ordinary_ids(tokenizer, pieces_by_id(tokenizer))
    place = len(frame_of(tokenizer)[0])
    device = next(encoder.parameters()).device
    training = encoder.training
    encoder.eval()
    found = []
    for start in track(range(0, len(ids), batch_size)):
        features = framed_pieces(tokenizer, ids[start : start + batch_size])
        states = encoder(**{name: value.to(device) for name, value in features.items()}).last_hidden_state
        found.append(states[:, place].float().cpu().numpy())
    encoder.train(training)
    return ids, np.concatenate(found)


def principal_components(vectors: np.ndarray, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Centred vectors along their `dim` axes of largest variance, in float64.

    The axes are eigenvectors of the covariance, which are the right singular vectors of a full SVD. The largest
    component of each is positive, so that the signs are no accident. With all axes there is nothing to choose, and
    the vectors stay in their own coordinates.

    Args:
        vectors: [n, d].
        dim: at most d.

    Returns:
        [n, dim], and the axes [d, dim], orthonormal.
    """
    centred = vectors.astype(np.float64)
    centred -= centred.mean(0)
    if dim == centred.shape[1]:
        return centred, np.eye(dim)
    axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :dim]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(dim)])
    return centred @ axes, axes
