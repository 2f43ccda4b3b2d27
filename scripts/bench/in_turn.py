"""What benches share that run several systems in turn, each in a process of its own."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distill.files import atomic_write


def run_worker(worker: Path, job: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object that a worker's last line is; ends the bench where the worker fails.

    Args:
        worker: a program that takes the job as JSON.
        job: names its `system`, and how many `threads` it may have.
    """
    threads = {name: str(job["threads"]) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    return ask(sys.executable, worker, job, job["system"], {**os.environ, **threads})


def ask(
    python: str, worker: Path, job: Mapping[str, Any], name: str, environment: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """The JSON object that a worker's last line is; ends the bench where the worker fails.

    Args:
        python: to run it with.
        worker: a program that takes the job as JSON.
        job: what it is to do.
        name: of the job, for the error.
        environment: of the process.
    """
    done = subprocess.run(
        [python, str(worker), json.dumps(job)], capture_output=True, text=True, env=dict(environment), check=False
    )
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def pinned_python(folder: Path, pins: Sequence[str]) -> str:
    """The Python of an environment that pip fills with these packages, which is made if it is not there."""
    python, seal = folder / "bin" / "python", folder / "pins.txt"
    if not seal.is_file() or seal.read_text("utf-8") != "\n".join(pins):
        print(f"{folder.name}: pip install {' '.join(pins)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *pins], check=True)
        atomic_write(seal, "\n".join(pins))
    return str(python)


def spread(values: list[float], digits: int = 3) -> dict[str, float]:
    """Median, lowest and highest."""
    return {name: round(of(values), digits) for name, of in (("median", statistics.median), ("lowest", min), ("highest", max))}
