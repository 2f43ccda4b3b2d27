"""Batches of rows of similar length: less padding, the same rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from sentence_transformers.base.sampler import DefaultBatchSampler

POOL = 32
"""Batches whose rows are sorted together: enough to even out lengths, few enough to stay random."""


class LengthBatches(DefaultBatchSampler):
    """Shuffled by (seed, epoch) alone, so that a resumed epoch sees the batches it would have seen.

    Args:
        dataset: rows; its text columns tell how long they are.
        batch_size: rows a batch.
        drop_last: whether an incomplete batch is left out.
        valid_label_columns: columns that are no text.
        generator: unused: the order depends on seed and epoch.
        seed: of the order.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        drop_last: bool,
        valid_label_columns: list[str] | None = None,
        generator: torch.Generator | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(dataset, batch_size, drop_last, valid_label_columns, generator, seed)
        texts = [name for name in dataset.column_names if name not in (valid_label_columns or [])]
        self.lengths = torch.tensor([max(map(len, row)) for row in zip(*(dataset[name] for name in texts), strict=True)])

    def __iter__(self) -> Iterator[list[int]]:
        chance = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(len(self.lengths), generator=chance)
        pools = [pool[self.lengths[pool].argsort(stable=True)] for pool in order.split(POOL * self.batch_size)]
        batches = [batch for pool in pools for batch in pool.split(self.batch_size)]
        whole = [batch for batch in batches if len(batch) == self.batch_size or not self.drop_last]
        for place in torch.randperm(len(whole), generator=chance).tolist():
            yield whole[place].tolist()

    def __len__(self) -> int:
        rows = len(self.lengths) / self.batch_size
        return math.floor(rows) if self.drop_last else math.ceil(rows)
