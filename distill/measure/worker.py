"""One process, one model: load it, then do what is asked, line by line, and sleep in between. Several models may stand as one.

Run by `distill.measure.process` as `python -m distill.measure.worker SPEC`, with the thread budget already in the environment.
Questions come on stdin and answers go to stdout, one JSON object a line; whatever a library prints goes to stderr. An ONNX
model is timed without importing torch. What is timed: token ids -> sentence embedding, pooling and normalisation included, or
of a task model token ids -> logits; with the scope `end_to_end` texts -> the same.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import DistillError
from ..files import read_json
from .hardware import peak_rss_mb
from .inputs import lengths_batch, random_batch
from .models import Loaded, checked, load_onnx, load_torch

WARM_UP_RUNS = 3
WARM_UP_SECONDS = 0.2
MOST_RUNS = 20_000
"""Of one block."""
LONG_MS = 200.0
"""A run that takes longer than this is not run once more, untimed, at the start of every block."""
Run = Callable[[], object]


class Bench:
    """A loaded model and the cases it was given.

    Args:
        spec: format, path, home, threads, compiled, dynamic, scope, vocabulary, special, texts (a JSON file), started
            (when the process was started, on the clock of `time.monotonic`); more: path, home, vocabulary and special of each
            further model that every call runs after this one.
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.compiled = bool(spec.get("compiled"))
        self.parts: list[dict[str, Any]] = [spec, *spec.get("more", ())]
        self.loaded = [self._load(part["path"]) for part in self.parts]
        self.texts: list[str] = read_json(Path(spec["texts"])) if spec.get("texts") else []
        self.runs: dict[str, list[Run]] = {}
        self.usual_ms: dict[str, float] = {}
        self._sources: dict[int, Any] = {}
        gc.collect()
        gc.freeze()  # so that collecting before each block is quick

    def _load(self, path: str) -> Loaded:
        threads = self.spec["threads"]
        if self.spec["format"] == "torch":
            return load_torch(path, threads, compiled=self.compiled, dynamic=bool(self.spec.get("dynamic")))
        return load_onnx(path, threads)

    def hello(self) -> dict[str, Any]:
        """load_ms; start_ms: from the start of the process to a loaded model, imports included; base_mb."""
        start = (self.loaded[-1].ready - self.spec["started"]) * 1000
        return {"load_ms": sum(one.load_ms for one in self.loaded), "start_ms": start, "base_mb": self.loaded[0].base_mb}

    def case(self, key: str, kind: str, groups: Sequence[Sequence[int]]) -> dict[str, Any]:
        """Make the inputs of a case, run its first group once and then warm up.

        Returns:
            first_ms: the first call; tokens: of each group, padding not counted; compile_ms: of a compiled model, what its
            first calls took beyond a usual one.
        """
        made = [self._group(kind, group) for group in groups]
        runs = self.runs[key] = [run for run, _ in made]
        start = time.perf_counter()
        checked(runs[0], self.compiled)
        first = (time.perf_counter() - start) * 1000
        compiling = first
        if self.compiled and len(runs) > 1:
            start = time.perf_counter()
            for run in runs[1:]:
                checked(run, True)
            compiling += (time.perf_counter() - start) * 1000
        self.usual_ms[key] = usual = warm_up(runs)
        more = max(0.0, compiling - usual * len(runs)) if self.compiled else None
        return {"first_ms": first, "compile_ms": more, "tokens": [tokens for _, tokens in made]}

    def block(self, key: str, groups: Sequence[int], min_runs: int, min_seconds: float) -> dict[str, Any]:
        """Time some groups, one after the other and from the first again until `min_runs` and `min_seconds` are met."""
        runs = [self.runs[key][number] for number in groups]
        if self.usual_ms[key] < LONG_MS:
            runs[0]()  # what the other models left in the caches is not this one's time
        wall, cpu_ms = timed(runs, min_runs, min_seconds)
        return {"wall_ms": wall, "cpu_ms": cpu_ms}

    def serve(self, key: str, groups: Sequence[int], times: Sequence[float], limit: float) -> dict[str, Any]:
        """Answer requests that come at given times, whether or not the ones before are answered.

        Args:
            key, groups: what each request asks for.
            times: when each comes, in seconds from now, ascending.
            limit: seconds after which nothing more is answered.

        Returns:
            start, end: of each request that was answered, in seconds; the request waited from its time until its start.
        """
        runs = [self.runs[key][number] for number in groups]
        runs[0]()
        starts, ends = [], []
        with _no_collector():
            cpu, zero = time.process_time(), time.perf_counter()
            for run, at in zip(runs, times, strict=True):
                now = time.perf_counter() - zero
                if now >= limit:
                    break
                if now < at:
                    time.sleep(at - now)
                starts.append(time.perf_counter() - zero)
                run()
                ends.append(time.perf_counter() - zero)
            cpu_ms = (time.process_time() - cpu) * 1000
        return {"start": starts, "end": ends, "cpu_ms": cpu_ms}

    def bye(self) -> dict[str, Any]:
        """The most memory that this process has held at once."""
        return {"peak_rss_mb": peak_rss_mb()}

    def _group(self, kind: str, group: Sequence[int]) -> tuple[Run, int]:
        """A call, and how many tokens it works through, as the first model counts."""
        made = [self._of_model(number, kind, group) for number in range(len(self.parts))]
        runs = [run for run, _ in made]
        return (runs[0] if len(runs) == 1 else lambda: [run() for run in runs]), made[0][1]

    def _of_model(self, number: int, kind: str, group: Sequence[int]) -> tuple[Run, int]:
        if kind == "texts":
            return self._text_group(number, [self.texts[text] for text in group])
        part, prepare = self.parts[number], self.loaded[number].prepare
        vocabulary, special = part["vocabulary"], tuple(part["special"])
        if kind == "full":
            return prepare(random_batch(len(group), group[0], vocabulary, special)), sum(group)
        return prepare(lengths_batch(group, vocabulary, special)), sum(group)

    def _text_group(self, number: int, texts: list[str]) -> tuple[Run, int]:
        from ..runtime.text import TextInput

        if number not in self._sources:
            self._sources[number] = TextInput(Path(self.parts[number]["home"]))
        source = self._sources[number]
        prefix = source.resolve_prompt(None)
        rows = [prefix + text for text in texts]
        encodings = source.tokenize(rows)
        tokens = sum(len(encoding.ids) for encoding in encodings)
        prepare, encode = self.loaded[number].prepare, self.loaded[number].encode
        if self.spec["scope"] == "model":
            return prepare(source.pad(encodings)), tokens
        if encode is not None:
            return encode(texts), tokens
        return lambda: prepare(source.pad(source.tokenize(rows)))(), tokens


def warm_up(runs: Sequence[Run]) -> float:
    """Run at least 3 times and 0.2 seconds long; the milliseconds that one run took at last."""
    start, done, last = time.perf_counter(), 0, 0.0
    while done < WARM_UP_RUNS or time.perf_counter() - start < WARM_UP_SECONDS:
        before = time.perf_counter()
        runs[done % len(runs)]()
        last, done = (time.perf_counter() - before) * 1000, done + 1
        if done == 1 and last > 1000 * WARM_UP_SECONDS:
            break
    return last


def timed(runs: Sequence[Run], min_runs: int, min_seconds: float) -> tuple[list[float], float]:
    """Time calls, the garbage collector switched off.

    Args:
        runs: done in turn, all of them equally often, until `min_runs` and `min_seconds` are met, or 20,000 runs.
        min_runs, min_seconds: of all together.

    Returns:
        Wall time of each run and CPU time of all, in milliseconds.
    """
    wall: list[float] = []
    with _no_collector():
        cpu, start = time.process_time(), time.perf_counter()
        while True:
            for run in runs:
                before = time.perf_counter()
                run()
                wall.append((time.perf_counter() - before) * 1000)
            if len(wall) >= MOST_RUNS or (len(wall) >= min_runs and time.perf_counter() - start >= min_seconds):
                break
        return wall, (time.process_time() - cpu) * 1000


@contextlib.contextmanager
def _no_collector() -> Any:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def answer_all(bench: Any, questions: IO[str], answers: IO[str]) -> None:
    """Answer every line until there are no more, or `bye` is said."""
    for line in questions:
        asked = json.loads(line)
        does = asked.pop("do")
        answers.write(json.dumps(getattr(bench, does)(**asked), default=_plain) + "\n")
        answers.flush()
        if does == "bye":
            return


def main(spec_path: str) -> None:
    """Serve the model that the JSON file `spec_path` describes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who asks decides when to stop
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    answer_all(Bench(read_json(Path(spec_path))), sys.stdin, answers)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(type(value).__name__)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except DistillError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
