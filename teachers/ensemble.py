"""Several teachers as one: vectors averaged or joined, predictions averaged by label name.

Each teacher reads the text itself, with its own tokenizer, prompt and longest input; what is combined are sentence
vectors or logits, in numpy, after the forwards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from distill.errors import ModelError, nearest

from .load import Teacher

Combine = Literal["mean", "weighted", "concatenate"]
"""How sentence vectors of several teachers become one."""


def shares(weights: Sequence[float] | np.ndarray | None, count: int) -> np.ndarray:
    """Weights brought to a sum of 1; None gives all the same.

    Returns:
        float64 [count].

    Raises:
        ModelError: not one weight for each teacher, or some weight is not finite, is negative, or all are 0.
    """
    given = np.ones(count) if weights is None else np.asarray(list(weights), dtype=np.float64)
    if given.shape != (count,) or not np.isfinite(given).all() or (given < 0).any() or not given.sum() > 0:
        raise ModelError(
            "these are no weights of teachers",
            where="weights",
            got=None if weights is None else list(weights),
            expected=f"{count} numbers, none below 0, not all 0: one for each teacher",
        )
    found: np.ndarray = given / given.sum()
    return found


def average_vectors(parts: Sequence[np.ndarray], weights: Sequence[float] | None = None) -> np.ndarray:
    """Mean of unit vectors, brought back to length 1.

    Args:
        parts: of each teacher [n, d], all of one width.
        weights: one for each teacher; None: all the same.

    Returns:
        float32 [n, d].

    Raises:
        ModelError: the widths differ, or the weights are none.
    """
    _same_shape(parts, "average sentence vectors", "join them with combine 'concatenate'")
    share = shares(weights, len(parts))
    return _unit(sum(weight * _unit(part) for weight, part in zip(share, parts, strict=True))).astype(np.float32)


def join_vectors(parts: Sequence[np.ndarray], weights: Sequence[float] | None = None) -> np.ndarray:
    """Unit vectors side by side, so scaled that cosines of the whole are the weighted mean of the teachers' cosines.

    Without weights this is the target of Jasper (Zhang et al. 2024, arXiv:2412.19048): vectors of two teachers, joined.

    Args:
        parts: of each teacher [n, d_k]; widths may differ.
        weights: one for each teacher; None: all the same.

    Returns:
        float32 [n, sum of d_k], of length 1.

    Raises:
        ModelError: the parts are of different numbers of texts, or the weights are none.
    """
    share = shares(weights, len(parts))
    if len({len(part) for part in parts}) != 1:
        raise ModelError("vectors of different numbers of texts", where="ensemble", got=[len(part) for part in parts])
    scaled = [np.sqrt(weight) * _unit(part) for weight, part in zip(share, parts, strict=True)]
    return np.concatenate(scaled, axis=1).astype(np.float32)


def principal_axes(vectors: np.ndarray, width: int) -> np.ndarray:
    """The `width` directions that keep most of the vectors' dot products (PCA without the mean taken away).

    The mean stays because students are compared by cosine, which a shift would change. The largest entry of each axis
    is positive, so that equal vectors give equal axes.

    Args:
        vectors: [n, d].
        width: of the result, at most min(n, d).

    Returns:
        float32 [d, width], orthonormal columns, the strongest first.

    Raises:
        ModelError: there are too few vectors, or they are too narrow.
    """
    rows, dim = vectors.shape
    if not 1 <= width <= min(rows, dim):
        raise ModelError(
            "PCA cannot give this width",
            where="ensemble",
            got=width,
            expected=f"1 to {min(rows, dim)}: there are {rows} sentences and {dim} dimensions",
            hint="fit it on more sentences, or ask for a smaller width",
        )
    exact = vectors.astype(np.float64)
    axes = np.linalg.eigh(exact.T @ exact)[1][:, ::-1][:, :width]
    signs = np.sign(axes[np.abs(axes).argmax(0), np.arange(width)])
    return np.ascontiguousarray((axes * signs).astype(np.float32))


def by_name(logits: np.ndarray, labels: Sequence[str], wanted: Sequence[str], who: str = "teacher") -> np.ndarray:
    """A teacher's logits in another order of labels.

    Args:
        logits: [n, C], in the order of `labels`.
        labels: the teacher's own names.
        wanted: the same names in the order that is wanted.
        who: the teacher, for errors.

    Returns:
        [n, C], in the order of `wanted`.

    Raises:
        ModelError: the names are not the same, or not as many as the logits.
    """
    own = list(labels)
    if sorted(own) != sorted(wanted) or len(set(own)) != len(own) or logits.shape[1] != len(own):
        raise ModelError(
            "this teacher has other labels",
            where=who,
            got=f"{own} over {logits.shape[1]} logits",
            expected=f"the labels {list(wanted)}, each once, in any order",
        )
    return logits[:, [own.index(name) for name in wanted]]


def confidence_weights(logits: Sequence[np.ndarray], gold: np.ndarray | None = None) -> np.ndarray:
    """How far each teacher is to be trusted on each sample.

    The weight of teacher k is (1 - softmax over the teachers of l)_k / (K - 1), where l is its cross entropy to the gold
    label: CA-MKD (Zhang, Chen and Wang 2022, arXiv:2201.00007). Where there is no label, l is the entropy of its own
    prediction, in nats.

    Args:
        logits: of each of K teachers [n, C], in one order of labels.
        gold: label numbers [n], -1 where there is none; None: none has.

    Returns:
        float64 [n, K]; each row sums to 1.

    Raises:
        ModelError: the logits differ in shape, or a label is none of the C.
    """
    _same_shape(logits, "weigh predictions", "bring every teacher's labels into one order first")
    rows, classes = logits[0].shape
    labels = np.full(rows, -1) if gold is None else np.asarray(gold)
    if labels.shape != (rows,) or labels.dtype.kind not in "iu" or ((labels < -1) | (labels >= classes)).any():
        expected = f"{rows} whole numbers, each 0 to {classes - 1}, or -1 for none"
        raise ModelError("these are no gold labels of the logits", where="gold", got=labels[:5].tolist(), expected=expected)
    if len(logits) == 1:
        return np.ones((rows, 1))
    told = np.stack([_log_softmax(part) for part in logits], axis=1)
    entropy = -(np.exp(told) * np.where(np.isneginf(told), 0, told)).sum(2)
    cross = -told[np.arange(rows), :, np.where(labels < 0, 0, labels)]
    doubt = np.where((labels < 0)[:, None], entropy, cross)
    found: np.ndarray = (1 - np.exp(_log_softmax(doubt))) / (len(logits) - 1)
    return found


def average_logits(logits: Sequence[np.ndarray], weights: Sequence[float] | np.ndarray | None = None) -> np.ndarray:
    """Mean of the teachers' logits; without weights what TextBrewer's `MultiTeacherDistiller` trains toward.

    Args:
        logits: of each of K teachers [n, C], in one order of labels.
        weights: [K], or of each sample [n, K] as `confidence_weights` gives; None: all the same.

    Returns:
        float32 [n, C].

    Raises:
        ModelError: shapes do not fit.
    """
    _same_shape(logits, "average predictions", "bring every teacher's labels into one order first")
    stacked = np.stack([np.asarray(part, dtype=np.float64) for part in logits], axis=1)
    if isinstance(weights, np.ndarray) and weights.ndim == 2:
        if weights.shape != stacked.shape[:2]:
            expected = f"one for each sample and teacher: {stacked.shape[:2]}"
            raise ModelError("weights of another shape", where="weights", got=weights.shape, expected=expected)
        return (stacked * weights[:, :, None]).sum(1).astype(np.float32)
    return (stacked * shares(weights, len(logits))[None, :, None]).sum(1).astype(np.float32)


class EnsembleTeacher:
    """Sentence teachers as one; labels text as a single `Teacher` does.

    Attributes:
        name: the members' names.
        dim: width of its vectors.
        normalizes: whether its vectors have length 1: after PCA they have too.

    Args:
        teachers: two or more; tokenizers, prompts and, to concatenate, widths may differ.
        combine: `mean`, `weighted` (both need equal widths), or `concatenate`, which takes weights too.
        weights: one for each teacher.

    Raises:
        ModelError: an unknown way to combine, fewer than two teachers, wrong weights, or widths that differ.
    """

    normalizes = True

    def __init__(self, teachers: Sequence[Teacher], combine: Combine = "mean", weights: Sequence[float] | None = None) -> None:
        ways = get_args(Combine)
        if combine not in ways:
            expected = "one of: " + ", ".join(ways)
            raise ModelError("no such way", where="combine", got=combine, expected=expected, hint=nearest(str(combine), ways))
        if len(teachers) < 2:
            raise ModelError("one teacher is no ensemble", where="ensemble", got=len(teachers), expected="two or more")
        if (combine == "weighted" and weights is None) or (combine == "mean" and weights is not None):
            raise ModelError("weights go with 'weighted' and 'concatenate'", where="combine", got=f"{combine}, {weights}")
        widths = [teacher.dim for teacher in teachers]
        if combine != "concatenate" and len(set(widths)) > 1:
            hint = "use combine 'concatenate'"
            raise ModelError(
                "vectors of these widths have no mean", where="ensemble", got=widths, expected="one width", hint=hint
            )
        self.members = tuple(teachers)
        self.combine = combine
        self.shares = shares(weights, len(teachers))
        self.name = " + ".join(teacher.name for teacher in teachers)
        self.axes: np.ndarray | None = None
        self.dim = sum(widths) if combine == "concatenate" else widths[0]

    def fit(self, texts: Sequence[str], width: int, batch_size: int = 32) -> EnsembleTeacher:
        """Bring its vectors to `width` by the principal axes of what it says of `texts`; call it once.

        Raises:
            ModelError: it has been fitted, or the texts are too few for the width.
        """
        if self.axes is not None:
            raise ModelError("this ensemble has its axes", where="ensemble", got=self.dim, hint="make a new one")
        self.axes = principal_axes(self.embed(texts, batch_size), width)
        self.dim = width
        return self

    def embed(self, texts: Sequence[str], batch_size: int = 32, progress: bool = False) -> np.ndarray:
        """Sentence vectors of length 1, in the order of `texts`; see `Teacher.embed`.

        Returns:
            float32 [len(texts), dim].
        """
        parts = [teacher.embed(texts, batch_size, progress) for teacher in self.members]
        joined = (join_vectors if self.combine == "concatenate" else average_vectors)(parts, list(self.shares))
        return joined if self.axes is None else _unit(joined @ self.axes).astype(np.float32)

    def fingerprint(self) -> dict[str, Any]:
        """Everything that decides a text's vector, as JSON values: each member's, the weights and the axes."""
        return {
            "ensemble": [teacher.fingerprint() for teacher in self.members],
            "combine": self.combine,
            "shares": self.shares.tolist(),
            "axes": None if self.axes is None else hashlib.sha256(self.axes.tobytes()).hexdigest(),
            "dim": self.dim,
        }


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1; rows of zeros stay."""
    exact = np.asarray(vectors, dtype=np.float64)
    found: np.ndarray = exact / np.maximum(np.linalg.norm(exact, axis=1, keepdims=True), 1e-12)
    return found


def _log_softmax(scores: np.ndarray) -> np.ndarray:
    """Over the last axis, in float64."""
    exact = np.asarray(scores, dtype=np.float64)
    shifted = exact - exact.max(-1, keepdims=True)
    found: np.ndarray = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return found


def _same_shape(parts: Sequence[np.ndarray], what: str, hint: str) -> None:
    """Refuse parts that cannot be put together entry by entry."""
    shapes = [np.shape(part) for part in parts]
    if len(set(shapes)) != 1 or len(shapes[0]) != 2:
        raise ModelError(f"cannot {what} of these shapes", where="ensemble", got=shapes, expected="one [n, d]", hint=hint)
