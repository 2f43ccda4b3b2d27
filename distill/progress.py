"""Progress on stderr: a bar with the time left on a terminal, occasional plain lines elsewhere."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Generator, Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

T = TypeVar("T")

QUIET_SECONDS = 2.0
"""Plain output says nothing about work that takes less than this."""
LINE_SECONDS = 30.0
"""Plain output writes a line at most this often."""

console = Console(stderr=True)
_quiet = False


def set_quiet(quiet: bool) -> None:
    """Switch bars and notes off (True) or on (False) for this process."""
    global _quiet
    _quiet = quiet


def set_output(quiet: bool) -> None:
    """Decide, at the start of a command, what it and the libraries under it write to stderr.

    Warnings of libraries are one plain line each, errors alone when quiet. Their own bars are shown on a terminal only,
    and not when quiet.
    """
    set_quiet(quiet)
    # Some libraries call basicConfig(INFO) when imported, which does nothing once this has been called.
    logging.basicConfig(level=logging.ERROR if quiet else logging.WARNING, format="%(message)s")
    if quiet or not console.is_terminal:
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def hide_library_bars() -> None:
    """Switch off the bars transformers shows for loading and saving weights; call it once transformers is imported."""
    from transformers.utils import logging as library

    library.disable_progress_bar()


def note(text: str) -> None:
    """Print one plain line to stderr, above a bar that may be running."""
    if not _quiet:
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def track(items: Iterable[T], *, total: int | None, description: str, unit: str = "") -> Iterator[T]:
    """Pass `items` on and show how far they are.

    Args:
        items: what is worked through.
        total: how many there will be; None when that is not known.
        description: what is being done, such as "labelling".
        unit: what is counted, such as "sentences".

    Yields:
        The items, unchanged.
    """
    if _quiet:
        yield from items
    elif console.is_terminal:
        yield from _bar(items, total, description, unit)
    else:
        yield from _lines(items, total, description, unit)


def seconds_text(seconds: float) -> str:
    """`95.2` -> "1 min 35 s"."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class _Speed(ProgressColumn):
    """Items per second, with their unit."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        unit = f" {task.fields['unit']}" if task.fields["unit"] else ""
        return Text("" if speed is None else f"{speed:,.0f}{unit}/s" if speed >= 10 else f"{speed:.1f}{unit}/s", style="dim")


def _bar(items: Iterable[T], total: int | None, description: str, unit: str) -> Iterator[T]:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), _Speed())
    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(*columns, *times, console=console, transient=True) as progress:
        task = progress.add_task(description, total=total, unit=unit)
        for item in items:
            yield item
            progress.advance(task)


def _lines(items: Iterable[T], total: int | None, description: str, unit: str) -> Iterator[T]:
    unit = f" {unit}" if unit else ""
    start = time.monotonic()
    due, done = start + LINE_SECONDS, 0
    for item in items:
        yield item
        done += 1
        now = time.monotonic()
        if now >= due and done != total:
            due = now + LINE_SECONDS
            of = "" if total is None else f" of {total:,}"
            left = "" if total is None else f", {seconds_text((now - start) / done * max(0, total - done))} left"
            note(f"{description}: {done:,}{of}{unit}, {seconds_text(now - start)}{left}")
    spent = time.monotonic() - start
    if spent >= QUIET_SECONDS:
        note(f"{description}: {done:,}{unit} in {seconds_text(spent)}")


class Ticks:
    """A progress bar that is moved from outside, for loops that somebody else runs.

    Args:
        total: ticks to come.
        description: what is being done.
        unit: what is counted.
    """

    def __init__(self, total: int, description: str, unit: str = "") -> None:
        self._steps = _ticks(total, description, unit)
        next(self._steps)

    def tick(self) -> None:
        """One more is done."""
        next(self._steps, None)

    def close(self) -> None:
        """Take the bar away."""
        self._steps.close()


def _ticks(total: int, description: str, unit: str) -> Generator[None, None, None]:
    """`track` turned inside out: the first item is taken when the bar appears, each `next` finishes one."""
    for _ in track(range(total), total=total, description=description, unit=unit):
        yield
