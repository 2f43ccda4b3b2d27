"""Raw timing samples: their median's interval, and all of them as one CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

COLUMNS = ("model", "batch", "sequence", "threads", "run", "ms")
Row = tuple[str, int, int, int, int, float]


def median_interval(samples: Sequence[float]) -> tuple[float, float] | None:
    """95% interval of a median, from the order of the samples and without resampling; None below 6 samples.

    It holds for runs that do not hang together: a machine that is slow for a while makes the true interval wider.

    Reference:
        Conover, "Practical nonparametric statistics", 1999: the values at the places n/2 -+ 0.98 sqrt(n).
    """
    n = len(samples)
    place = int(n / 2 - 0.98 * n**0.5)
    if n < 6 or place < 0:
        return None
    ordered = sorted(samples)
    return ordered[place], ordered[n - 1 - place]


def samples_csv(rows: Iterable[Row]) -> str:
    """Every timed run as a line: model, batch, sequence, threads, run (from 1, in order), ms."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return stream.getvalue()
