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

from .load import Teacher, load_teacher
from .spec import TeacherSpec

Combine = Literal["mean", "concatenate"]
"""How sentence vectors of several teachers become one."""

CHUNK = 4096
"""Vectors whose products are added up at once."""


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


def average_vectors(parts: Sequence[np.ndarray], weights: Sequence[float] | np.ndarray | None = None) -> np.ndarray:
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


def join_vectors(parts: Sequence[np.ndarray], weights: Sequence[float] | np.ndarray | None = None) -> np.ndarray:
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
            where="teacher.pca",
            got=width,
            expected=f"1 to {min(rows, dim):,}: there are {rows:,} sentences of {dim:,} numbers",
            hint="fit it on more sentences, or ask for a smaller width",
        )
    products = np.zeros((dim, dim))
    for start in range(0, rows, CHUNK):  # in float64, a part at a time
        exact = vectors[start : start + CHUNK].astype(np.float64)
        products += exact.T @ exact
    axes = np.linalg.eigh(products)[1][:, ::-1][:, :width]
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


def confidence_weights(logits: Sequence[np.ndarray], gold: np.ndarray | None = None, *, multilabel: bool = False) -> np.ndarray:
    """How far each of K teachers is to be trusted on each sample.

        w_k = (1 - exp(l_k) / (exp(l_1) + ... + exp(l_K))) / (K - 1)

    l_k is teacher k's cross entropy to the gold label, in nats: CA-MKD (Zhang, Chen and Wang 2022, arXiv:2201.00007). Where a
    sample has no label, l_k is the entropy of what the teacher predicts. Of a multi-label sample it is the mean over the labels
    of the binary cross entropies, or entropies.

    Args:
        logits: of each teacher [n, C], in one order of labels.
        gold: label numbers [n], -1 where there is none; multilabel: 0 and 1 as float [n, C], a row of NaN where there is
            none. None: no sample has any.
        multilabel: whether each of the C labels is right or wrong for itself.

    Returns:
        float64 [n, K]; each row sums to 1.

    Raises:
        ModelError: the logits differ in shape, or the labels are none of theirs.
    """
    _same_shape(logits, "weigh predictions", "bring every teacher's labels into one order first")
    rows, classes = logits[0].shape
    if multilabel:
        doubt = _doubt_of_each(logits, np.full((rows, classes), np.nan) if gold is None else np.asarray(gold))
    else:
        doubt = _doubt_of_one(logits, np.full(rows, -1) if gold is None else np.asarray(gold))
    if len(logits) == 1:
        return np.ones((rows, 1))
    found: np.ndarray = (1 - np.exp(_log_softmax(doubt))) / (len(logits) - 1)
    return found


def _doubt_of_one(logits: Sequence[np.ndarray], labels: np.ndarray) -> np.ndarray:
    """Cross entropy of each teacher to the one right label, or its entropy: float64 [n, K]."""
    rows, classes = logits[0].shape
    if labels.shape != (rows,) or labels.dtype.kind not in "iu" or ((labels < -1) | (labels >= classes)).any():
        expected = f"{rows} whole numbers, each 0 to {classes - 1}, or -1 for none"
        raise ModelError("these are no gold labels of the logits", where="gold", got=str(labels[:5].tolist()), expected=expected)
    told = np.stack([_log_softmax(part) for part in logits], axis=1)
    entropy = -(np.exp(told) * np.where(np.isneginf(told), 0, told)).sum(2)
    cross = -told[np.arange(rows), :, np.where(labels < 0, 0, labels)]
    return np.where((labels < 0)[:, None], entropy, cross)


def _doubt_of_each(logits: Sequence[np.ndarray], labels: np.ndarray) -> np.ndarray:
    """Mean over the labels of each teacher's binary cross entropy, or of its entropy: float64 [n, K]."""
    missing = np.isnan(labels).all(1) if labels.ndim == 2 and labels.dtype.kind == "f" else np.zeros(len(labels), dtype=bool)
    if labels.shape != logits[0].shape or not np.isin(labels[~missing], (0, 1)).all():
        expected = f"0 and 1 as [{', '.join(map(str, logits[0].shape))}], or a row of NaN for none"
        raise ModelError("these are no gold labels of the logits", where="gold", got=str(labels[:2].tolist()), expected=expected)
    scores = np.stack([np.asarray(part, dtype=np.float64) for part in logits], axis=1)
    chance = np.exp(-np.logaddexp(0, -scores))
    wanted = np.where(missing[:, None, None], chance, np.nan_to_num(labels)[:, None, :])
    found: np.ndarray = (np.logaddexp(0, scores) - wanted * scores).mean(2)
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
        members: the teachers.
        name: their names.
        prompt: the first's; each puts its own before what it reads.
        max_length: what every one of them can read, in tokens of its own; None where none has a limit.
        dim: width of its vectors.
        normalizes: whether its vectors have length 1: after PCA they have too.
        axes: float32 [sum of widths, width], where it is brought to a width; None until `fit` or `use`.

    Args:
        teachers: two or more; tokenizers, prompts and, to concatenate, widths may differ.
        combine: `concatenate`, or `mean`, which needs equal widths.
        weights: one for each teacher.
        width: bring concatenated vectors to so many numbers; the axes come with `fit` or `use`.

    Raises:
        ModelError: an unknown way to combine, fewer than two teachers, wrong weights, widths that differ, or a width that is
            more than the teachers have together.
    """

    normalizes = True

    def __init__(
        self,
        teachers: Sequence[Teacher],
        combine: Combine = "concatenate",
        weights: Sequence[float] | None = None,
        width: int | None = None,
    ) -> None:
        ways = get_args(Combine)
        if combine not in ways:
            expected = "one of: " + ", ".join(ways)
            hint = nearest(str(combine), ways)
            raise ModelError("no such way", where="teacher.combine", got=combine, expected=expected, hint=hint)
        if len(teachers) < 2:
            raise ModelError("one teacher is no ensemble", where="teacher", got=len(teachers), expected="two or more")
        widths = [teacher.dim for teacher in teachers]
        if combine != "concatenate" and len(set(widths)) > 1:
            raise ModelError(
                "vectors of these widths have no mean",
                where="teacher.combine",
                got=", ".join(f"{teacher.name} {teacher.dim}" for teacher in teachers),
                expected="one width",
                hint="use combine 'concatenate'",
            )
        whole = sum(widths) if combine == "concatenate" else widths[0]
        if width is not None and (combine != "concatenate" or not 1 <= width <= whole):
            raise ModelError(
                "the teachers' vectors cannot be brought to this width",
                where="teacher.pca",
                got=f"{width}, combine '{combine}'",
                expected=f"combine 'concatenate', and at most the {sum(widths):,} numbers of {' + '.join(map(str, widths))}",
            )
        self.members = tuple(teachers)
        self.combine = combine
        self.shares = shares(weights, len(teachers))
        self.name = " + ".join(teacher.name for teacher in teachers)
        self.prompt = teachers[0].prompt
        self.max_length = min((teacher.max_length for teacher in teachers if teacher.max_length is not None), default=None)
        self.width = width
        self.axes: np.ndarray | None = None
        self.dim = whole if width is None else width

    def fit(self, texts: Sequence[str], batch_size: int = 32) -> EnsembleTeacher:
        """Find the axes that bring its vectors to `width`: the principal ones of what it says of `texts`.

        Raises:
            ModelError: it has no width to be brought to, or the texts are too few for it.
        """
        if self.width is None:
            raise ModelError("this ensemble keeps all its numbers", where="teacher.pca", hint="make it with width=...")
        self.use(principal_axes(self.whole(self._said(texts, batch_size)), self.width))
        return self

    def use(self, axes: np.ndarray) -> None:
        """Take axes that were found before.

        Raises:
            ModelError: they are of other widths.
        """
        shape = (sum(teacher.dim for teacher in self.members), self.dim)
        if self.width is None or axes.shape != shape:
            raise ModelError("these axes belong to other teachers", where="teacher.pca", got=axes.shape, expected=str(shape))
        self.axes = axes

    def whole(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """Vectors of the members as one vector of each text, before any axes.

        Args:
            parts: of each member [n, d_k].

        Returns:
            float32 [n, sum of d_k], or the one d of a mean.
        """
        return (join_vectors if self.combine == "concatenate" else average_vectors)(parts, self.shares)

    def combined(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """Vectors of the members as its own.

        Args:
            parts: of each member [n, d_k].

        Returns:
            float32 [n, dim], of length 1.

        Raises:
            ModelError: it has a width, and no axes yet.
        """
        whole = self.whole(parts)
        if self.width is None:
            return whole
        if self.axes is None:
            raise ModelError("this ensemble has no axes yet", where="teacher.pca", hint="call fit(texts) first")
        return _unit(whole @ self.axes).astype(np.float32)

    def embed(self, texts: Sequence[str], batch_size: int = 32, progress: bool = False) -> np.ndarray:
        """Sentence vectors of length 1, in the order of `texts`; see `Teacher.embed`.

        Returns:
            float32 [len(texts), dim].
        """
        return self.combined(self._said(texts, batch_size, progress))

    def _said(self, texts: Sequence[str], batch_size: int, progress: bool = False) -> list[np.ndarray]:
        return [teacher.embed(texts, batch_size, progress) for teacher in self.members]

    def fingerprint(self) -> dict[str, Any]:
        """Everything that decides a text's vector, as JSON values: each member's, the weights and the axes."""
        return {
            "ensemble": [teacher.fingerprint() for teacher in self.members],
            "combine": self.combine,
            "shares": self.shares.tolist(),
            "axes": None if self.axes is None else hashlib.sha256(self.axes.tobytes()).hexdigest(),
            "dim": self.dim,
        }


AnyTeacher = Teacher | EnsembleTeacher
"""What a sentence student learns from."""


def load_ensemble(spec: TeacherSpec, first: Teacher) -> EnsembleTeacher:
    """The teachers that a recipe names, as one.

    Args:
        spec: names them.
        first: the first of them, loaded.

    Raises:
        ModelError: as `load_teacher` and `EnsembleTeacher`.
    """
    teachers = [first, *map(load_teacher, spec.every[1:])]
    assert spec.combine != "confidence", "the recipe allows none of embeddings"
    return EnsembleTeacher(teachers, spec.combine or "concatenate", spec.weights, spec.pca)


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
