"""A stand-in for the stopwatch: measure.json without measuring, for tests of something else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def stand_in(asked: list[list[str]]) -> Callable[..., dict[str, Any]]:
    """A function in place of `measure_models`; it appends to `asked` the names of the variants it is asked for."""

    def measure_models(variants, *, batch, sequence, threads, root, **more):
        from distill.measure.hardware import environment
        from distill.measure.size import file_mb

        asked.append([variant.name for variant in variants])
        row = {"batch": 1, "sequence": 32, "threads": 1, "p50_ms": 1.0, "p90_ms": 1.0, "p99_ms": None, "cpu_ms": 1.0, "n": 3}
        return {
            "schema_version": 1,
            "environment": environment(),
            "grid": {"batch": list(batch), "sequence": list(sequence), "threads": list(threads)},
            "variants": [
                {
                    "name": variant.name,
                    "role": variant.role,
                    "format": variant.format,
                    "path": variant.shown_path(root),
                    "models": len(variant.every),
                    "file_mb": sum(file_mb(one.weights or one.location()) for one in variant.every),
                    "load_ms": 1.0,
                    "peak_rss_mb": 1.0,
                    "latency": [{**row, "sentences_per_s": 1000.0, "noisy": False, "samples_ms": [1.0, 1.0, 1.0]}],
                }
                for variant in variants
            ],
        }

    return measure_models
