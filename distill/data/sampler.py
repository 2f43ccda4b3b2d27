"""Batches of sentences of similar length, in an order that seed and epoch alone decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler


class LengthBucketSampler(Sampler[int]):
    """Every index once, so that each run of `batch_size` indices has sentences of similar length.

    The indices are shuffled, cut into windows of `window` batches, sorted by length within each window and cut into
    batches, which are shuffled as wholes. A short batch, if there is one, comes last.

    Args:
        lengths: tokens of each sentence.
        batch_size: indices per batch.
        seed: of the shuffles, together with the epoch.
        window: batches per window: more saves more padding, fewer mixes lengths more freely.
    """

    def __init__(self, lengths: Sequence[int] | np.ndarray, batch_size: int, seed: int, window: int = 50) -> None:
        if batch_size < 1 or window < 1:
            raise ValueError(f"batch_size and window must be at least 1, got {batch_size} and {window}")
        self.lengths = np.asarray(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.window = window
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch, 0-based. The same seed and epoch always give the same order."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng([self.seed, self.epoch])
        order = random.permutation(len(self.lengths))
        size = self.window * self.batch_size
        for start in range(0, len(order), size):
            part = order[start : start + size]
            order[start : start + size] = part[np.argsort(self.lengths[part], kind="stable")]
        full = len(order) // self.batch_size
        batches = order[: full * self.batch_size].reshape(full, self.batch_size)
        yield from batches[random.permutation(full)].reshape(-1).tolist()
        yield from order[full * self.batch_size :].tolist()
