"""0 done, 1 a gate failed, 2 the user's mistake, 3 ours, 130 and 143 interrupted."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
import time

import pytest

from distill.errors import DistillError, GateError, RunError


def raising(error):
    def run(recipe, *, out, force):
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (GateError("parity failed", where="fast"), 1),
        (RunError("cannot write: the disk is full", where="runs/quickstart"), 2),
        (DistillError("a measuring process died"), 3),
        (ValueError("surprise [red]!"), 3),
        (MemoryError(), 3),
        (OSError(errno.ENOSPC, "No space left on device"), 2),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_the_kind_of_error_chooses_the_code(cli, fake_run, error, code):
    fake_run(raising(error))
    outcome = cli("run", "quickstart")
    assert outcome.code == code
    assert "Traceback" not in outcome.err
    assert str(error) in outcome.err


def test_debug_shows_the_traceback(cli, fake_run):
    fake_run(raising(ValueError("surprise")))
    code, _, err = cli("--debug", "run", "quickstart")
    assert code == 3
    assert "Traceback" in err
    assert "ValueError: surprise" in err


def test_missing_package_names_the_extra(cli, fake_run):
    fake_run(raising(ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")))
    code, _, err = cli("run", "quickstart")
    assert code == 2
    assert "'torch'" in err
    assert "pip install 'distill-toolkit[train]'" in err


def test_our_own_missing_module_is_our_failure(cli, fake_run):
    fake_run(raising(ModuleNotFoundError("No module named 'distill.nowhere'", name="distill.nowhere")))
    assert cli("run", "quickstart").code == 3


def test_run_prints_the_headline_and_where_the_report_is(cli, fake_run):
    class Headline:
        notes = ("measure again when it is calm",)

    class Report:
        summary = "The file 'fast' is 5.3 times smaller."
        headline = Headline

    seen = {}

    def run(recipe, *, out, force):
        seen.update(layers=recipe.student.layers, out=out, force=force)
        return Report

    fake_run(run)
    code, out, _ = cli("run", "quickstart", "student.layers=2")
    assert code == 0
    assert seen == {"layers": 2, "out": None, "force": False}
    assert out.splitlines() == [
        "The file 'fast' is 5.3 times smaller.",
        "note: measure again when it is calm",
        "report: runs/quickstart/report.html",
    ]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_and_says_how_to_go_on(number, code, tmp_path):
    program = """
import sys, time, types
module = types.ModuleType("distill.pipeline")
def run(recipe, *, out, force):
    print("started", flush=True)
    try:
        time.sleep(60)
    except Exception:
        print("swallowed")
module.run = run
sys.modules["distill.pipeline"] = module
sys.argv = ["distill", "run", "quickstart"]
from distill.cli import main
main()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert process.stdout.readline() == "started\n"
    began = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert time.monotonic() - began < 10
    assert out == ""
    assert "run the same command again" in err
