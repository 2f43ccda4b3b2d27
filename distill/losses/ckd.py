"""Contextual knowledge distillation: relations between the words of a layer, and between the layers of a word.

Only cosines and angles are compared: no projection is needed, and widths and heads are free. Rotating or scaling all states
changes nothing. Every loss is the mean over what is compared. The authors' code (GeondoPark/CKD) divides the same sums by
the size of the whole table, cells that never differ included: its values are smaller by the factor that each docstring
states, and a weight that was tuned there is to be made smaller here by the same factor. Its pair losses are NaN on current
torch, since the diagonal is 0 * -inf; here the diagonal is left out by position.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .minilm import restricted_kl
from .reduce import masked_mean
from .tokens import pair_mask, token_pair

# Squared length below which a vector has no direction: its gradient, 1 / length, would drown all others.
_NO_DIRECTION = 1e-12
# The squared difference of two equal points comes out as so many units of rounding of their squares, or fewer.
_ROUNDING = 64


def _unit(vectors: Tensor) -> Tensor:
    """Directions along the last axis; 0, with gradient 0, for vectors of no length."""
    squares = vectors.pow(2).sum(-1, keepdim=True)
    known = squares > _NO_DIRECTION
    return torch.where(known, vectors * squares.where(known, 1).rsqrt(), 0)


def _dots(units: Tensor) -> Tensor:
    """[..., n, d] -> [..., n, n], in full precision under autocast too."""
    with torch.autocast(units.device.type, enabled=False):
        return units @ units.transpose(-1, -2)


def _angles(points: Tensor, positions: Tensor) -> Tensor:
    """Cosine of the angle at each point between two others, from dot products alone: no tensor of all differences is made.

    |a - b|^2 and <a - b, a - c> are sums of dot products. They cancel less, the closer the points lie around 0. The products
    are to be exact to float32: TF32 (off in torch unless asked for) would tell close points apart by its rounding.

    Args:
        points: [..., n, d], about centred.
        positions: [n, W], the W points that each is seen with.

    Returns:
        [..., n, W, W]; 0, with gradient 0, where one of the two lies on the point itself up to rounding.
    """
    dots = _dots(points)
    own = torch.arange(points.shape[-2], device=points.device)
    squares = dots.diagonal(dim1=-2, dim2=-1)
    here, there, between = squares[..., None], squares[..., positions], dots[..., own[:, None], positions]
    lengths = here + there - 2 * between
    known = lengths > _ROUNDING * torch.finfo(points.dtype).eps * (here + there)
    inverse = torch.where(known, lengths.where(known, 1).rsqrt(), 0)
    across = dots[..., positions[:, :, None], positions[:, None, :]]
    products = here[..., None] - between[..., :, None] - between[..., None, :] + across
    return products * inverse[..., :, None] * inverse[..., None, :]


def word_pair(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """How similar each word is to the other words of its sentence, within one layer.

    Equation: P_i = softmax over j != i of cos(w_i, w_j), j among the words that count; KL(P_i of the teacher || P_i of the
    student), mean over the words i that count and have another word beside them. No temperature. The authors' code divides
    by the number of pairs (i, j): n times less in a sentence of n words.

    Args:
        student: [B, L, d_S].
        teacher: [B, L, d_T], no gradient is taken.
        mask: [B, L], true or 1 for tokens that count.

    Returns:
        A scalar >= 0; 0 where all relations are the teacher's, and in sentences of one or two words.

    Raises:
        ValueError: another batch, length or mask.

    Reference:
        CKD, pair-wise word relation (arXiv 2109.08359).
    """
    ours, theirs = token_pair(student, teacher, mask, same_width=False)
    length = student.shape[1]
    keep = pair_mask(mask) & ~torch.eye(length, dtype=torch.bool, device=student.device)
    rows = restricted_kl(_dots(_unit(ours)), _dots(_unit(theirs)), keep)
    return masked_mean(rows, keep.any(-1))


def _centred(words: Tensor, keep: Tensor) -> Tensor:
    """[B, L, d] moved so that the mean of the words that count is 0. Angles do not see it, so no gradient passes the mean."""
    count = keep.sum(-1).clamp(min=1)[:, None, None]
    return words - words.detach().sum(1, keepdim=True) / count


def _neighbours(length: int, window: int | None, device: torch.device) -> tuple[Tensor, Tensor]:
    """Positions [L, W] of each word's neighbours, and which of them exist: bool [L, W]. A word is not its own neighbour."""
    own = torch.arange(length, device=device)[:, None]
    if window is None or window >= length:
        positions = own.T.expand(length, length)
        reach = length if window is None else window // 2
        return positions, ((positions - own).abs() <= reach) & (positions != own)
    offsets = torch.arange(-(window // 2), window // 2 + 1, device=device)
    positions = own + offsets[offsets != 0]
    return positions.clamp(0, length - 1), (positions >= 0) & (positions < length)


def word_triple(student: Tensor, teacher: Tensor, mask: Tensor, *, window: int | None = 21) -> Tensor:
    """The angle at each word between two other words of its sentence, within one layer.

    Equation: psi_ijk = <unit(w_i - w_j), unit(w_i - w_k)> with i the vertex; mean of (psi_S - psi_T)^2 over the words
    i, j, k that count, all distinct, |i - j| and |i - k| at most window // 2. No temperature. A difference of length 0 has
    psi 0. Cost: B L^2 d multiplications and B L W^2 numbers, W = min(window, L).
    The authors' code also counts j = i and k = i (0 on both sides) and j = k (1 on both sides): without a window it gives
    (n - 1)(n - 2) / n^2 of this in a sentence of n words. With a window it takes padded neighbours too, and at the edges
    the first or last position again and again; here neither counts.

    Args:
        student: [B, L, d_S].
        teacher: [B, L, d_T], no gradient is taken.
        mask: [B, L], true or 1 for tokens that count.
        window: how many positions around the vertex, itself included; odd. None: the whole sentence, B L^3 numbers.

    Returns:
        A scalar in [0, 4]; 0 where all angles are the teacher's, and in sentences of fewer than three words.

    Raises:
        ValueError: another batch, length or mask, or a window that is even or below 3.

    Reference:
        CKD, triple-wise word relation (arXiv 2109.08359).
    """
    if window is not None and (window < 3 or window % 2 == 0):
        raise ValueError(f"window is an odd number of at least 3, or None for the whole sentence; got {window}")
    ours, theirs = token_pair(student, teacher, mask, same_width=False)
    positions, exists = _neighbours(student.shape[1], window, student.device)
    keep = mask.bool()
    ours, theirs = (_angles(_centred(x, keep), positions) for x in (ours, theirs))
    both = keep[:, :, None] & keep[:, positions] & exists
    triples = (both[..., :, None] & both[..., None, :]) & ~torch.eye(positions.shape[1], dtype=torch.bool, device=student.device)
    return masked_mean((ours - theirs).pow(2), triples)


def _layers_of_each_token(students: Tensor, teachers: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """[M, B, L, d] -> [B, L, M, d] for both, padded tokens zero; or a refusal."""
    ours, theirs = tuple(students.shape), tuple(teachers.shape)
    if students.ndim != 4 or teachers.ndim != 4 or ours[:3] != theirs[:3]:
        raise ValueError(f"matched layers are [layers, batch, length, dim]; got students {ours}, teachers {theirs}")
    if ours[0] < 3:
        raise ValueError(
            f"layer relations need three matched layers or more (the embeddings may be one); got students {ours}, teachers "
            f"{theirs}: of two, each has the other alone to compare with, and the loss is always 0"
        )
    if tuple(mask.shape) != ours[1:3]:
        raise ValueError(f"mask has shape {tuple(mask.shape)}, expected {ours[1:3]} for students {ours}")
    pair = token_pair(students.flatten(0, 1), teachers.flatten(0, 1), mask.repeat(ours[0], 1), same_width=False)
    clean_ours, clean_theirs = (x.unflatten(0, ours[:2]).permute(1, 2, 0, 3) for x in pair)
    return clean_ours, clean_theirs


def layer_pair(students: Tensor, teachers: Tensor, mask: Tensor) -> Tensor:
    """How similar each layer's state of a word is to the word's states in the other layers.

    Equation: P_l = softmax over m != l of cos(h_l, h_m), of one token; KL(P_l of the teacher || P_l of the student), mean
    over the tokens that count and the M layers. No temperature. The authors' code divides by M once more.

    Args:
        students: [M, B, L, d_S], matched layers in order, the embeddings among them as CKD has it.
        teachers: [M, B, L, d_T], no gradient is taken.
        mask: [B, L], true or 1 for tokens that count.

    Returns:
        A scalar >= 0; 0 where all relations are the teacher's.

    Raises:
        ValueError: other shapes, or fewer than three layers.

    Reference:
        CKD, pair-wise layer transforming relation (arXiv 2109.08359).
    """
    ours, theirs = _layers_of_each_token(students, teachers, mask)
    others = ~torch.eye(students.shape[0], dtype=torch.bool, device=students.device)
    rows = restricted_kl(_dots(_unit(ours)), _dots(_unit(theirs)), others)
    return masked_mean(rows, mask.bool()[:, :, None].expand_as(rows))


def layer_triple(students: Tensor, teachers: Tensor, mask: Tensor) -> Tensor:
    """The angle at each layer's state of a word between the word's states in two other layers.

    Equation: psi_lmk = <unit(h_l - h_m), unit(h_l - h_k)>, l the vertex; mean of (psi_S - psi_T)^2 over the tokens that
    count and l, m, k all distinct. No temperature. A difference of length 0 has psi 0. Cost: B L M^3 numbers. The
    authors' code gives (M - 1)(M - 2) / M^2 of this.

    Args:
        students: [M, B, L, d_S], matched layers in order.
        teachers: [M, B, L, d_T], no gradient is taken.
        mask: [B, L], true or 1 for tokens that count.

    Returns:
        A scalar in [0, 4]; 0 where all angles are the teacher's.

    Raises:
        ValueError: other shapes, or fewer than three layers.

    Reference:
        CKD, triple-wise layer transforming relation (arXiv 2109.08359).
    """
    ours, theirs = _layers_of_each_token(students, teachers, mask)
    other = ~torch.eye(students.shape[0], dtype=torch.bool, device=students.device)
    distinct = other[:, :, None] & other[:, None, :] & other[None, :, :]
    every = torch.arange(students.shape[0], device=students.device).expand(students.shape[0], -1)
    ours, theirs = (_angles(x - x.detach().mean(-2, keepdim=True), every) for x in (ours, theirs))
    keep = mask.bool()[:, :, None, None, None] & distinct
    return masked_mean((ours - theirs).pow(2), keep)
