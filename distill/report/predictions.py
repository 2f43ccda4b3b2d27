"""What the models of a run said of each example, read back from predictions/, and the metric that is made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.errors import MissingExtra, RunError

if TYPE_CHECKING:
    import numpy as np

    from .resampled import Statistic

Columns = Mapping[str, Sequence[Any]]

TEXTS = {
    "sts": ("sentence1", "sentence2"),
    "translation": ("source", "translation"),
    "transfer": ("text",),
    "retrieval": ("query",),
    "classification": ("text", "text_pair"),
    "multilabel": ("text", "text_pair"),
    "regression": ("text", "text_pair"),
    "tokens": ("words",),
    "spans": ("question",),
    "agreement": ("sentence", "teacher_sentence"),
}
"""Kind of task -> the columns that hold its texts; a column may be absent."""
TOLERANCE = 1e-5
"""Predictions whose metric differs by more from quality.json are of another evaluation."""


def read_predictions(path: Path) -> Columns:
    """The columns of one predictions file.

    Raises:
        RunError: damaged.
        MissingExtra: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra("train", "pyarrow", "comparing predictions") from error
    try:
        columns: Columns = pq.ParquetFile(path).read().to_pydict()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RunError(
            "this file is damaged", where=str(path), got=str(error), expected="parquet", hint="run the same command again"
        ) from error
    return columns


@dataclass(frozen=True)
class Judged:
    """A model on one task.

    Attributes:
        statistic: row numbers [m] -> the metric of those examples as a function of how often each counts.
        n: examples.
    """

    statistic: Callable[[np.ndarray], Statistic]
    n: int


def judged(kind: str, columns: Columns) -> Judged | None:
    """The metric of a kind of task out of a model's predictions.

    Args:
        kind: of the task, see `schema.Quality`.
        columns: its predictions.

    Returns:
        None where the columns do not hold what the metric is made of: runs of an earlier version, or numbers that are none.
    """
    import numpy as np

    from .resampled import f1_of, mean_of, spearman_of

    def numbers(*names: str) -> list[np.ndarray] | None:
        if not all(name in columns for name in names):
            return None
        try:
            found = [np.asarray(columns[name], dtype=np.float64) for name in names]
        except (TypeError, ValueError):
            return None
        return found if all(part.ndim == 1 and len(part) and np.isfinite(part).all() for part in found) else None

    kinds: dict[str, tuple[tuple[str, ...], Callable[..., Statistic]]] = {
        "sts": (("cosine", "score"), spearman_of),
        "regression": (("prediction", "label"), spearman_of),
        "tokens": (("right", "guessed", "wanted"), f1_of),
        "multilabel": (("right", "guessed", "wanted"), f1_of),
        "classification": (("score",), mean_of),
        "spans": (("score",), mean_of),
        "transfer": (("right",), mean_of),
        "retrieval": (("ndcg@10",), mean_of),
        "translation": (("hit_to_translation", "hit_to_source"), lambda a, b: mean_of((a + b) / 2)),
    }
    if kind not in kinds:
        return None
    needed, make = kinds[kind]
    found = numbers(*needed)
    if not found:
        return None
    return Judged(lambda rows: make(*(part[rows] for part in found)), len(found[0]))


def texts_of(kind: str, columns: Columns) -> list[tuple[str, ...]]:
    """The texts of each example: one, or two where the task has pairs."""
    names = [name for name in TEXTS.get(kind, ()) if name in columns]
    return [
        tuple("" if text is None else str(text) for text in row) for row in zip(*(columns[name] for name in names), strict=True)
    ]


def lengths_of(kind: str, columns: Columns) -> list[int]:
    """Characters of each example; of an answer those of the text it is looked for in."""
    if "context_chars" in columns:
        return [int(count or 0) for count in columns["context_chars"]]
    return [sum(map(len, texts)) for texts in texts_of(kind, columns)]


def same_examples(kind: str, a: Columns, b: Columns) -> bool:
    """Whether two models were asked the same, in the same order."""
    return texts_of(kind, a) == texts_of(kind, b)
