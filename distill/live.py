"""report.html of a run that is going on: written again as stages begin and dev results come, until the report takes its place."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from .files import atomic_write
from .progress import note, watching
from .report.html import to_html
from .report.model import build_report
from .report.read import read_log_leniently
from .rundir import RunDir

EVERY = 10.0
"""Seconds between two pages at least, so that telling of a training does not slow it; a stage that begins is told at once."""


class LivePage:
    """The page of one run.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: RunDir) -> None:
        self.folder = folder
        self.told: list[str] | None = None
        self.due = 0.0
        self.broken = False

    def news(self) -> None:
        """Write the page, unless it has been written just now and no stage has begun since."""
        stages = list(self.folder.through)
        if "data" not in stages:  # a mistake in recipe or data shows until here; it leaves no page behind
            return
        if stages == self.told and time.monotonic() < self.due:
            return
        self.told, self.due = stages, time.monotonic() + EVERY
        self.write(stages)

    def stopped(self) -> None:
        """The run ends without a report: the page no longer says that it goes on."""
        if self.told is not None and self.folder.manifest.get("finished") is None:
            self.write(None)

    def write(self, through: list[str] | None) -> None:
        """Write the page as things are. What is wrong with it is told once and never stops the run."""
        path = self.folder.path
        if self.broken or not (path / "recipe.yaml").exists():
            return
        try:
            report = build_report(path, lenient=True, through=through)
            atomic_write(path / "report.html", to_html(report, read_log_leniently(path / "log.jsonl")[0]))
        except Exception as error:  # whatever it is, the run is worth more than its page
            self.broken = True
            note(f"note: report.html is not written while the run goes on ({type(error).__name__}: {error})")


@contextlib.contextmanager
def live_page(folder: RunDir) -> Iterator[None]:
    """Keep report.html in step with a run for as long as the block lasts."""
    page = LivePage(folder)
    with watching(page.news):
        try:
            yield
        except BaseException:
            page.stopped()
            raise
