"""A signal is never lost, wherever it falls."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, signal, sys, threading, time
from distill import stopping

class Slow:
    def __del__(self):
        print("in", flush=True)
        time.sleep(0.6)

class Broken:
    def __del__(self):
        raise ValueError("mine")

stopping.listen()
number = int(sys.argv[1])
try:
    Broken()
    threading.Timer(0.3, os.kill, (os.getpid(), number)).start()
    Slow()
    print("out", flush=True)
    time.sleep(20)
    print("never")
except stopping.Stopped as stopped:
    stopping.deaf()
    print("stopped", stopped.exit_code)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_that_falls_into_a_destructor_comes_again(number, tmp_path):
    """Python would print it as an exception that it ignored, and go on."""
    command = [sys.executable, "-c", PROGRAM, str(int(number))]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=root)
    assert done.stdout.split() == ["in", "out", "stopped", str(128 + number)]
    assert "Stopped" not in done.stderr
    assert "ValueError: mine" in done.stderr  # what else cannot be raised is told as ever
