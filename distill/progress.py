"""Progress on stderr: bars and a panel with the time left on a terminal, occasional plain lines elsewhere."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import TypeVar

from rich.console import Console, Group
from rich.live import Live
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
from rich.table import Table
from rich.text import Text

T = TypeVar("T")

QUIET_SECONDS = 2.0
"""Plain output says nothing about work that takes less than this."""
LINE_SECONDS = 30.0
"""Plain output writes a line at most this often."""

console = Console(stderr=True)
_quiet = False
_watchers: list[Callable[[], None]] = []


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


class TrainingView:
    """How a training goes: a panel that is drawn again and again on a terminal, plain lines elsewhere, nothing when quiet.

    The panel has a bar with the time left, every loss term, the dev metric with its best value, and the memory. Elsewhere a
    line comes with each dev result.

    Args:
        total: steps to come.
        title: what is being trained, such as "training".
        select_by: the dev metric to show.
        done: steps that an earlier process did.
        lower_is_better: whether the smallest dev value is the best.
    """

    def __init__(self, total: int, title: str, select_by: str, *, done: int = 0, lower_is_better: bool = False) -> None:
        self.total, self.title, self.select_by, self.done = total, title, select_by, done
        self.lower_is_better = lower_is_better
        self.step, self.loss = done, float("nan")
        self.losses: dict[str, float] = {}
        self.dev: float | None = None
        self.best: tuple[float, int] | None = None
        self._start = time.monotonic()
        self._live: Live | None = None
        self._bar: Progress | None = None
        self._plain: Ticks | None = None
        if not _quiet and console.is_terminal:
            columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), _Speed())
            self._bar = Progress(*columns, TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=console)
            self._task = self._bar.add_task(title, total=total, completed=done, unit="steps")
            self._live = Live(self._panel(), console=console, transient=True, refresh_per_second=4)
            self._live.start()
        else:
            self._plain = Ticks(total - done, title, "steps")

    def tick(self) -> None:
        """One step is done."""
        self.step += 1
        if self._bar is not None:
            self._bar.advance(self._task)
        if self._plain is not None:
            self._plain.tick()

    def logged(self, loss: float, losses: Mapping[str, float] | None = None) -> None:
        """The loss of the last steps, and its terms with their weights."""
        self.loss, self.losses = loss, dict(losses or {})
        self._draw()

    def judged(self, value: float) -> None:
        """A dev result of the step that was done last."""
        self.dev = value
        if value == value and (self.best is None or (value < self.best[0]) == self.lower_is_better):
            self.best = (value, self.step)
        if self._live is None:
            terms = ", ".join(f"{name} {term:.4f}" for name, term in self.losses.items()) if len(self.losses) > 1 else ""
            left = f"{seconds_text(self.seconds_left())} left, " if self.step < self.total else ""
            note(
                f"  step {self.step} of {self.total}: loss {self.loss:.4f}{f' ({terms})' if terms else ''}, "
                f"dev {self.select_by} {value:.4f}; {left}{memory_mb():,.0f} MB"
            )
        self._draw()
        changed()

    def seconds_left(self) -> float:
        """At the pace of this process so far."""
        spent = time.monotonic() - self._start
        return spent / max(1, self.step - self.done) * max(0, self.total - self.step)

    def close(self) -> None:
        """Take the panel away; what it said last stays as a line."""
        if self._live is not None:
            self._live.stop()
            self._live = None
            best = f", best dev {self.select_by} {self.best[0]:.4f} at step {self.best[1]}" if self.best else ""
            spent = seconds_text(time.monotonic() - self._start)
            note(f"{self.title}: {self.step:,} of {self.total:,} steps in {spent}, loss {self.loss:.4f}{best}")
        if self._plain is not None:
            self._plain.close()

    def _draw(self) -> None:
        if self._live is not None:
            self._live.update(self._panel())

    def _panel(self) -> Group:
        rows = Table.grid(padding=(0, 2))
        rows.add_column(style="dim")
        rows.add_column()
        terms = "  ".join(f"{name} {value:.4f}" for name, value in self.losses.items())
        rows.add_row("loss", Text("–" if self.loss != self.loss else f"{self.loss:.4f}  {terms}".rstrip()))
        best = f"  best {self.best[0]:.4f} at step {self.best[1]:,}" if self.best else ""
        rows.add_row("dev", Text(f"{self.select_by} " + ("–" if self.dev is None else f"{self.dev:.4f}{best}")))
        rows.add_row("memory", Text(f"{memory_mb():,.0f} MB"))
        return Group(self._bar, rows) if self._bar is not None else Group(rows)


def memory_mb() -> float:
    """What this process holds in memory now, in MB; its peak where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, ValueError, IndexError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


@contextlib.contextmanager
def watching(watcher: Callable[[], None]) -> Iterator[None]:
    """Call `watcher` inside the block whenever there is news: a dev result, a stage that begins."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


def changed() -> None:
    """There is news: tell those who watch."""
    for watcher in list(_watchers):
        watcher()
