"""Batches through onnxruntime: on one thread each and several at once, safe in threads and after a fork."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import weakref
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from ..errors import ModelError
from .batches import CPU_TOKENS, DEVICE_TOKENS, usable_cores
from .session import graph_outputs, open_session

Feeds = Mapping[str, NDArray[np.int64]]
Outputs = tuple[NDArray[np.float32], ...]

_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


class Engine:
    """One ONNX file, ready to run. May be used from several threads at once, in forked processes, and pickled.

    One run uses all threads. Where there is more than that to do, batches run side by side instead, each on one thread
    of a pool: nothing waits for the slowest part of a layer. The second session for that, with weights of its own, is
    opened when it is first needed.

    Args:
        file: a self-contained .onnx file.
        threads, providers: as in `open_session`.

    Attributes:
        outputs: the names of what the graph gives, a key of `session.GRAPHS`.
        inputs: the names of what it takes.
        ranks: the rank that the graph declares for each output; None where it does not.
        workers: how many batches run side by side.
        default_tokens: tokens of a batch where nothing else is asked for.
    """

    def __init__(self, file: Path, threads: int | None = None, providers: Sequence[str] | None = None) -> None:
        self._asked = (file, threads, providers)
        self._begin()
        first = self._session("wide")
        self.outputs = graph_outputs(first)
        self.inputs = [node.name for node in first.get_inputs()]
        shapes = {node.name: node.shape for node in first.get_outputs()}
        self.ranks = [len(shapes[name]) if shapes[name] else None for name in self.outputs]
        on_cpu = providers is None or list(providers) == ["CPUExecutionProvider"]
        self.default_tokens = CPU_TOKENS if on_cpu else DEVICE_TOKENS
        self.workers = (usable_cores() if threads is None else threads) if on_cpu else 1

    def run(self, feeds: Feeds) -> Outputs:
        """One batch on all threads.

        Raises:
            ModelError: onnxruntime refuses the batch, or there is not enough memory for it.
        """
        return self._run("wide", feeds)

    def start(self, batches: Iterable[Feeds]) -> list[Future[Outputs]]:
        """Run many batches, one thread each; their results come as futures, in order."""
        pool, kind = self._threads(), "narrow" if self.workers > 1 else "wide"
        self._session(kind)  # a file that is gone by now is told here
        return [pool.submit(self._run, kind, feeds) for feeds in batches]

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if not key.startswith("_") or key == "_asked"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()

    def _begin(self) -> None:
        self._sessions: dict[str, InferenceSession] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        _engines.add(self)

    def _run(self, kind: str, feeds: Feeds) -> Outputs:
        try:
            found = self._session(kind).run(list(self.outputs), dict(feeds))
        except ModelError:
            raise
        except Exception as error:  # onnxruntime has a dozen kinds, none with a common base
            shape = " x ".join(map(str, feeds["input_ids"].shape))
            raise ModelError(
                "onnxruntime could not run this file",
                where=str(self._asked[0]),
                got=f"{error} (a batch of {shape} tokens)",
                hint="does the tokenizer belong to the model? else smaller batches, or export the model again",
            ) from error
        return tuple(np.asarray(part, dtype=np.float32) for part in found)

    def _session(self, kind: str) -> InferenceSession:
        with self._lock:
            if kind not in self._sessions:
                file, threads, providers = self._asked
                self._sessions[kind] = open_session(file, 1 if kind == "narrow" else threads, providers, outputs=None)
            return self._sessions[kind]

    def _threads(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="distill")
            return self._pool


def cancel(futures: Sequence[Future[Outputs]]) -> None:
    """Take back what has not begun, and wait for what has: nothing of a call runs on when it has ended."""
    for future in futures:
        future.cancel()
    for future in futures:
        if not future.cancelled():
            with contextlib.suppress(Exception):
                future.result()


def _after_fork() -> None:
    """In the child: sessions and pools of the parent have no threads here. New ones are opened when they are needed."""
    for engine in list(_engines):
        for inherited in (*engine._sessions.values(), engine._pool):
            # Never freed, not even when the process ends: onnxruntime would wait for threads that exist in the parent alone.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))
        engine._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
