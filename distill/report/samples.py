"""Raw timing samples: their median's interval, and all of them as one CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

COLUMNS = ("model", "batch", "sequence", "threads", "run", "ms")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the start of a formula: a file's name may be somebody else's."""
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
    """Every timed run as a line: model, batch, sequence, threads, run (from 1, in order), ms.

    A name that a spreadsheet would compute gets an apostrophe in front.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, *row in rows:
        shown = f"'{name}" if name.startswith(FORMULA) else name
        writer.writerow((shown.replace("\r", " "), *row))  # which the csv module would leave without quotes
    return stream.getvalue()
