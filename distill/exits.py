"""How a command ends: one message on stderr and the exit code that goes with it."""

from __future__ import annotations

import contextlib
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import NoReturn

from .errors import DistillError, MissingExtra, redact, shorten
from .files import is_full_disk
from .foreign import is_failure
from .processes import speaks
from .stopping import Stopped, deaf, listen

_OURS = ("distill", "teachers", "students")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""What could steer a terminal, and what no UTF-8 can write: shown as an escape."""
_debug = False
_resumes = False


def show_traceback(debug: bool) -> None:
    """Switch on (True) or off that an error shows where in the code it arose."""
    global _debug
    _debug = debug


def resumes() -> None:
    """Tell that the command which runs goes on where it was stopped; the others begin anew."""
    global _resumes
    _resumes = True


def run(command: Callable[[], object]) -> NoReturn:
    """Run a command and exit: 0 done, 1 a gate failed, 2 the user's mistake, 3 ours, 130 or 143 interrupted."""
    global _resumes
    _resumes = False
    listen()
    try:
        command()
    except DistillError as error:
        _end(str(error), error.exit_code)
    except Stopped as stop:
        _end("stopped; run the same command again" + (" to go on" if _resumes else ""), stop.exit_code)
    except MemoryError:
        _end("out of memory\n  try:      a smaller teacher.batch_size or train.batch_size", 3)
    except Exception as error:
        if is_full_disk(error):  # of a temporary file: those of a run are told with their place
            _end(f"cannot write: the disk is full\n  got:      {shorten(error)}\n  try:      free some space, also in TMPDIR", 2)
        _end(f"internal error: {type(error).__name__}: {shorten(error)}\n  try:      distill --debug ... shows where it arose", 3)
    except BaseException as error:
        if not is_failure(error):
            raise
        _end(f"a tokenizer gave up\n  got:      {shorten(error)}\n  try:      another text, or another tokenizer.json", 2)
    sys.exit(0)


@contextlib.contextmanager
def needs_train(purpose: str) -> Iterator[None]:
    """Turn a package that is missing inside the block into an error that names the extra to install.

    Raises:
        MissingExtra: an import of the block found no such package.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if not package or package in _OURS:
            raise
        raise MissingExtra("train", package, purpose) from error


def _end(message: str, code: int) -> NoReturn:
    deaf()
    if not speaks():  # of several processes one tells what went wrong
        sys.exit(code)
    if _debug:
        sys.stderr.write(redact(traceback.format_exc()))
    sys.stderr.write(_CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), redact(message)) + "\n")
    sys.exit(code)
