"""Time models side by side on one machine, each in fresh processes, with one thread budget for torch and onnxruntime.

A machine's speed drifts: other work comes and goes, the clock rises and falls. So the models are measured in two passes,
A B C and then C B A, each with half of the runs, and the samples are pooled: a slow drift then weighs on all alike, and
a ratio of two of them stays honest.
"""

from __future__ import annotations

import importlib.util
import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..errors import DistillError, MissingExtra, ModelError, UserError
from ..files import read_json, write_json
from ..progress import note, track
from .hardware import available_cores, environment, load_average
from .inputs import SEED, InputFacts, read_facts
from .rows import Timing, latency_row
from .size import file_mb
from .tasks import task_class
from .variants import Variant, find_variants

__all__ = ["Variant", "find_variants", "measure_models"]

SCOPE = "token ids to sentence embedding: pooling and normalisation included, tokenisation not; full-length input, no padding"
TASK_SCOPE = "token ids to logits: tokenisation not included; full-length input, no padding"
Cell = tuple[int, int, int]  # batch, sequence, threads


def measure_models(
    variants: Sequence[Variant],
    *,
    batch: Sequence[int] = (1, 32),
    sequence: Sequence[int] = (32, 128),
    threads: Sequence[int] = (1,),
    min_runs: int = 30,
    min_seconds: float = 1.0,
    passes: int | None = None,
    progress: bool = True,
    root: Path | None = None,
) -> dict[str, Any]:
    """Measure latency, load time, peak memory and file size.

    Args:
        variants: the models, each in one format.
        batch, sequence, threads: every combination is timed; sequence in tokens. A sequence that is longer than a
            model's position table is left out for that model and listed under `skipped`.
        min_runs, min_seconds: both are met by every row, over all its passes.
        passes: fresh processes per model and thread count; None: 2, or 1 where `min_seconds` is 0 (a trial).
        progress: show progress on stderr.
        root: paths in the result are relative to this folder, by default the working directory.

    Returns:
        The content of measure.json: schema_version, environment, grid, variants. Of each variant: name, role, format,
        path, file_mb, load_ms (of the faster pass, file in the page cache, imports not counted), peak_rss_mb (of the
        process, libraries included), latency (rows, see `rows.latency_row`), skipped.

    Raises:
        UserError: no variant, two of one name, or a number out of range.
        ModelError: a model is not there or cannot be loaded.
        MissingExtra: a torch model is to be measured where torch is not installed.
        DistillError: a measuring process died.
    """
    cells = [(b, s, t) for t in threads for b in batch for s in sequence]
    _check(variants, cells, min_runs, min_seconds, passes)
    rounds = passes if passes is not None else (2 if min_seconds > 0 else 1)
    facts = {variant.name: read_facts(variant.home()) for variant in variants}
    sizes = {variant.name: file_mb(variant.weights or variant.location()) for variant in variants}
    machine = environment()
    jobs = [
        (variant, count)
        for number in range(rounds)
        for variant in (variants if number % 2 == 0 else list(reversed(variants)))
        for count in dict.fromkeys(threads)
    ]
    results: dict[str, _Collected] = {variant.name: _Collected() for variant in variants}
    steps: Iterable[tuple[Variant, int]] = track(jobs, total=len(jobs), description="measuring") if progress else jobs
    for variant, count in steps:
        fitting = [cell for cell in cells if cell[2] == count and not _too_long(cell, facts[variant.name])]
        if fitting:
            runs = {"min_runs": math.ceil(min_runs / rounds), "min_seconds": min_seconds / rounds}
            results[variant.name].add(fitting, _in_fresh_process(variant, count, fitting, facts[variant.name], runs))
    return {
        "schema_version": 1,
        "environment": {**machine, "load_after": load_average()},
        "grid": {
            "batch": list(batch),
            "sequence": list(sequence),
            "threads": list(threads),
            "min_runs": min_runs,
            "min_seconds": min_seconds,
            "passes": rounds,
            "input_seed": SEED,
            "precision": "torch in fp32, default attention kernel; onnxruntime with idle threads asleep",
            "scope": _scope(variants),
        },
        "variants": [
            {
                "name": variant.name,
                "role": variant.role,
                "format": variant.format,
                "path": variant.shown_path(root or Path.cwd()),
                "file_mb": sizes[variant.name],
                **results[variant.name].summary(),
                "skipped": _skipped(variant.name, cells, facts[variant.name], progress),
            }
            for variant in variants
        ],
    }


class _Collected:
    """What the processes of one variant gave."""

    def __init__(self) -> None:
        self.load_ms: list[float] = []
        self.peak_rss_mb: list[float] = []
        self.timings: dict[Cell, list[Timing]] = {}
        self.busy: set[Cell] = set()

    def add(self, cells: Sequence[Cell], result: dict[str, Any]) -> None:
        self.load_ms.append(result["load_ms"])
        self.peak_rss_mb.append(result["peak_rss_mb"])
        for cell, row in zip(cells, result["rows"], strict=True):
            self.timings.setdefault(cell, []).append(Timing(tuple(row["wall_ms"]), row["cpu_ms"]))
            if result["busy"] or cell[2] > available_cores():
                self.busy.add(cell)

    def summary(self) -> dict[str, Any]:
        return {
            "load_ms": round(min(self.load_ms), 2) if self.load_ms else None,
            "peak_rss_mb": max(self.peak_rss_mb) if self.peak_rss_mb else None,
            "latency": [latency_row(*cell, timings, busy=cell in self.busy) for cell, timings in self.timings.items()],
        }


def _in_fresh_process(
    variant: Variant, threads: int, cells: Sequence[Cell], facts: InputFacts, runs: dict[str, float]
) -> dict[str, Any]:
    """Run the worker for one variant and one thread count."""
    spec = {
        "format": variant.format,
        "path": str(variant.location()),
        "threads": threads,
        "cells": [(batch, sequence) for batch, sequence, _ in cells],
        "vocabulary": facts.vocabulary,
        "special": facts.special,
        **runs,
    }
    busy = (load_average() or 0) > 1.5 * (os.cpu_count() or 1)
    # An empty working directory, so that no file beside the user shadows a module.
    with tempfile.TemporaryDirectory(prefix="distill-measure-") as scratch:
        task, result = Path(scratch) / "spec.json", Path(scratch) / "result.json"
        write_json(task, spec)
        command = [sys.executable, "-m", "distill.measure.worker", str(task), str(result)]
        done = subprocess.run(
            command, cwd=scratch, env=_worker_environment(threads), capture_output=True, text=True, errors="replace", check=False
        )
        if done.returncode != 0 or not result.is_file():
            raise _worker_error(variant, threads, done.returncode, done.stderr)
        return {**read_json(result), "busy": busy}


def _worker_error(variant: Variant, threads: int, status: int, words: str) -> DistillError:
    """The error of a worker: the user's, told as the worker told it, or ours."""
    lines = words.strip().splitlines()
    if status == ModelError.exit_code:
        return ModelError("this model cannot be measured", where=variant.name, got="\n".join(lines))
    killed = " (killed: out of memory?)" if status == -signal.SIGKILL else ""
    return DistillError(
        "the measuring process died",
        where=f"{variant.name}, threads {threads}",
        got=f"exit status {status}{killed}; its last words: " + (" | ".join(lines[-3:]) or "none"),
        hint="try a smaller grid, or run the command again",
    )


def _worker_environment(threads: int) -> dict[str, str]:
    """The thread budget for every library, no network, and our own package first."""
    budget = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    package_root = str(Path(__file__).resolve().parents[2])
    paths = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
    offline = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    return {**os.environ, **budget, **offline, "PYTHONPATH": os.pathsep.join(paths)}


def _scope(variants: Sequence[Variant]) -> str:
    """What was timed, in words; each kind of model is told where there are both."""
    tasks = {task_class(variant.home()) is not None for variant in variants}
    return "; ".join(text for kind, text in ((False, SCOPE), (True, TASK_SCOPE)) if kind in tasks)


def _too_long(cell: Cell, facts: InputFacts) -> bool:
    return facts.longest is not None and cell[1] > facts.longest


def _skipped(name: str, cells: Sequence[Cell], facts: InputFacts, progress: bool) -> list[dict[str, Any]]:
    """The cells that a model cannot take, each with the reason."""
    reason = f"the model takes {facts.longest} tokens at most"
    rows = [{"batch": b, "sequence": s, "threads": t, "reason": reason} for b, s, t in cells if _too_long((b, s, t), facts)]
    if rows and progress:
        note(f"measuring: {name} has no rows for sequence {', '.join(sorted({str(row['sequence']) for row in rows}))}: {reason}")
    return rows


def _check(variants: Sequence[Variant], cells: Sequence[Cell], min_runs: int, min_seconds: float, passes: int | None) -> None:
    """Refuse what cannot be measured before the first process starts."""
    names = [variant.name for variant in variants]
    if not variants:
        raise UserError("no model is given", where="measure", expected="at least one variant")
    if len(set(names)) != len(names):
        raise UserError("two models have one name", where="measure", got=", ".join(names), expected="a name for each")
    if not cells or len(set(cells)) != len(cells) or min(min(cell) for cell in cells) < 1:
        raise UserError(
            "this grid cannot be measured",
            where="measure",
            got=cells,
            expected="batch, sequence and threads: different whole numbers from 1",
        )
    if min_runs < 1 or not 0 <= min_seconds < math.inf or (passes is not None and passes < 1):
        raise UserError(
            "these numbers of runs cannot be met",
            where="measure",
            got=f"min_runs {min_runs}, min_seconds {min_seconds}, passes {passes}",
            expected="at least 1 run, 0 seconds and 1 pass",
        )
    if any(variant.format == "torch" for variant in variants) and importlib.util.find_spec("sentence_transformers") is None:
        raise MissingExtra("train", "sentence_transformers", "measuring a torch model")
