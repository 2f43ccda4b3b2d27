"""The measuring process of one model, as its asker sees it: started, asked, watched from outside, ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ..errors import DistillError, ModelError
from ..files import write_json
from .outside import ThreadWatch

LOOK_SECONDS = 0.005
CHECK_SECONDS = 0.25


class Worker:
    """A process that holds one model and sleeps unless it is asked.

    Args:
        name: of the variant, for errors.
        threads: its budget.
        spec: what `worker.Bench` needs.
        scratch: an empty folder of its own; the working directory too, so that no file beside the user shadows a module.
        cache: where torch.compile may keep what it made.

    Raises:
        ModelError: the model cannot be loaded.
        DistillError: the process died.
    """

    def __init__(self, name: str, threads: int, spec: dict[str, Any], scratch: Path, cache: Path) -> None:
        self.name, self.threads = name, threads
        self._errors = scratch / "stderr.txt"
        task = scratch / "spec.json"
        write_json(task, {**spec, "threads": threads, "started": time.monotonic()})
        command = [sys.executable, "-m", "distill.measure.worker", str(task)]
        with open(self._errors, "wb") as stream:
            self.process = subprocess.Popen(
                command,
                cwd=scratch,
                env=worker_environment(threads, cache),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
                encoding="utf-8",
            )
        try:
            self.hello = self.ask("hello")
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """Of the process."""
        return self.process.pid

    def ask(self, does: str, **values: Any) -> dict[str, Any]:
        """Ask and wait for the answer.

        Raises:
            ModelError, DistillError: the process ended instead; its last words are told.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"do": does, **values}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except OSError:  # a pipe that nobody reads any more
            line = ""
        if not line.endswith("\n"):
            raise worker_error(self.name, self.threads, self.process.wait(), self._last_words())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def watch_threads(self, key: str) -> dict[str, Any] | None:
        """Let it work for a quarter of a second on a case and count its running threads meanwhile."""
        done = threading.Event()
        watch = ThreadWatch(self.pid, self.threads)

        def look() -> None:
            while not done.wait(LOOK_SECONDS):
                watch.look()

        looker = threading.Thread(target=look, daemon=True)
        looker.start()
        try:
            self.ask("block", key=key, groups=[0], min_runs=1, min_seconds=CHECK_SECONDS)
            return watch.verdict()
        finally:
            done.set()
            looker.join()

    def close(self) -> dict[str, Any]:
        """Ask for the last word, then let it end."""
        answer = self.ask("bye")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.kill()
        return answer

    def kill(self) -> None:
        """End the process, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # what was not read any more
                    stream.close()

    def _last_words(self) -> str:
        try:
            return self._errors.read_text("utf-8", "replace")
        except OSError:
            return ""


def worker_error(name: str, threads: int, status: int, words: str) -> DistillError:
    """The error of a worker: the user's, told as the worker told it, or ours."""
    lines = words.strip().splitlines()
    if status == ModelError.exit_code:
        return ModelError("this model cannot be measured", where=name, got="\n".join(lines))
    killed = " (killed: out of memory?)" if status == -signal.SIGKILL else ""
    return DistillError(
        "the measuring process died",
        where=f"{name}, threads {threads}",
        got=f"exit status {status}{killed}; its last words: " + (" | ".join(lines[-3:]) or "none"),
        hint="try a smaller grid, or run the command again",
    )


LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun tells a process of a group: what is measured belongs to none."""


def worker_environment(threads: int, cache: Path) -> dict[str, str]:
    """The thread budget for every library, no network, and our own package first."""
    budget = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"), str(threads))
    package_root = str(Path(__file__).resolve().parents[2])
    paths = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
    offline = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    compiling = {"TORCHINDUCTOR_CACHE_DIR": str(cache), "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    # Threads that wait for work must sleep, or they take the core from the model whose turn it is.
    sleeping = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
    alone = {name: value for name, value in os.environ.items() if name not in LAUNCHED}
    return {**alone, **budget, **offline, **compiling, **sleeping, "PYTHONPATH": os.pathsep.join(paths)}
