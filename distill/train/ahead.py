"""Batches made ahead: while the model computes, a thread reads, pads and moves the batches that come next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import torch

AHEAD = 2
"""So many batches wait for the model. One hides what a batch takes; the second what one takes longer than the others."""


class Ahead(Iterator[Any]):
    """An iterator whose next values are made in a thread, in their order.

    The first value is made where it is asked for: what an iterator draws from the global random state as it begins is drawn
    before the model draws from it. Later values must draw nothing from it.

    A thread, not processes: numpy and torch let go of the interpreter while they copy, a memory-mapped page is waited for
    outside of it, and there is no copy of the run that holds its locks after it was killed.

    Args:
        values: what to iterate.
        count: how many values wait at most; 0 makes each when it is asked for.
    """

    def __init__(self, values: Iterator[Any], count: int = AHEAD) -> None:
        self._values, self._count = values, count
        self._waiting: deque[Future[Any]] = deque()
        self._pool: ThreadPoolExecutor | None = None
        self._began = False

    def __next__(self) -> Any:
        if not self._began or not self._count:
            self._began = True
            return next(self._values)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="batches", initializer=_same_device())
            self._ask()
        future = self._waiting.popleft()
        try:
            value = future.result()
        except StopIteration:
            self.close()
            self._count = 0  # what comes after the end is the end
            raise
        self._ask()
        return value

    def close(self) -> None:
        """Stop the thread: what it has begun is finished, what waits is dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        self._waiting.clear()

    def _ask(self) -> None:
        assert self._pool is not None, "made when it was first needed"
        while len(self._waiting) < self._count:
            self._waiting.append(self._pool.submit(next, self._values))


def _same_device() -> Callable[[], None]:
    """What makes a thread work on this thread's GPU; a new thread would use the first one."""
    if not torch.cuda.is_available():
        return lambda: None
    return partial(torch.cuda.set_device, torch.cuda.current_device())
