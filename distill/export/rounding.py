"""Weights as 8-bit integers, each with a scale that it shares with some others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def to_int8(values: NDArray[np.floating], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric 8-bit integers: w becomes round(w / s), s = max |w| / 127 along an axis; where all are zero s is 1.

    Returns:
        The integers, in the shape of `values`, and the scales, float32, with that axis of length 1.
    """
    scales = np.abs(values).max(axis, keepdims=True) / 127
    scales[scales == 0] = 1
    return np.rint(values / scales).astype(np.int8), scales.astype(np.float32)
