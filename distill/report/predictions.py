"""What the models of a run said of each example, read back from predictions/, and the metric that is made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from distill.errors import MissingExtra, RunError

if TYPE_CHECKING:
    import numpy as np

    from .resampled import Statistic

Columns = Mapping[str, Sequence[Any]]

TOLERANCE = 1e-5
"""Predictions whose metric differs by more from quality.json are of another evaluation."""


@dataclass(frozen=True)
class Kind:
    """How the predictions of a kind of evaluation set are read.

    Attributes:
        metric: that they give.
        made: how: the mean of the numbers of an example, or what `resampled` makes of the columns.
        numbers: the columns it is made of.
        texts: the columns of an example's texts; one that is absent is passed over.
        given: what else is the example's and not the model's: its name, what is right; likewise.
    """

    metric: str
    made: Literal["mean", "f1", "spearman"]
    numbers: tuple[str, ...]
    texts: tuple[str, ...]
    given: tuple[str, ...] = ()


_COUNTS, _TEXTS = ("right", "guessed", "wanted"), ("text", "text_pair")
KINDS: dict[str, Kind] = {
    "agreement": Kind("mean_cosine", "mean", ("cosine_to_teacher",), ("sentence", "teacher_sentence")),
    "sts": Kind("spearman_cosine", "spearman", ("cosine", "score"), ("sentence1", "sentence2"), ("score",)),
    "translation": Kind("translation_accuracy", "mean", ("hit_to_translation", "hit_to_source"), ("source", "translation")),
    "transfer": Kind("accuracy", "mean", ("right",), ("text",), ("label",)),
    "retrieval": Kind("ndcg@10", "mean", ("ndcg@10",), ("query",), ("query_id",)),
    "classification": Kind("accuracy", "mean", ("score",), _TEXTS, ("label",)),
    "multilabel": Kind("micro_f1", "f1", _COUNTS, _TEXTS, ("label",)),
    "regression": Kind("spearman", "spearman", ("prediction", "label"), _TEXTS, ("label",)),
    "tokens": Kind("f1", "f1", _COUNTS, ("words",), ("label",)),
    "spans": Kind("f1", "mean", ("score",), ("question",), ("id",)),
}
"""Kind of evaluation set, see `schema.Quality` -> how its predictions are read. Agreement has its number where the student is as
wide as the teacher; what is noted of it in quality.json is another, which pairs of examples make."""


def read_predictions(path: Path) -> Columns:
    """The columns of one predictions file.

    Raises:
        RunError: missing or damaged.
        MissingExtra: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra("train", "pyarrow", "reading stored predictions") from error
    try:
        columns: Columns = pq.ParquetFile(path).read().to_pydict()
    except FileNotFoundError as error:
        hint = "run the recipe again: what is whole is not done twice"
        raise RunError("the predictions are missing", where=str(path), hint=hint) from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise damaged(path, error, "a parquet file") from error
    return columns


def damaged(path: Path, got: object, expected: str) -> RunError:
    """The error of a predictions file that holds something else."""
    return RunError(
        "these predictions are damaged",
        where=str(path),
        got=got,
        expected=expected,
        hint="delete the file and run the recipe again: what is whole is not done twice",
    )


@dataclass(frozen=True)
class Judged:
    """A model on one evaluation set.

    Attributes:
        metric: its name.
        made: see `Kind`.
        numbers: the columns it is made of, float64 [n] each.
    """

    metric: str
    made: Literal["mean", "f1", "spearman"]
    numbers: tuple[np.ndarray, ...]

    @property
    def n(self) -> int:
        """Examples."""
        return len(self.numbers[0])

    @property
    def defined(self) -> bool:
        """Whether every example has its numbers; a model whose outputs are none has no metric."""
        import numpy as np

        return all(bool(np.isfinite(column).all()) for column in self.numbers)

    def statistic(self, rows: np.ndarray | None = None) -> Statistic:
        """The metric as a function of how often each example counts.

        Args:
            rows: the examples that are meant, int [m]; None: all.

        Returns:
            The function. It gives nan where the metric is not `defined`.
        """
        import numpy as np

        from .resampled import f1_of, mean_of, spearman_of

        if not self.defined:
            return lambda counts: np.full(len(counts), np.nan)
        columns = self.numbers if rows is None else tuple(column[rows] for column in self.numbers)
        if self.made == "mean":
            return mean_of(np.mean(columns, axis=0))
        return (f1_of if self.made == "f1" else spearman_of)(*columns)


def judged(kind: str, columns: Columns) -> Judged | None:
    """The metric of a kind of evaluation set out of a model's predictions.

    Args:
        kind: of the set, see `KINDS`.
        columns: its predictions.

    Returns:
        None where the columns do not hold what the metric is made of.
    """
    import numpy as np

    found = KINDS.get(kind)
    if found is None or not all(name in columns for name in found.numbers):
        return None
    try:
        numbers = tuple(np.asarray(columns[name], dtype=np.float64) for name in found.numbers)
    except (TypeError, ValueError):
        return None
    if not all(column.ndim == 1 and len(column) for column in numbers):
        return None
    return Judged(found.metric, found.made, numbers)


def texts_of(kind: str, columns: Columns) -> list[tuple[str, ...]]:
    """The texts of each example: one, or two where the task has pairs."""
    return [tuple("" if text is None else str(text) for text in row) for row in _rows(kind, columns, texts_alone=True)]


def examples_of(kind: str, columns: Columns) -> list[tuple[Any, ...]]:
    """Each example without what the model says of it, as JSON values: equal where two models were asked the same."""
    return [tuple(_plain(value) for value in row) for row in _rows(kind, columns)]


def same_examples(kind: str, a: Columns, b: Columns) -> bool:
    """Whether two models were asked the same, in the same order."""
    return examples_of(kind, a) == examples_of(kind, b)


def lengths_of(kind: str, columns: Columns) -> list[int]:
    """Characters of each example; of an answer those of the text it is looked for in."""
    if "context_chars" in columns:
        return [int(count or 0) for count in columns["context_chars"]]
    return [sum(map(len, texts)) for texts in texts_of(kind, columns)]


def _rows(kind: str, columns: Columns, *, texts_alone: bool = False) -> list[tuple[Any, ...]]:
    found = KINDS.get(kind)
    names = () if found is None else found.texts if texts_alone else found.texts + found.given
    return list(zip(*(columns[name] for name in names if name in columns), strict=True))


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
