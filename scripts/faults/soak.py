#!/usr/bin/env python3
"""Many runs in one process after each other, then some at once: what is left of them?

    OMP_NUM_THREADS=1 python scripts/faults/soak.py --work FOLDER [--runs 50] [--at-once 4] [--results FILE.json]

Runs of a small encoder (training, one ONNX file, measuring, report), all with one cache. After each, what the process holds is
counted: memory, open files, threads, child processes. Then some processes at once share an empty cache. In the end no temporary
file, no owner of a lock and no process may be left, and every student must be the same. Ends with 1 where that is not so, or
where memory still grows.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import tiny_runs

GROWTH_KB = 512
"""Memory that a run may add, by the slope over the second half of the runs: what Python and its libraries keep."""
LIBRARIES = ("torchinductor_",)
"""Caches that libraries keep below the temporary folder, under one name for every run of a user."""
RECIPE = {
    **tiny_runs.RECIPES["embedding"],
    "data": {"train": "sentences.txt", "evaluate": {"sts": "sts.csv"}},
    "export": {"presets": ["fp32"]},
}


def held() -> dict[str, int]:
    """What this process holds."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    mine = os.getpid()
    return {
        "memory_kb": int(status["VmRSS"].split()[0]),
        "files": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "children": sum(_parent(pid) == mine for pid, _ in tiny_runs.sessions()),
    }


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def left(*folders: Path) -> list[str]:
    """Temporary files, and locks that name an owner."""
    files = [file for folder in folders for file in folder.rglob("*")]
    torn = [file.name for file in files if ".tmp-" in file.name]
    return torn + [file.name for file in files if file.name in ("lock", ".lock") and file.stat().st_size]


def slope(values: list[float]) -> float:
    """How much a value grows a run: the line through the second half."""
    half = values[len(values) // 2 :]
    return statistics.linear_regression(range(len(half)), half).slope if len(half) > 1 else 0.0


def in_sequence(home: Path, count: int) -> list[dict[str, Any]]:
    """Runs in this process, one after the other; what is held after each."""
    import distill

    rows = []
    for number in range(count):
        out, began = home / f"run-{number}", time.monotonic()
        distill.run(RECIPE, out=out)
        digest = _student(out)
        rows.append({"run": number, "seconds": round(time.monotonic() - began, 1), "student": digest, **held()})
        print(json.dumps(rows[-1]), flush=True)
        shutil.rmtree(out)
    return rows


def _student(out: Path) -> str:
    from distill.files import sha256_file

    return sha256_file(out / "student" / "model.safetensors")


def at_once(home: Path, count: int) -> list[dict[str, Any]]:
    """Processes at once, which share an empty cache."""
    cache = home / "shared"
    environment = {**os.environ, "DISTILL_CACHE": str(cache), "PYTHONPATH": str(tiny_runs.ROOT)}
    processes = []
    for number in range(count):
        command = [sys.executable, "-m", "distill", "run", "soak.yaml", "--quiet", "--out", f"once-{number}"]
        processes.append(subprocess.Popen(command, cwd=home, env=environment, start_new_session=True))
    codes = [process.wait() for process in processes]
    time.sleep(1)
    sessions = {process.pid for process in processes}
    alive = sum(session in sessions for _, session in tiny_runs.sessions())
    students = [_student(home / f"once-{number}") if code == 0 else None for number, code in enumerate(codes)]
    return [{"code": code, "student": student, "alive": alive} for code, student in zip(codes, students, strict=True)]


def main() -> None:
    """Run, count, write, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for the runs; emptied first")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--results", type=Path, default=tiny_runs.ROOT / "scripts/faults/results/soak.json")
    options = parser.parse_args()
    work = options.work.absolute()
    shutil.rmtree(work, ignore_errors=True)
    home = tiny_runs.make_home(work)
    (home / "soak.yaml").write_text(json.dumps(RECIPE), "utf-8")
    (home / "tmp").mkdir()
    os.environ |= {"DISTILL_CACHE": str(home / "cache"), "HF_HUB_OFFLINE": "1", "TMPDIR": str(home / "tmp")}
    tempfile.tempdir = str(home / "tmp")
    os.chdir(home)
    tiny_runs.warm()
    rows, together = in_sequence(home, options.runs), at_once(home, options.at_once)
    students = {row["student"] for row in [*rows, *together]}
    first, last = rows[min(2, len(rows) - 1)], rows[-1]
    found = {
        "runs": len(rows),
        "at_once": len(together),
        "memory_kb_a_run": round(slope([row["memory_kb"] for row in rows]), 1),
        "files_more": last["files"] - first["files"],
        "threads_more": last["threads"] - first["threads"],
        "children": last["children"] + max((row["alive"] for row in together), default=0),
        "left": left(home),
        "temporary": sorted(item.name for item in (home / "tmp").iterdir() if not item.name.startswith(LIBRARIES)),
        "students": len(students),
        "failed": sum(row["code"] != 0 for row in together),
    }
    from distill.files import write_json
    from distill.measure.hardware import environment

    about = {"source": tiny_runs.source(), "hardware": environment()}
    write_json(options.results, {**about, "found": found, "rows": rows, "together": together})
    print(json.dumps(found))
    leaks = [found["files_more"] > 0, found["threads_more"] > 0]
    leaks += [bool(found[name]) for name in ("children", "left", "temporary", "failed")]
    sys.exit(int(any(leaks) or found["students"] != 1 or found["memory_kb_a_run"] > GROWTH_KB))


if __name__ == "__main__":
    main()
