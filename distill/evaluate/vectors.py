"""Smaller vectors: fewer dimensions, a byte or a bit each, and what that costs on similarity sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UserError
from .agreement import unit
from .ranks import spearman
from .sts import pair_scores

if TYPE_CHECKING:
    from ..recipe_data import VectorSpec

LEVELS = 255


@dataclass(frozen=True)
class Int8Scale:
    """One byte a number: each dimension's range over calibration vectors is cut into 255 steps.

    Attributes:
        low: float32 [d], what code -128 stands for.
        step: float32 [d], from one code to the next; 0 where a dimension is constant.
    """

    low: np.ndarray
    step: np.ndarray

    @classmethod
    def fit(cls, vectors: np.ndarray) -> Int8Scale:
        """The ranges of calibration vectors [n, d], n at least 1."""
        low = vectors.min(0).astype(np.float32)
        return cls(low, ((vectors.max(0) - low) / LEVELS).astype(np.float32))

    def encode(self, vectors: np.ndarray) -> np.ndarray:
        """int8 [n, d]; numbers outside the range get its end."""
        steps = np.where(self.step > 0, self.step, 1)
        return np.asarray(np.clip(np.rint((vectors - self.low) / steps), 0, LEVELS) - 128).astype(np.int8)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """float32 [n, d] of int8 codes [n, d]."""
        return np.asarray(self.low + (codes.astype(np.float32) + 128) * self.step, np.float32)


def shorten(vectors: np.ndarray, dim: int) -> np.ndarray:
    """The first `dim` dimensions, scaled to length 1 again: float32 [n, dim]."""
    return unit(vectors[:, :dim])


def to_bits(vectors: np.ndarray) -> np.ndarray:
    """One bit a dimension, set where the number is above 0: uint8 [n, ceil(d / 8)], the last byte filled with zeros."""
    return np.packbits(vectors > 0, axis=1)


def from_bits(bits: np.ndarray, dim: int) -> np.ndarray:
    """The signs of `to_bits` as -1 and 1: float32 [n, dim]."""
    return np.unpackbits(bits, axis=1, count=dim).astype(np.float32) * 2 - 1


def bit_similarities(first: np.ndarray, second: np.ndarray, dim: int) -> np.ndarray:
    """1 - 2 * hamming / dim of each pair of rows of `to_bits`, float64 [n]: the cosine of their signs."""
    hamming = np.unpackbits(first ^ second, axis=1).sum(1, dtype=np.int64)
    return np.asarray(1 - 2 * hamming / dim)


def bytes_per_vector(dim: int, precision: str) -> int:
    """What one stored vector takes: 4 bytes, 1 byte or 1 bit a dimension."""
    return {"float32": 4 * dim, "int8": dim, "binary": -(-dim // 8)}[precision]


def widths(width: int, dims: Sequence[int]) -> list[int]:
    """The full width and those of `dims` that are below it, from large to small, each once."""
    return sorted({width, *(dim for dim in dims if dim < width)}, reverse=True)


def judge_vectors(
    first: np.ndarray, second: np.ndarray, gold: np.ndarray, spec: VectorSpec, *, calibrate: np.ndarray | None = None
) -> list[dict[str, Any]]:
    """Spearman of the similarities of pairs, for every number of dimensions and every precision.

    Args:
        first, second: embeddings of the two sides [n, d].
        gold: similarity scores [n], any scale.
        spec: further numbers of dimensions (those not below d are left out), precisions besides float32, rescoring.
        calibrate: other vectors of the same model [m, d], which the ranges of int8 are taken from; None takes those of the
            pairs themselves.

    Returns:
        Rows {"dim", "precision": "float32" | "int8" | "binary", "rescore", "value", "bytes_per_vector"}, the full width
        first. int8 compares the decoded vectors by cosine; binary compares signs, rescored: the first side's full vector
        with the second side's signs. A value is nan where all similarities are alike.

    Raises:
        UserError: shapes do not fit.
    """
    if first.ndim != 2 or first.shape != second.shape or len(gold) != len(first):
        raise UserError(
            "the sides of the pairs do not fit",
            got=f"first {list(first.shape)}, second {list(second.shape)}, {len(gold)} scores",
            expected="[n, d] twice and n scores",
        )
    if calibrate is not None and (calibrate.ndim != 2 or calibrate.shape[1] != first.shape[1] or not len(calibrate)):
        raise UserError(
            "the calibration vectors do not fit", got=list(calibrate.shape), expected=f"[at least 1, {first.shape[1]}]"
        )
    rows: list[dict[str, Any]] = []
    for dim in widths(first.shape[1], spec.dims):
        a, b = shorten(first, dim), shorten(second, dim)
        found = [("float32", False, pair_scores(a, b)["cosine"])]
        if "int8" in spec.precisions:
            scale = Int8Scale.fit(np.concatenate([a, b]) if calibrate is None else shorten(calibrate, dim))
            found.append(("int8", False, pair_scores(*(scale.decode(scale.encode(side)) for side in (a, b)))["cosine"]))
        if "binary" in spec.precisions:
            bits = to_bits(b)
            found.append(("binary", False, bit_similarities(to_bits(a), bits, dim)))
            if spec.rescore:
                found.append(("binary", True, pair_scores(a, from_bits(bits, dim))["cosine"]))
        for precision, rescore, scores in found:
            row = {"dim": dim, "precision": precision, "rescore": rescore, "value": spearman(scores, gold)}
            rows.append({**row, "bytes_per_vector": bytes_per_vector(dim, precision)})
    return rows
