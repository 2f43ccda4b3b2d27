"""Who augments the blocks: this process, or several others."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Protocol

from ...errors import DistillError, RunError, UserError
from .account import Account
from .base import Example, Rng
from .pairs import Augmenter
from .parts import rows_of

Make = Callable[[], Augmenter]
"""Makes an augmenter, in whichever process it is called: picklable where there are several."""
Task = Callable[[], tuple[bytes, Account]]
"""Waits for a block, and gives the lines of its part and its account."""
Outcome = tuple[bytes, Account] | tuple[type[DistillError], dict[str, Any]]
"""What a block became in another process, or the parts of an error: not every class of them can be pickled."""


class Crew(Protocol):
    """Who augments the blocks of a stream.

    Attributes:
        ahead: blocks that may wait for others to be finished.
    """

    ahead: int

    def start(self, examples: list[Example], labelled: bool) -> Task:
        """Begin with a block; the task gives what it became."""
        ...

    def close(self, *, wait: bool) -> None:
        """Let the workers go.

        Args:
            wait: for what they have begun.
        """
        ...


class Processes:
    """One process, which is this one, or several others on this machine. A `Crew`.

    Args:
        make: makes the augmenter.
        seed: of the draws.
        workers: number of processes.
    """

    def __init__(self, make: Make, seed: int, workers: int) -> None:
        self._make, self._seed, self._workers = make, seed, workers
        self.ahead = 0 if workers == 1 else 2 * workers
        self._pool: ProcessPoolExecutor | None = None
        self._own = Worker(make, seed)

    def start(self, examples: list[Example], labelled: bool) -> Task:
        """See `Crew`."""
        if self._workers == 1:
            return lambda: self._own.work(examples, labelled)
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            threads = max(1, (os.cpu_count() or 1) // self._workers)
            self._pool = ProcessPoolExecutor(self._workers, context, _begin, (self._make, self._seed, threads))
        future = self._pool.submit(_work, examples, labelled)
        return lambda: _result(future)

    def close(self, *, wait: bool) -> None:
        """See `Crew`."""
        if self._pool is not None:
            self._pool.shutdown(wait=wait, cancel_futures=True)


@dataclass
class Worker:
    """Augments blocks; the augmenter is made with the first of them."""

    make: Make
    seed: int
    augmenter: Augmenter | None = None

    def work(self, examples: list[Example], labelled: bool) -> tuple[bytes, Account]:
        """The lines of a part and its account."""
        self.augmenter = self.augmenter or self.make()
        made, tally = self.augmenter.augment_counted(examples, Rng(self.seed))
        return rows_of(made, labelled=labelled), Account.of(made, tally, self.seed)

    def tried(self, examples: list[Example], labelled: bool) -> Outcome:
        """The same for another process, which gives it to `opened`."""
        try:
            return self.work(examples, labelled)
        except DistillError as error:
            facts = {name: getattr(error, name) for name in ("message", "where", "expected", "hint")}
            return UserError if isinstance(error, UserError) else DistillError, {**facts, "got": str(error.got or "") or None}


def opened(outcome: Outcome) -> tuple[bytes, Account]:
    """What a block became in another process, or the error that it met there."""
    first, second = outcome
    if isinstance(first, type):
        assert isinstance(second, dict), "the parts of an error"
        raise first(second.pop("message"), **second)
    assert isinstance(second, Account), "of a part"
    return first, second


_mine: Worker | None = None
"""Of a worker process."""


def _begin(make: Make, seed: int, threads: int) -> None:
    """Runs first in every worker process."""
    global _mine
    from ...progress import set_quiet

    set_quiet(True)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # torch, if it is used, is imported after this
        os.environ[name] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    _mine = Worker(make, seed)


def _work(examples: list[Example], labelled: bool) -> Outcome:
    """Runs in a worker process."""
    assert _mine is not None, "begun"
    return _mine.tried(examples, labelled)


def _result(future: Future[Outcome]) -> tuple[bytes, Account]:
    try:
        outcome = future.result()
    except BrokenProcessPool as error:
        raise RunError(
            "a worker process died", where="workers", got=error, hint="it may be short of memory: use fewer workers"
        ) from error
    return opened(outcome)
