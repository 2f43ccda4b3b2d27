"""The evaluation table of a sentence teacher as in the field: Pearson and Spearman of cosine, Manhattan, Euclidean, dot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SIMILARITIES = ("cosine", "manhattan", "euclidean", "dot")
HEADS = tuple(f"{name.capitalize()} {kind}" for name in SIMILARITIES for kind in ("Pearson", "Spearman"))
KEYS = tuple(f"{kind}_{name}" for name in SIMILARITIES for kind in ("pearson", "spearman"))


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table for people, in points of 100.

    Args:
        rows: {"set", "stage", "n", "ci95": of the cosine Spearman, and a number for each of `KEYS`}; None is not defined.
    """
    head = ("Set", "Stage", "n", *HEADS, "95 % of Cosine Spearman")
    lines = [_line(head), _line(["---", "---", *["---:"] * (len(head) - 2)])]
    for row in rows:
        interval = "-" if row["ci95"] is None else " to ".join(f"{100 * bound:.2f}" for bound in row["ci95"])
        lines.append(_line([row["set"], row["stage"], f"{row['n']:,}", *(_points(row[key]) for key in KEYS), interval]))
    return "\n".join(lines) + "\n"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
