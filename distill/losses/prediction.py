"""Losses on what a task head says: logits against the teacher's (soft) and against labels (hard).

Rows are whatever has one prediction: sentences [B, C], tokens [B, L, C]. Of a span, the positions are the classes:
start_logits [B, L] are B rows, with -inf in the padded positions of both models. The soft losses with a temperature T
are multiplied by T^2, so that their gradient keeps its size when T is changed (Hinton et al. 2015, arXiv 1503.02531):
the gradient of the cross-entropy of z / T shrinks like 1 / T^2.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .reduce import masked_mean
from .tokens import fine, kl_rows

IGNORED = -100


def logits_pair(student: Tensor, other: Tensor, mask: Tensor | None, name: str = "teacher") -> tuple[Tensor, Tensor]:
    """Two tensors of logits that belong together, or a refusal.

    Args:
        student: [..., C].
        other: [..., C], of the teacher or the labels.
        mask: [...], true for rows that count, or None.
        name: what a message calls `other`.

    Returns:
        Both in one format, float32 or finer, `other` without gradient, masked rows zero.

    Raises:
        ValueError: the shapes differ, there is no class, or the mask is not one value a row.
    """
    if student.ndim < 1 or student.shape[-1] == 0:
        raise ValueError(f"logits are [..., classes] with at least one class; got student {tuple(student.shape)}")
    if student.shape != other.shape:
        raise ValueError(
            f"student logits have shape {tuple(student.shape)}, {name} {tuple(other.shape)}: "
            "they must be equal (one row a prediction, the same classes in the same order)"
        )
    kind = torch.promote_types(fine(student).dtype, other.dtype)
    ours, theirs = student.to(kind), other.detach().to(kind)
    if mask is None:
        return ours, theirs
    keep = _row_mask(mask, student)[..., None]
    return ours.where(keep, 0), theirs.where(keep, 0)


def _row_mask(mask: Tensor, logits: Tensor) -> Tensor:
    """The mask as bool, if it has one value for each row of the logits."""
    if mask.shape != logits.shape[:-1]:
        raise ValueError(f"mask has shape {tuple(mask.shape)}, expected {tuple(logits.shape[:-1])}: one value a row of logits")
    return mask.bool()


def _temperature(temperature: float | Tensor, logits: Tensor, mask: Tensor | None) -> Tensor:
    """[...]: the temperature of each row, positive; 1 in rows that do not count."""
    rows = logits.shape[:-1]
    if not isinstance(temperature, Tensor):
        if not (math.isfinite(temperature) and temperature > 0):
            raise ValueError(f"temperature is {temperature}, expected a positive number")
        return logits.new_full(rows, float(temperature))
    if temperature.shape != rows:
        raise ValueError(f"temperature has shape {tuple(temperature.shape)}, expected {tuple(rows)}: one value a row of logits")
    warmth = temperature.detach().to(logits.dtype)
    if mask is not None:
        warmth = warmth.where(mask.bool(), 1)
    if not bool(((warmth > 0) & warmth.isfinite()).all()):
        raise ValueError("temperature has an entry that is not a positive number")
    return warmth


def soft_cross_entropy(
    student: Tensor,
    teacher: Tensor,
    mask: Tensor | None = None,
    *,
    temperature: float | Tensor = 1.0,
    squared: bool = True,
) -> Tensor:
    """Cross-entropy of the student's classes under the teacher's, both softened by a temperature.

    Equation: mean over rows of T^2 sum_c -softmax(t / T)_c log softmax(s / T)_c. Not divided by C; T^2 is applied.
    Its lowest value is T^2 times the teacher's entropy, not 0: `kl_divergence` has the same gradient and ends at 0.

    Args:
        student: [..., C] logits.
        teacher: [..., C] logits, no gradient is taken; -inf rules a class out.
        mask: [...], true for rows that count.
        temperature: positive; a number, or one value a row [...] (distill.losses.temperature).
        squared: whether T^2 is applied; without it this is TextBrewer's "ce".

    Returns:
        A scalar >= 0.

    Raises:
        ValueError: the shapes differ, or the temperature is not positive.

    Reference:
        Hinton et al. 2015 (arXiv 1503.02531). TextBrewer's "ce" has no T^2 and averages over padding where it is not
        told otherwise; TinyBERT's code divides by C and has no T^2.
    """
    ours, theirs = logits_pair(student, teacher, mask)
    warmth = _temperature(temperature, ours, mask)
    ours, theirs = ours / warmth[..., None], theirs / warmth[..., None]
    log_likelihood = ours.log_softmax(-1).masked_fill(theirs == -torch.inf, 0)
    rows = -(theirs.softmax(-1) * log_likelihood).sum(-1)
    return masked_mean(warmth.square() * rows if squared else rows, mask)


def kl_divergence(student: Tensor, teacher: Tensor, mask: Tensor | None = None, *, temperature: float | Tensor = 1.0) -> Tensor:
    """Divergence of the student's classes from the teacher's, both softened by a temperature.

    Equation: mean over rows of T^2 KL(softmax(t / T) || softmax(s / T)). Summed over classes; T^2 is applied.
    For T to infinity this is 1 / (2 C) sum_c (d_c - mean d)^2 with d = s - t: squared error of centred logits.

    Args:
        student: [..., C] logits.
        teacher: [..., C] logits, no gradient is taken; -inf rules a class out.
        mask: [...], true for rows that count.
        temperature: positive; a number, or one value a row [...] (distill.losses.temperature).

    Returns:
        A scalar >= 0 up to rounding; 0 where student = teacher (up to a constant a row).

    Raises:
        ValueError: the shapes differ, or the temperature is not positive.

    Reference:
        Hinton et al. 2015 (arXiv 1503.02531); DistilBERT (arXiv 1910.01108) with T = 2. torch's F.kl_div with
        "batchmean" divides by the first axis alone. TextBrewer and TinyBERT have the cross-entropy instead.
    """
    ours, theirs = logits_pair(student, teacher, mask)
    warmth = _temperature(temperature, ours, mask)
    rows = kl_rows(ours / warmth[..., None], theirs / warmth[..., None])
    return masked_mean(warmth.square() * rows, mask)


def logits_mse(student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
    """Squared difference of the logits; of a regression, of the two predicted numbers.

    Equation: mean over rows and classes of (s - t)^2. No temperature.

    Args:
        student: [..., C] logits.
        teacher: [..., C] logits, no gradient is taken.
        mask: [...], true for rows that count.

    Returns:
        A scalar >= 0; 0 where student = teacher.

    Raises:
        ValueError: the shapes differ.

    Reference:
        Tang et al. 2019 (arXiv 1903.12136). TextBrewer's "mse" divides both logits by T, the loss thus by T^2.
        TinyBERT's code has the gold number in place of the teacher's for regression; the paper has the teacher's.
    """
    ours, theirs = logits_pair(student, teacher, mask)
    return masked_mean((ours - theirs).square().mean(-1), mask)


def logits_cosine(student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
    """Cosine distance of the logits.

    Equation: mean over rows of 1 - cos(s, t). Blind to the length of the logits, thus to confidence. No temperature.

    Args:
        student: [..., C] logits; with C = 1 only the sign is left, and no gradient.
        teacher: [..., C] logits, no gradient is taken.
        mask: [...], true for rows that count.

    Returns:
        A scalar in [0, 2]; 0 where each row points the way of the teacher's.

    Raises:
        ValueError: the shapes differ.

    Reference:
        The cosine term of DistilBERT (arXiv 1910.01108), on logits. TextBrewer and TinyBERT have none.
    """
    ours, theirs = logits_pair(student, teacher, mask)
    return masked_mean(1 - F.cosine_similarity(ours, theirs, dim=-1), mask)


def soft_binary_cross_entropy(
    student: Tensor, teacher: Tensor, mask: Tensor | None = None, *, temperature: float | Tensor = 1.0
) -> Tensor:
    """Cross-entropy of independent classes (multi-label) under the teacher's, softened by a temperature.

    Equation: mean over rows and classes of T^2 (-p log q - (1 - p) log (1 - q)), p = sigmoid(t / T),
    q = sigmoid(s / T). T^2 is applied. Its lowest value is T^2 times the teacher's entropy, not 0.

    Args:
        student: [..., C] logits.
        teacher: [..., C] logits, no gradient is taken.
        mask: [...], true for rows that count.
        temperature: positive; a number, or one value a row [...].

    Returns:
        A scalar >= 0.

    Raises:
        ValueError: the shapes differ, or the temperature is not positive.

    Reference:
        Hinton et al. 2015 (arXiv 1503.02531), class by class. TextBrewer and TinyBERT have no multi-label loss.
    """
    ours, theirs = logits_pair(student, teacher, mask)
    warmth = _temperature(temperature, ours, mask)
    targets = (theirs / warmth[..., None]).sigmoid()
    losses = F.binary_cross_entropy_with_logits(ours / warmth[..., None], targets, reduction="none")
    return masked_mean(warmth.square() * losses.mean(-1), mask)


def hard_cross_entropy(student: Tensor, labels: Tensor, mask: Tensor | None = None) -> Tensor:
    """Cross-entropy of the labels.

    Equation: mean over labelled rows of -log softmax(s)_label. No temperature.

    Args:
        student: [..., C] logits.
        labels: int64 [...], 0 to C - 1; -100 for a row without a label, which does not count.
        mask: [...], true for rows that count.

    Returns:
        A scalar >= 0; 0, where torch has NaN, if no row has a label.

    Raises:
        ValueError: not one whole-number label a row.

    Reference:
        TextBrewer takes the loss that the model computed; TinyBERT's prediction stage has no hard labels.
    """
    if student.ndim < 1 or student.shape[-1] == 0 or labels.shape != student.shape[:-1]:
        raise ValueError(f"student logits have shape {tuple(student.shape)}, labels {tuple(labels.shape)}: one label a row")
    if labels.dtype != torch.long:
        raise ValueError(f"labels are {labels.dtype}, expected class numbers in torch.int64")
    keep = labels != IGNORED
    if mask is not None:
        keep = keep & _row_mask(mask, student)
    logits = fine(student).where(keep[..., None], 0)
    losses = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.where(keep, 0).reshape(-1), reduction="none")
    return masked_mean(losses.view(labels.shape), keep)


def _labelled(student: Tensor, labels: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, float labels and where they count, [..., C] each: zeros where a label is NaN or a row is masked."""
    if not labels.is_floating_point():
        raise ValueError(f"labels are {labels.dtype}, expected floating point: NaN marks a missing one")
    ours, targets = logits_pair(student, labels, mask, "labels")
    keep = ~targets.isnan()
    if mask is not None:
        keep = keep & mask.bool()[..., None]
    return ours.where(keep, 0), targets.where(keep, 0), keep


def hard_binary_cross_entropy(student: Tensor, labels: Tensor, mask: Tensor | None = None) -> Tensor:
    """Cross-entropy of independent labels (multi-label).

    Equation: mean over labelled entries of -y log sigmoid(s) - (1 - y) log (1 - sigmoid(s)). No temperature.

    Args:
        student: [..., C] logits.
        labels: float [..., C], 0 to 1; an entry that is NaN, or a whole row of them, does not count.
        mask: [...], true for rows that count.

    Returns:
        A scalar >= 0; 0 if nothing is labelled.

    Raises:
        ValueError: the shapes differ, or the labels are whole numbers.

    Reference:
        TextBrewer and TinyBERT have no multi-label loss.
    """
    ours, targets, keep = _labelled(student, labels, mask)
    return masked_mean(F.binary_cross_entropy_with_logits(ours, targets, reduction="none"), keep)


def hard_mse(student: Tensor, labels: Tensor, mask: Tensor | None = None) -> Tensor:
    """Squared error of a regression against the labels.

    Equation: mean over labelled entries of (s - y)^2. No temperature.

    Args:
        student: [..., C], most often [B, 1].
        labels: float [..., C]: [B, 1] for logits [B, 1], since [B] would be broadcast to [B, B]. An entry that is NaN
            does not count.
        mask: [...], true for rows that count.

    Returns:
        A scalar >= 0; 0 if nothing is labelled.

    Raises:
        ValueError: the shapes differ, or the labels are whole numbers.

    Reference:
        What TinyBERT's code does for regression instead of following the teacher (`logits_mse`).
    """
    ours, targets, keep = _labelled(student, labels, mask)
    return masked_mean((ours - targets).square(), keep)
