"""Folders for what is needed for a moment: asked for in a run's first second, gone when their work is done."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .errors import RunError
from .files import disk_errors

_NAMES = ("TMPDIR", "TEMP", "TMP")
_OTHER = "name another folder in the environment variable TMPDIR"


@contextlib.contextmanager
def scratch(purpose: str) -> Iterator[Path]:
    """An empty temporary folder, removed in the end.

    Args:
        purpose: part of its name.

    Raises:
        RunError: there is no place for it.
    """
    with contextlib.ExitStack() as held:
        place = _place()
        try:
            with disk_errors(place):
                name = held.enter_context(tempfile.TemporaryDirectory(prefix=f"distill-{purpose}-"))
        except FileNotFoundError:
            raise _missing(str(place)) from None
        except RunError as error:
            raise RunError(
                f"no temporary folder: {error.message}", where=str(place), hint=f"free some space, or {_OTHER}"
            ) from None
        yield Path(name)


def check_scratch() -> None:
    """Refuse to begin where temporary folders cannot be made.

    Python goes on to another folder where the one that TMPDIR names is missing; a run that was told where to write does not.

    Raises:
        RunError: there is no place for them.
    """
    with scratch("try"):
        pass


def _place() -> Path:
    """Where temporary folders are made."""
    asked = next((os.environ[name] for name in _NAMES if os.environ.get(name)), None)
    try:
        found = Path(tempfile.gettempdir())
    except FileNotFoundError:
        raise _missing(asked or "/tmp") from None
    if asked is not None and not os.path.isdir(asked):
        raise _missing(asked)
    return found


def _missing(place: str) -> RunError:
    return RunError("the folder for temporary files is missing", where=place, hint=f"make it, or {_OTHER}")
