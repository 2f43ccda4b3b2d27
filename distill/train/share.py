"""What one process has of a batch that several share: counts and rows over all of them, and its part of each loss.

The losses of the processes add up to the loss of the whole batch, and so do their gradients. A mean divides each process's sum
by the count over all. A loss that compares the rows of a batch sees them all, gathered, with a gradient for its own rows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from ..losses.reduce import shared_batch


class Epochs(Protocol):
    """A sampler whose order depends on the epoch."""

    def set_epoch(self, epoch: int) -> None: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[int]: ...


class Share:
    """This process's rows of the batch that is being trained on.

    Args:
        rank: the number of this process.
        world: how many there are.
    """

    def __init__(self, rank: int, world: int) -> None:
        self.rank, self.world = rank, world
        self.idle = False
        self.rows = [1] * world
        self.width = 0

    @contextlib.contextmanager
    def batch(self, ids: Tensor, *, idle: bool) -> Iterator[None]:
        """Inside, means are those of the whole batch, as far as this process's rows go.

        Args:
            ids: token ids of this process's rows, int64 [b, l].
            idle: whether it has none: the row it holds is there to keep the processes in step, and counts nothing.
        """
        self.idle = idle
        own = torch.tensor([0 if idle else ids.shape[0], ids.shape[1]], device=ids.device)
        every = [torch.empty_like(own) for _ in range(self.world)]
        dist.all_gather(every, own)
        sizes = torch.stack(every).tolist()
        self.rows, self.width = [rows for rows, _ in sizes], max(width for _, width in sizes)
        with shared_batch(self.add):
            yield

    def add(self, value: Tensor) -> Tensor:
        """The sum over the processes of a value without gradient; an idle one adds 0."""
        return self.sum(value.detach() * 0 if self.idle else value.detach())

    def sum(self, value: Tensor) -> Tensor:
        """The sum over the processes, whatever their rows."""
        added = value.clone()
        dist.all_reduce(added)
        return added

    def gather(self, own: Tensor) -> Tensor:
        """The rows of every process [B, ...], in the order of the batch; those of this one keep their gradient."""
        most = max(self.rows)
        padded = own.new_zeros((most, *own.shape[1:]))
        padded[: self.rows[self.rank]] = own.detach()[: self.rows[self.rank]]
        every = [torch.empty_like(padded) for _ in range(self.world)]
        dist.all_gather(every, padded)
        parts = [part[:count] for part, count in zip(every, self.rows, strict=True)]
        parts[self.rank] = own[: self.rows[self.rank]]
        return torch.cat(parts)

    def whole(self, loss: Callable[[], Tensor], own: Tensor) -> Tensor:
        """This process's part of a loss on gathered rows.

        Its value is an equal share, so that the parts add up to the loss; its gradient is the whole one, of its own rows.

        Args:
            loss: computes it, by the count of the gathered rows.
            own: what the process put into the gathering; keeps an idle one in the graph.
        """
        with shared_batch(None):
            value = loss()
        working = sum(count > 0 for count in self.rows)
        return value + (value / working - value).detach() + own.sum() * 0

    def scaled(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Outputs of an objective for a backward pass that averages gradients over the processes: the loss times their number."""
        silent = {name: value * 0 for name, value in outputs.items()} if self.idle else outputs
        return {**silent, "loss": silent["loss"] * self.world}

    def draw(self, ids: Tensor, random: Callable[[Sequence[int]], Tensor]) -> Tensor:
        """Random numbers for this process's tokens, those that one process would draw for them.

        Args:
            ids: [b, l].
            random: draws for a shape [B, L], that of the whole batch.
        """
        drawn = random((max(1, sum(self.rows)), self.width))
        before = 0 if self.idle else sum(self.rows[: self.rank])
        return drawn[before : before + ids.shape[0], : ids.shape[1]]


class BatchParts(Sampler[list[int]]):
    """This process's part of each batch, in the order of the whole: the parts differ by one row at most.

    Where a short last batch has fewer rows than there are processes, those without one get its first row marked as not
    theirs: -1 - index.

    Args:
        order: the indices of an epoch, batch after batch.
        batch_size: indices of a whole batch.
        rank, world: which part.
    """

    def __init__(self, order: Epochs, batch_size: int, rank: int, world: int) -> None:
        self.order, self.batch_size, self.rank, self.world = order, batch_size, rank, world

    @property
    def batch_sampler(self) -> BatchParts:
        """Itself: where transformers looks for something to tell the epoch to."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch, 0-based."""
        self.order.set_epoch(epoch)

    def __len__(self) -> int:
        return -(-len(self.order) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in self.order:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield self._part(batch)
                batch = []
        if batch:
            yield self._part(batch)

    def _part(self, batch: list[int]) -> list[int]:
        own = np.array_split(np.asarray(batch), self.world)[self.rank].tolist()
        return own or [-1 - batch[0]]


class _Marked:
    """Rows of a data set, each with the word whether it is another process's."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> tuple[bool, Any]:
        return index < 0, self._rows[-1 - index if index < 0 else index]


def part_loader(
    rows: Any, order: Epochs, batch_size: int, collate: Callable[[list[Any]], dict[str, Tensor]], share: Share
) -> DataLoader[Any]:
    """Batches of this process's rows, with `idle` among them: whether they count.

    Args:
        rows: training examples.
        order: indices of an epoch, batch after batch.
        batch_size: of a whole batch.
        collate: makes a batch.
        share: which part.
    """

    def marked(items: list[tuple[bool, Any]]) -> dict[str, Tensor]:
        return {**collate([item for _, item in items]), "idle": torch.tensor(items[0][0])}

    parts = BatchParts(order, batch_size, share.rank, share.world)
    return DataLoader(_Marked(rows), batch_sampler=parts, collate_fn=marked)
