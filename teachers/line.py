"""The line to a place at a URL, which may break at any time: that is said once, and the place is asked again later."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from distill.errors import shorten

from .remote import Remote

logger = logging.getLogger(__name__)
T = TypeVar("T")

RETRY = 30.0
"""Seconds after which a place that could not be reached is asked again."""
LIMIT = 60.0
"""Seconds that one request may take."""


class Gone(Exception):
    """The place cannot be reached now; that has been said."""


class Line:
    """A `Remote` of which every method raises `Gone` where the place cannot be reached.

    Args:
        remote: the place.
    """

    def __init__(self, remote: Remote) -> None:
        self.url = shorten(remote.url)
        self._remote = remote
        self._down, self._until, self._failed = False, 0.0, 0.0
        self._lock = threading.Lock()

    def names(self, folder: str = "") -> list[str]:
        """See `Remote`."""
        return self._ask(self._remote.names, folder)

    def read(self, name: str) -> bytes | None:
        """See `Remote`."""
        return self._ask(self._remote.read, name)

    def write(self, name: str, data: bytes) -> None:
        """See `Remote`."""
        return self._ask(self._remote.write, name, data)

    def create(self, name: str, data: bytes) -> bool:
        """See `Remote`."""
        return self._ask(self._remote.create, name, data)

    def remove(self, name: str) -> None:
        """See `Remote`."""
        return self._ask(self._remote.remove, name)

    def retry(self) -> None:
        """Ask again now, whenever it was that the place could not be reached."""
        self._until = 0.0

    def _ask(self, work: Callable[..., T], *arguments: Any) -> T:
        began = time.monotonic()
        if began < self._until:
            raise Gone
        try:
            value = _within(LIMIT, work, *arguments)
        except Exception as error:
            with self._lock:
                self._failed = time.monotonic()
                self._until = self._failed + RETRY
                told, self._down = self._down, True
            if not told:
                logger.warning(
                    "%s cannot be reached (%s). Labelling goes on here alone; what is finished is put there when it can be "
                    "reached again, by this command or the next",
                    self.url,
                    shorten(f"{type(error).__name__}: {error}"),
                )
            raise Gone from error
        with self._lock:
            back = self._down and began > self._failed  # not what was asked before it failed
            self._down = self._down and not back
        if back:
            logger.warning("%s can be reached again", self.url)
        return value


def _within(seconds: float, work: Callable[..., T], *arguments: Any) -> T:
    """What some work gives, in a thread that is left alone when it takes too long.

    Raises:
        TimeoutError: it did.
    """
    done: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put((True, work(*arguments)))
        except BaseException as error:
            done.put((False, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        good, value = done.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer in {seconds:.0f} seconds") from None
    if not good:
        raise value
    return value
