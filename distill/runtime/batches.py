"""Which rows run together: rows of like length, so that hardly anything is padded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError

T = TypeVar("T")

CPU_TOKENS = 512
"""Tokens of a batch where nothing else is asked for. On a CPU a token costs least in batches of 256 to 512 tokens: in
larger ones what a layer hands to the next no longer stays in the core's cache (scripts/bench/throughput.py --sweep)."""
DEVICE_TOKENS = 8192
"""The same for other execution providers, which want more work at once."""
WASTE = 16
"""A batch is closed before its padding exceeds one part in so many: a run costs about as much as a few tokens."""
BATCHES_PER_WINDOW = 64
WINDOW_ROWS = 2048
WINDOW_CHARACTERS = 1_000_000


@dataclass(frozen=True)
class Sizes:
    """How large batches are.

    Attributes:
        rows: rows of every batch, exactly, but for the last; None: as many as `tokens` allow.
        tokens: rows times the longest of them at most, where `rows` is None; a row that is longer runs alone.
    """

    rows: int | None
    tokens: int

    @property
    def window(self) -> int:
        """Rows that are tokenized and sorted at once."""
        return WINDOW_ROWS if self.rows is None else self.rows * BATCHES_PER_WINDOW


def sizes(batch_size: int | None, batch_tokens: int | None, default_tokens: int) -> Sizes:
    """What a caller asked for as `Sizes`.

    Raises:
        UserError: a number that is no whole number from 1, or both are given.
    """
    for name, value in (("batch_size", batch_size), ("batch_tokens", batch_tokens)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise UserError(f"{name} must be a whole number from 1", where=name, got=repr(value))
    if batch_size is not None and batch_tokens is not None:
        raise UserError(
            "batch_size and batch_tokens are both given", where="batch_tokens", got=batch_tokens, expected="one of the two"
        )
    return Sizes(batch_size, batch_tokens or default_tokens)


def plan(lengths: Sequence[int] | NDArray[np.int64], size: Sizes) -> list[NDArray[np.int64]]:
    """Row numbers of each batch, longest rows first: a batch that does not fit in memory fails at once and not after an hour.

    Args:
        lengths: tokens of each row.
        size: of the batches.

    Returns:
        Every row once; rows of equal length in their order.
    """
    tokens = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-tokens, kind="stable")
    if size.rows is not None:
        return [order[at : at + size.rows] for at in range(0, len(order), size.rows)]
    sorted_tokens, batches, start = tokens[order].tolist(), [], 0
    while start < len(order):
        end = _end(sorted_tokens, start, size.tokens)
        batches.append(order[start:end])
        start = end
    return batches


def _end(tokens: list[int], start: int, budget: int) -> int:
    """Where the batch that begins at `start` ends; `tokens` fall."""
    width = max(1, tokens[start])
    last = min(len(tokens), start + max(1, budget // width))
    waste = 0
    for place in range(start + 1, last):
        waste += width - tokens[place]
        if waste * WASTE > width * (place + 1 - start):
            return place
    return last


def windows(items: Iterable[T], rows: int, characters: Callable[[T], int]) -> Iterator[list[T]]:
    """Lists of at most `rows` items and about a million characters, one item at least.

    An error of `items` comes after the items before it.
    """
    window: list[T] = []
    count = 0
    source = iter(items)
    while True:
        try:
            item = next(source)
        except StopIteration:
            break
        except BaseException:
            if window:
                yield window
            raise
        window.append(item)
        count += characters(item)
        if len(window) >= rows or count >= WINDOW_CHARACTERS:
            yield window
            window, count = [], 0
    if window:
        yield window


def usable_cores() -> int:
    """Physical cores that this process may use: its affinity, less hyper-threads, within a container's quota."""
    logical = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found: dict[str, int] = {}
    for line in _read("/proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("siblings", "cpu cores") and value.strip().isdigit():
            found.setdefault(key.strip(), int(value))
    siblings, cores = found.get("siblings", 1), found.get("cpu cores", 1)
    physical = logical * cores // siblings if 0 < cores < siblings else logical
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdigit() and period.strip().isdigit():
        physical = min(physical, -(-int(quota) // int(period)))
    return max(1, physical)


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError:
        return ""
