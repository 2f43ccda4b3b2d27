"""Rows of numbers of different lengths, held in one flat array."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np


class Ragged:
    """Rows of numbers of different lengths.

    Args:
        rows: the rows; read once, so that they may be a stream.

    Attributes:
        lengths: int32 [n].
    """

    def __init__(self, rows: Iterable[Sequence[int] | np.ndarray]) -> None:
        parts = [np.asarray(row, dtype=np.int32) for row in rows]
        self.lengths = np.array([len(part) for part in parts], dtype=np.int32)
        self._values = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)
        self._starts = np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> np.ndarray:
        """Row `index`, int32.

        Raises:
            IndexError: there is no such row.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"no row {index} among {len(self)}")
        return self._values[self._starts[index] : self._starts[index + 1]]
