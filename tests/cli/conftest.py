"""`cli(...)` runs the real entry point in this process and gives exit code, stdout and stderr."""

from __future__ import annotations

import signal
import sys
from types import ModuleType
from typing import NamedTuple

import pytest


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch, capsys):
    from distill import cli as command_line
    from distill import exits

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["distill", *map(str, arguments)])
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            with pytest.raises(SystemExit) as end:
                command_line.main()
        finally:
            exits.show_traceback(False)
            for number, handler in handlers.items():
                signal.signal(number, handler)
        captured = capsys.readouterr()
        return Outcome(end.value.code or 0, captured.out, captured.err)

    return run


@pytest.fixture
def fake_run(monkeypatch):
    """Put a function in place of `distill.pipeline.run`, so that a command's end can be chosen."""

    def install(function):
        module = ModuleType("distill.pipeline")
        module.run = function
        monkeypatch.setitem(sys.modules, "distill.pipeline", module)

    return install
