"""The processes that a launcher started for one run: who they are, how they wait for each other, and who speaks.

`torchrun` and `accelerate launch` start the same command several times and tell each process its number in the environment.
The first process leads: it writes, exports, measures and reports; the others augment, label and train beside it and wait
meanwhile. They wait at the launcher's key-value store, not in a collective, so that a wait may last for hours and ends as soon
as one fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from .errors import DistillError, RunError, shorten
from .launch import Launch
from .progress import set_quiet

T = TypeVar("T")

POLL = 0.02
"""Seconds between two looks at what the others have done; a long wait looks less often."""

_LOST = ("connection closed", "connection reset", "connection refused", "broken pipe", "gloo", "nccl", "tcpstore", "socket")


class Crew:
    """The processes of one run.

    Args:
        launch: which of them this is.
        store: their key-value store (torch's), shared by all.
    """

    def __init__(self, launch: Launch, store: Any) -> None:
        self.rank, self.world = launch.rank, launch.world
        self.speaks: bool | None = None
        self._store = store
        self._turn = 0

    @property
    def leads(self) -> bool:
        """Whether this is the first process."""
        return self.rank == 0

    def first(self, work: Callable[[], T], name: str | None = None) -> T:
        """The first process works, the others wait; each gets what came out, a JSON value.

        Args:
            work: what the first process does.
            name: of the work; None where every process comes to it after the same works and meetings before.

        Raises:
            RunError: another process failed meanwhile.
        """
        key = name or self._next()
        if self.leads:
            value = work()
            self._store.set(key, json.dumps(value))
            return value
        self._until(lambda: bool(self._store.check([key])))
        return json.loads(self._store.get(key))

    def meet(self) -> None:
        """Wait until every process is here.

        Raises:
            RunError: another process failed meanwhile.
        """
        key = self._next()
        self._store.add(key, 1)
        self._until(lambda: self._store.add(key, 0) >= self.world)

    def total(self, count: int) -> int:
        """The sum of a count over the processes."""
        key = self._next()
        self._store.add(key, count)
        self.meet()
        return int(self._store.add(key, 0))

    def leave(self) -> None:
        """The end: the first process, which may hold the store, goes last."""
        if self.leads:
            self._until(lambda: self._store.add("gone", 0) >= self.world - 1)
        else:
            self._store.add("gone", 1)

    def fail(self, code: int) -> None:
        """Tell the others that this process failed, with its exit code; whoever tells so first is the one that speaks."""
        if self.speaks is not None:
            return
        mine = f"{self.rank} {code}"
        try:
            self.speaks = self._store.compare_set("failed", "", mine).decode() == mine
        except Exception:  # the store went with the first process, which has spoken
            self.speaks = False

    def failed(self) -> tuple[int, int] | None:
        """Number and exit code of the process that failed first; None while all go on."""
        if not self._store.check(["failed"]):
            return None
        rank, code = self._store.get("failed").decode().split()
        return int(rank), int(code)

    def _next(self) -> str:
        """Every process takes the same turns in the same order, so that a number is name enough."""
        self._turn += 1
        return f"turn-{self._turn}"

    def _until(self, done: Callable[[], bool]) -> None:
        pause = POLL
        while not done():
            found = self.failed()
            if found is not None:
                raise _ended(*found)
            time.sleep(pause)
            pause = min(pause * 1.1, 0.5)


def _ended(rank: int, code: int) -> RunError:
    error = RunError(f"process {rank} of this run ended", got=f"exit code {code}", hint="look at what it said")
    error.exit_code = code
    return error


_crew: Crew | None = None
_claimed: bool | None = None


@contextlib.contextmanager
def together(launch: Launch) -> Iterator[None]:
    """Join the processes of a run for the block; with one there is nothing to join.

    All but the first are quiet. Of several that fail the first to do so speaks (see `speaks`).

    Raises:
        RunError: another process ended.
    """
    global _crew, _claimed
    if launch.world == 1:
        yield
        return
    crew = _join(launch)
    _crew = crew
    if not crew.leads:
        set_quiet(True)
    try:
        yield
        crew.leave()
    except BaseException as error:
        crew.fail(getattr(error, "exit_code", 3))
        _claimed = crew.speaks
        if isinstance(error, Exception) and not isinstance(error, DistillError) and _is_loss(error):
            raise RunError(
                "another process of this run ended",
                where=f"process {launch.rank} of {launch.world}",
                got=shorten(error),
                hint="start the run again: it goes on from its newest checkpoint",
            ) from error
        raise
    else:
        import torch.distributed

        torch.distributed.destroy_process_group()
    finally:
        _crew = None


def _join(launch: Launch) -> Crew:
    """Meet the others: a group for tensors, and the store beside it."""
    import torch
    import torch.distributed as dist

    store, _, _ = next(dist.rendezvous("env://", launch.rank, launch.world))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=dist.PrefixStore("group", store), rank=launch.rank, world_size=launch.world)
    return Crew(launch, dist.PrefixStore("run", store))


def _is_loss(error: Exception) -> bool:
    """Whether a library says that a process at the other end is gone."""
    text = f"{type(error).__name__} {error}".lower()
    return isinstance(error, RuntimeError | OSError) and any(word in text for word in _LOST)


def speaks() -> bool:
    """Whether this process tells its error: of several the first that failed; before they have met, the first of all."""
    if _claimed is not None:
        return _claimed
    rank = os.environ.get("RANK", "").strip()
    return os.environ.get("WORLD_SIZE", "").strip() in ("", "1") or rank in ("", "0")


def leads() -> bool:
    """Whether this process writes: the first of several, or the only one."""
    return _crew is None or _crew.leads


def world() -> int:
    """How many processes share the run."""
    return 1 if _crew is None else _crew.world


def rank() -> int:
    """The number of this process, from 0."""
    return 0 if _crew is None else _crew.rank


def first(work: Callable[[], T], name: str | None = None) -> T:
    """Work that the first process does while the others wait; each gets what came out, a JSON value (see `Crew.first`)."""
    return work() if _crew is None else _crew.first(work, name)


def meet() -> None:
    """Wait until every process is here."""
    if _crew is not None:
        _crew.meet()


def total(count: int) -> int:
    """The sum of a count over the processes."""
    return count if _crew is None else _crew.total(count)


def in_turn(work: Callable[[], T]) -> T:
    """Work that every process does, the first before the others: what it leaves on disk serves them."""
    if _crew is None:
        return work()
    if _crew.leads:
        value = work()
        _crew.first(lambda: None)
        return value
    _crew.first(lambda: None)
    return work()
