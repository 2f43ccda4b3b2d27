"""Batches of sentences of similar length, in an order that seed and epoch alone decide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from torch.utils.data import Sampler


class GroupDraw:
    """So many indices of each group an epoch, whatever its size.

    A group is gone through again and again, shuffled anew each time, and an epoch takes its next part: no index comes
    twice before all others of its group have come once.

    Args:
        groups: the group of every index.
        wanted: group -> indices an epoch.
        seed: of the shuffles.
    """

    def __init__(self, groups: Sequence[str], wanted: Mapping[str, int], seed: int) -> None:
        names = np.asarray(groups)
        self.members = {name: np.flatnonzero(names == name) for name in sorted(wanted)}
        empty = [name for name, rows in self.members.items() if not len(rows)]
        if empty:
            raise ValueError(f"group '{empty[0]}' has no index")
        self.wanted = dict(wanted)
        self.seed = seed

    def __call__(self, epoch: int) -> np.ndarray:
        """The indices of an epoch, group by group."""
        parts = []
        for number, (name, rows) in enumerate(self.members.items()):
            first, count = epoch * self.wanted[name], self.wanted[name]
            rounds = range(first // len(rows), (first + count - 1) // len(rows) + 1)
            order = np.concatenate([np.random.default_rng([self.seed, number, turn]).permutation(rows) for turn in rounds])
            start = first - rounds[0] * len(rows)
            parts.append(order[start : start + count])
        return np.concatenate(parts)

    def __len__(self) -> int:
        return sum(self.wanted.values())


class LengthBucketSampler(Sampler[int]):
    """Every index once, or those that are drawn, so that each run of `batch_size` indices has sentences of similar length.

    The indices are shuffled, cut into windows of `window` batches, sorted by length within each window and cut into
    batches, which are shuffled as wholes. A short batch, if there is one, comes last.

    Args:
        lengths: tokens of each sentence.
        batch_size: indices per batch.
        seed: of the shuffles, together with the epoch.
        window: batches per window: more saves more padding, fewer mixes lengths more freely.
        draw: what an epoch holds; None takes every index once.
    """

    def __init__(
        self,
        lengths: Sequence[int] | np.ndarray,
        batch_size: int,
        seed: int,
        window: int = 50,
        draw: GroupDraw | None = None,
    ) -> None:
        if batch_size < 1 or window < 1:
            raise ValueError(f"batch_size and window must be at least 1, got {batch_size} and {window}")
        self.lengths = np.asarray(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.window = window
        self.draw = draw
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch, 0-based. The same seed and epoch always give the same order."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths if self.draw is None else self.draw)

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng([self.seed, self.epoch])
        order = random.permutation(len(self.lengths) if self.draw is None else self.draw(self.epoch))
        size = self.window * self.batch_size
        for start in range(0, len(order), size):
            part = order[start : start + size]
            order[start : start + size] = part[np.argsort(self.lengths[part], kind="stable")]
        full = len(order) // self.batch_size
        batches = order[: full * self.batch_size].reshape(full, self.batch_size)
        for number in random.permutation(full):  # batch by batch: a list of a million numbers would be held for an epoch
            yield from batches[number].tolist()
        yield from order[full * self.batch_size :].tolist()


class TokenBudgetBatches(Sampler[list[int]]):
    """Batches of like length, each of as many rows as a number of tokens allows, padding counted.

    Lengths are taken in steps of 8. Every epoch has the same number of batches of the same sizes; which rows of a length
    come together, and the order of the batches, depends on seed and epoch.

    Args:
        lengths: tokens of each row.
        tokens: rows times the longest of them, at most.
        most: rows of a batch, at most.
        seed: of the shuffles, together with the epoch.

    Attributes:
        rows_of_longest: rows of the batch that holds the longest ones.

    Raises:
        ValueError: two of the longest rows are more than that many tokens.
    """

    STEP = 8

    def __init__(self, lengths: Sequence[int] | np.ndarray, tokens: int, most: int, seed: int) -> None:
        self.steps = -(-np.asarray(lengths, dtype=np.int64) // self.STEP) * self.STEP
        self.seed, self.epoch = seed, 0
        longest = np.sort(self.steps)[::-1]
        if len(longest) and 2 * longest[0] > tokens:
            raise ValueError(f"{tokens} tokens hold no two rows of {longest[0]}")
        self.starts: list[int] = []
        start = 0
        while start < len(longest):
            self.starts.append(start)
            start += min(most, tokens // int(longest[start]))
        self.rows_of_longest = self.starts[1] if len(self.starts) > 1 else len(longest)

    def set_epoch(self, epoch: int) -> None:
        """Choose the batches of this epoch, 0-based. The same seed and epoch always give the same ones."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[list[int]]:
        random = np.random.default_rng([self.seed, self.epoch])
        order = random.permutation(len(self.steps))
        order = order[np.argsort(-self.steps[order], kind="stable")]
        batches = np.split(order, self.starts[1:])
        for number in random.permutation(len(batches)):
            yield batches[number].tolist()
