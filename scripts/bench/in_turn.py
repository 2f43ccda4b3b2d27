"""What benches share that run several systems in turn, each in a process of its own."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def run_worker(worker: Path, job: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object that a worker's last line is; ends the bench where the worker fails.

    Args:
        worker: a program that takes the job as JSON.
        job: names its `system`, and how many `threads` it may have.
    """
    threads = {name: str(job["threads"]) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    command = [sys.executable, str(worker), json.dumps(job)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **threads}, check=False)
    if done.returncode:
        sys.exit(f"{job['system']} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def spread(values: list[float], digits: int = 3) -> dict[str, float]:
    """Median, lowest and highest."""
    return {name: round(of(values), digits) for name, of in (("median", statistics.median), ("lowest", min), ("highest", max))}
