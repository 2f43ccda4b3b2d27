"""`refused(command)` ends a command as the console does: within ten seconds and 600 MB, and with one clean message."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

SECONDS = 10
MEGABYTES = 600


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


def _megabytes(what: str) -> float:
    """Memory of this process: VmRSS, what it holds now; VmHWM, the most it has held since `_forget_peak`."""
    return int(re.search(rf"{what}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _late(number, frame):
    raise TimeoutError(f"over {SECONDS} s")


@pytest.fixture
def ended(capsys, monkeypatch):
    """A function that runs a command, given as arguments of the command line or as a function, and gives its outcome."""
    from distill import cli, exits

    def run(command):
        monkeypatch.setattr(sys, "argv", ["distill", *map(str, command if isinstance(command, list) else [])])
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        signal.signal(signal.SIGALRM, _late)
        _forget_peak()
        before = _megabytes("VmRSS")
        signal.alarm(SECONDS)
        try:
            with pytest.raises(SystemExit) as end:
                exits.run(cli.app if isinstance(command, list) else command)
        finally:
            signal.alarm(0)
            exits.show_traceback(False)
            for number, handler in handlers.items():
                signal.signal(number, handler)
        grown = _megabytes("VmHWM") - before
        captured = capsys.readouterr()
        assert grown < MEGABYTES, f"{grown:.0f} MB more memory"
        return Outcome(end.value.code or 0, captured.out, captured.err)

    return run


@pytest.fixture
def refused(ended):
    """A function that runs a command which must be refused as the user's mistake, and whose message must hold some words."""

    def run(command, words=()):
        code, out, err = ended(command)
        assert code == 2, ascii((code, out[-300:], err[-300:]))
        assert "Traceback" not in err
        assert "internal error" not in err
        assert len(err) < 20_000
        for word in words:
            assert word in err, ascii((word, err[-600:]))
        return err

    return run


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path
