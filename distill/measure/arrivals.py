"""The server scenario: requests come one by one at random, one model answers them in order, nobody waits to ask.

Arrivals are a Poisson process from a seed and are drawn beforehand (an open loop), so a slow answer delays no later request and
no queue is hidden ("coordinated omission"). The time of a request is its time in the queue plus its service time. Each segment
starts with an empty queue; the requests of its first tenth are answered and not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .intervals import interval_of
from .rows import LEAST_FOR_P99, percentile, rounded

SKIPPED_SHARE = 0.1
PATIENCE = 2.0
"""After so many times the segment's length nothing more is answered: the load is more than the model can bear."""
SATURATED = 0.98
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Segment:
    """One stretch of requests.

    Attributes:
        times: when each request came, in seconds.
        start, end: of those that were answered.
        seconds: how long requests came.
        passing: which set of processes.
        cpu_ms: CPU time of the process.
        others, steal: as in `rows.Block`.
    """

    times: tuple[float, ...]
    start: tuple[float, ...]
    end: tuple[float, ...]
    seconds: float
    passing: int = 0
    cpu_ms: float = 0.0
    others: float | None = None
    steal: float | None = None


def arrival_times(rate: float, seconds: float, seed: Sequence[int]) -> list[float]:
    """When requests come: a Poisson process.

    Args:
        rate: requests a second on average.
        seconds: how long.
        seed: several numbers; the gaps of one seed differ between rates by their scale alone.

    Returns:
        Ascending times in seconds; at least one.
    """
    rng = np.random.default_rng(list(seed))
    drawn = int(rate * seconds * 1.5 + 10 * np.sqrt(rate * seconds) + 10)
    times = np.cumsum(rng.exponential(1.0, drawn)) / rate
    return [float(time) for time in times[times < seconds]] or [0.0]


def server_row(
    segments: Sequence[Segment], *, rate: float, share: float | None, capacity: float, threads: int, sequence: int | None
) -> dict[str, Any]:
    """The times of requests under a load.

    Args:
        segments: at least one.
        rate: requests a second that were asked for.
        share: of the capacity, where the load was asked for so.
        capacity: requests a second that the model answers one after the other.
        threads, sequence: of the row; sequence None: text.

    Returns:
        threads, sequence, rate_per_s, load (share or null), capacity_per_s, answered_per_s, n, unanswered, saturated,
        p50_ms, p90_ms, p99_ms (null below 100 requests), p50_ci95, p99_ci95, queue and service (p50_ms, p90_ms, p99_ms each),
        busy (share of the time), arrivals_s, queue_ms, service_ms (every counted request). Of a saturated row the times are lower
        bounds: a request that was never answered waited until the segment was given up, and has a service time of 0.
    """
    counted = [_times(segment) for segment in segments]
    arrived, queue, service = (np.concatenate(part) for part in zip(*counted, strict=True))
    total = queue + service
    unanswered = sum(len(segment.times) - len(segment.end) for segment in segments)
    span = sum(max(segment.seconds, segment.end[-1] if segment.end else 0.0) for segment in segments)
    answered = sum(len(segment.end) for segment in segments) / span
    offered = sum(len(segment.times) for segment in segments) / sum(segment.seconds for segment in segments)
    passes = [segment.passing for segment in segments]
    saturated = unanswered > 0 or rate >= SATURATED * capacity
    enough = len(total) >= LEAST_FOR_P99
    return {
        "threads": threads,
        "sequence": sequence,
        "rate_per_s": round(rate, 3),
        "load": share,
        "capacity_per_s": round(capacity, 3),
        "offered_per_s": round(offered, 3),
        "answered_per_s": round(answered, 3),
        "n": len(total),
        "unanswered": unanswered,
        "saturated": saturated,
        **_percentiles(total),
        "p50_ci95": rounded(_interval(counted, passes, 50)),
        "p99_ci95": rounded(_interval(counted, passes, 99)) if enough else None,
        "queue": _percentiles(queue),
        "service": _percentiles(service[service > 0] if (service > 0).any() else service),
        "busy": round(float(service.sum()) / 1000 / max(span, 1e-9), 4),
        "arrivals_s": [round(float(value), 5) for value in arrived],
        "queue_ms": [round(float(value), 4) for value in queue],
        "service_ms": [round(float(value), 4) for value in service],
    }


def _times(segment: Segment) -> tuple[Floats, Floats, Floats]:
    """Arrival in seconds, queue and service in milliseconds, of the requests that count."""
    times = np.asarray(segment.times)
    given_up = max(segment.end[-1] if segment.end else 0.0, segment.seconds)
    start = np.concatenate([segment.start, np.full(len(times) - len(segment.start), given_up)])
    end = np.concatenate([segment.end, np.full(len(times) - len(segment.end), given_up)])
    kept = times >= SKIPPED_SHARE * segment.seconds
    kept = kept if kept.any() else np.ones(len(times), bool)
    return times[kept], (start - times)[kept] * 1000, (end - start)[kept] * 1000


def _percentiles(values: Floats) -> dict[str, float | None]:
    rows = [float(value) for value in values]
    enough = len(rows) >= LEAST_FOR_P99
    return {
        "p50_ms": round(percentile(rows, 50), 4),
        "p90_ms": round(percentile(rows, 90), 4),
        "p99_ms": round(percentile(rows, 99), 4) if enough else None,
    }


def _interval(
    counted: Sequence[tuple[Floats, Floats, Floats]], passes: Sequence[int], share: float
) -> tuple[float, float] | None:
    """95 % interval of a percentile of request times, by resampling segments; None below 5 of them."""
    shares = (np.arange(200) + 0.5) / 200
    rows = np.stack([np.quantile(queue + service, shares) for _, queue, service in counted])
    return interval_of(rows, passes, lambda drawn: _quantiles(drawn.reshape(len(drawn), -1), share / 100))


def _quantiles(rows: Floats, share: float) -> Floats:
    """Of each row, without what is not a number."""
    quantile = np.nanquantile if np.isnan(rows).any() else np.quantile  # the first is many times slower
    return np.asarray(quantile(rows, share, axis=1))
