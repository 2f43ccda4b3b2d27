"""SIGINT and SIGTERM: at once where nothing can be saved, after the step where it can."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from .processes import world

AGAIN_SECONDS = 0.05
"""After how long a signal comes again that fell where nothing can be raised."""

_asked: int | None = None
_finishing = False
_deaf = False
_told: Callable[[Any], object] = sys.__unraisablehook__
"""Who is told of what else cannot be raised: the hook that was there."""


class Stopped(BaseException):
    """SIGINT or SIGTERM arrived. No Exception, so that nothing swallows it on the way out.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        self.number, self.exit_code = number, 128 + number
        super().__init__(number)


def listen() -> None:
    """Let both signals raise `Stopped`, or be noted inside `finishing_step`. The command line calls it, the library never."""
    global _asked, _deaf, _told
    _asked, _deaf = None, False
    if sys.unraisablehook is not _swallowed:
        _told, sys.unraisablehook = sys.unraisablehook, _swallowed
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)


def _swallowed(found: Any) -> None:
    """What Python cannot raise: a signal that fell into a destructor, where it would be printed and forgotten, comes again."""
    if not isinstance(found.exc_value, Stopped):
        _told(found)
        return
    again = threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), found.exc_value.number))
    again.daemon = True
    again.start()


def deaf() -> None:
    """Hear neither signal any more: the process is about to end, and says its last word."""
    global _deaf
    _deaf = True


def asked() -> bool:
    """Whether a signal arrived."""
    return _asked is not None


def stop_if_asked() -> None:
    """Stop here, where everything is saved, if a signal arrived.

    Raises:
        Stopped: one did.
    """
    if _asked is not None:
        raise Stopped(_asked)


@contextlib.contextmanager
def finishing_step() -> Iterator[None]:
    """Within the block the first signal is only noted: the block asks `asked`, saves, and calls `stop_if_asked`.

    A second one stops at once. Where several processes train together each would stop at a step of its own: there the first
    one does so too.
    """
    global _finishing
    _finishing = world() == 1
    try:
        yield
        stop_if_asked()
    finally:
        _finishing = False


def _stop(number: int, frame: object) -> None:
    global _asked
    if _deaf:
        return
    first, _asked = _asked is None, number
    if first and _finishing:
        os.write(2, b"stopping when this step is saved; once more stops at once\n")
        return
    raise Stopped(number)
