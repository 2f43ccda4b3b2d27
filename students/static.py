"""The static student: a table of token vectors that needs no text to be made, only the teacher.

Each piece of the vocabulary goes through the teacher alone; PCA brings the vectors to the table's width and SIF weights
tell content from function words. Training the table toward the teacher on sentences comes after.

Reference: model2vec, https://github.com/MinishLab/model2vec; Arora et al. 2017, "A Simple but Tough-to-Beat Baseline for
Sentence Embeddings" (the weights).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize
from torch import nn

from distill.errors import ModelError

from .build import Student
from .table import TokenTable, plain_tokenizer

logger = logging.getLogger(__name__)

Track = Callable[[Iterable[int]], Iterator[int]]

_UNUSED = re.compile(r"[\[<]?unused[_ -]?\d+[\]>]?")
"""Places that a vocabulary keeps free."""


def build_static(
    teacher: SentenceTransformer,
    *,
    teacher_dim: int,
    teacher_normalizes: bool,
    teacher_prompt: str,
    max_length: int,
    dim: int,
    projection: Literal["keep", "drop"],
    sif: float = 1e-4,
    batch_size: int = 256,
    distil: bool = True,
    track: Track = iter,
) -> Student:
    """A static student of `teacher`, which is left as it is.

    It ends with Normalize exactly where the teacher does, and its prompts are the teacher's. Where the widths differ
    the bridge starts as the axes of the PCA, which lead back into the teacher's space and keep every angle. Nothing
    here is random.

    Args:
        teacher: the model.
        teacher_dim: width of its vectors.
        teacher_normalizes: whether they have length 1.
        teacher_prompt: text the teacher puts before every sentence; "" for none.
        max_length: longest input in tokens.
        dim: width of the table; more than `teacher_dim` is taken as `teacher_dim`, with a warning.
        projection: what becomes of the bridge.
        sif: the a in the weight a / (a + p).
        batch_size: pieces per forward of the teacher.
        distil: False leaves the table at zero, for whoever loads trained weights into it.
        track: wraps the batches of the vocabulary, to show progress.

    Raises:
        ModelError: the teacher has no fast tokenizer.
    """
    width = _cap(dim, teacher_dim)
    tokenizer = _own_tokenizer(teacher, max_length)
    axes = np.eye(teacher_dim, width)
    table = np.zeros((len(_pieces(tokenizer)), width), np.float32)
    if distil:
        table, axes = token_table(teacher, dim=width, sif=sif, batch_size=batch_size, prompt=teacher_prompt, track=track)
    modules: list[nn.Module] = [TokenTable(tokenizer, torch.from_numpy(table), max_length)]
    bridge: nn.Linear | None = None
    kept: Literal["none", "keep", "drop"] = "none"
    if width != teacher_dim:
        kept = projection
        dense = _bridge(axes)
        if projection == "keep":
            modules.append(dense)
        else:
            bridge = dense.linear.to(teacher.device)
    model = _assemble(modules, teacher, teacher_normalizes, teacher_prompt)
    return Student(model, bridge, [], 0, kept)


def distil_static(
    teacher: SentenceTransformer,
    *,
    dim: int = 256,
    sif: float = 1e-4,
    batch_size: int = 256,
    prompt: str = "",
    max_length: int | None = None,
    track: Track = iter,
) -> SentenceTransformer:
    """A static model of `teacher`, from its vocabulary alone: the table, and Normalize where the teacher ends with it.

    Args:
        teacher: left as it is.
        dim, sif, batch_size, prompt, track: as in `token_table`.
        max_length: longest input in tokens; None takes the teacher's.

    Raises:
        ModelError: see `token_table`.
    """
    table, _ = token_table(teacher, dim=dim, sif=sif, batch_size=batch_size, prompt=prompt, track=track)
    length = max_length or int(teacher.max_seq_length or 512)
    module = TokenTable(_own_tokenizer(teacher, length), torch.from_numpy(table), length)
    return _assemble([module], teacher, isinstance(teacher[-1], Normalize), prompt)


def token_table(
    teacher: SentenceTransformer,
    *,
    dim: int,
    sif: float,
    batch_size: int = 256,
    prompt: str = "",
    track: Track = iter,
) -> tuple[np.ndarray, np.ndarray]:
    """One row for each piece of the teacher's vocabulary: a / (a + p) times its first principal components.

    p falls as 1 / rank in the vocabulary's order (Zipf), since vocabularies are sorted by frequency. Counts of 5,749 pairs
    of training sentences in its place gave worse tables. The teacher's vectors are taken before a Normalize at its end,
    which was better too.

    Args:
        teacher: the model.
        dim: width of the rows; more than the teacher's is taken as the teacher's, with a warning.
        sif: a.
        batch_size: pieces per forward.
        prompt: text the teacher puts before every sentence.
        track: wraps the batches, to show progress.

    Returns:
        float32 [V, dim], and the axes float64 [d_T, dim], orthonormal. Special and unused tokens have a zero row.

    Raises:
        ModelError: the teacher has no fast tokenizer.
    """
    tokenizer = teacher.tokenizer
    pieces = _pieces(tokenizer)
    ids = _ordinary(tokenizer, pieces)
    vectors = _piece_vectors(teacher, ids, prompt, batch_size, track)
    rows, axes = principal_components(vectors, _cap(dim, vectors.shape[1]))
    rows *= sif_weights(zipf(len(ids)), sif)[:, None]
    table = np.zeros((len(pieces), rows.shape[1]), np.float32)
    table[ids] = rows
    return table, axes


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


def zipf(count: int) -> np.ndarray:
    """Frequencies that fall as 1 / rank and add up to 1, [count]."""
    inverse = 1 / np.arange(1, count + 1)
    return np.asarray(inverse / inverse.sum())


def sif_weights(frequencies: np.ndarray, a: float) -> np.ndarray:
    """Smooth inverse frequency, a / (a + p): near 0 for what every text has, near 1 for what is rare."""
    return np.asarray(a / (a + frequencies))


def _assemble(modules: Sequence[nn.Module], teacher: SentenceTransformer, normalize: bool, prompt: str) -> SentenceTransformer:
    """Modules as a model on the teacher's device that puts the teacher's prompt before every sentence."""
    model = SentenceTransformer(modules=[*modules, *[Normalize()] * normalize], device=str(teacher.device))
    model.prompts = {"query": prompt, "document": prompt}
    model.default_prompt_name = "query" if prompt else None
    return model.eval()


def _own_tokenizer(teacher: SentenceTransformer, max_length: int) -> Any:
    return plain_tokenizer(teacher.tokenizer, max_length, lower=bool(getattr(teacher[0], "do_lower_case", False)))


def _cap(dim: int, teacher_dim: int) -> int:
    if dim > teacher_dim:
        logger.warning(
            "the teacher's vectors have %d numbers, so the table has no more than that instead of %d", teacher_dim, dim
        )
    return min(dim, teacher_dim)


def _bridge(axes: np.ndarray) -> Dense:
    """The linear map back to the teacher's space, [d_T, dim] axes as its weight."""
    with torch.random.fork_rng(devices=[]):
        dense = Dense(axes.shape[1], axes.shape[0], activation_function=nn.Identity())
    with torch.no_grad():
        dense.linear.weight.copy_(torch.from_numpy(axes))
        dense.linear.bias.zero_()
    return dense


def _pieces(tokenizer: Any) -> list[str | None]:
    """The vocabulary by token id; None where an id has no piece."""
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError("a static student needs a teacher with a fast tokenizer", got=type(tokenizer).__name__)
    vocabulary = tokenizer.get_vocab()
    pieces: list[str | None] = [None] * (max(vocabulary.values()) + 1)
    for piece, index in vocabulary.items():
        pieces[index] = piece
    return pieces


def _ordinary(tokenizer: Any, pieces: Sequence[str | None]) -> np.ndarray:
    """The token ids that text gives, in order: neither special nor unused."""
    special = {int(index) for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    special.update(tokenizer.all_special_ids)
    found = (i for i, piece in enumerate(pieces) if piece is not None and i not in special and not _UNUSED.fullmatch(piece))
    return np.fromiter(found, np.int64)


@torch.no_grad()
def _piece_vectors(teacher: SentenceTransformer, ids: np.ndarray, prompt: str, batch_size: int, track: Track) -> np.ndarray:
    """The teacher's pooled vector of every piece alone, between the special tokens it puts around a text; no Normalize.

    Returns:
        float32 [len(ids), d_T].
    """
    tokenizer = teacher.tokenizer
    framed = tokenizer("a", return_special_tokens_mask=True, truncation=False)
    inner = [place for place, special in enumerate(framed["special_tokens_mask"]) if not special]
    asked = tokenizer(prompt, add_special_tokens=False)["input_ids"] if prompt else []
    head, tail = [*framed["input_ids"][: inner[0]], *asked], framed["input_ids"][inner[-1] + 1 :]
    teacher.eval()
    modules = list(teacher)
    while isinstance(modules[-1], Normalize):
        modules.pop()
    found = []
    for start in track(range(0, len(ids), batch_size)):
        part = torch.from_numpy(ids[start : start + batch_size])
        lines = [torch.full_like(part, token) for token in head] + [part] + [torch.full_like(part, token) for token in tail]
        batch = torch.stack(lines, 1).to(teacher.device)
        features: dict[str, Any] = {"input_ids": batch, "attention_mask": torch.ones_like(batch)}
        if "token_type_ids" in tokenizer.model_input_names:
            features["token_type_ids"] = torch.zeros_like(batch)
        if prompt:
            features["prompt_length"] = len(head)  # for a pooling that leaves the prompt out
        for module in modules:
            features = module(features)
        found.append(features["sentence_embedding"].float().cpu().numpy())
    return np.concatenate(found)
