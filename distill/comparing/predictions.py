"""The stored predictions of a run, as a statistic that can be compared example by example with that of another run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import MissingExtra, RunError
from ..evaluate.tokens import entities
from ..files import fingerprint
from ..report.resampled import Statistic, f1_of, mean_of, spearman_of

Columns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Scored:
    """What a model gave on one evaluation set.

    Attributes:
        metric: which number the statistic is.
        statistic: of the rows.
        examples: a hash of the rows without what the model says of them: equal where two models saw the same examples.
        n: rows.
    """

    metric: str
    statistic: Statistic
    examples: str
    n: int


@dataclass(frozen=True)
class Reader:
    """How the predictions of a kind of evaluation set are read.

    Attributes:
        metric: which number the statistic is.
        given: the columns that are the example's; those that are not there are passed over.
        needed: the columns that the statistic reads.
        statistic: of the columns.
    """

    metric: str
    given: tuple[str, ...]
    needed: tuple[str, ...]
    statistic: Callable[[Columns], Statistic]


def _numbers(name: str) -> Callable[[Columns], Statistic]:
    return lambda columns: mean_of(np.asarray(columns[name], dtype=np.float64))


def _spearman(guess: str, label: str) -> Callable[[Columns], Statistic]:
    return lambda columns: spearman_of(np.asarray(columns[guess], np.float64), np.asarray(columns[label], np.float64))


def _both_ways(columns: Columns) -> Statistic:
    hits = [np.asarray(columns[f"hit_to_{side}"], dtype=np.float64) for side in ("translation", "source")]
    return mean_of((hits[0] + hits[1]) / 2)


def _entities(columns: Columns) -> Statistic:
    pairs = zip(columns["prediction"], columns["label"], strict=True)
    return f1_of(*_counts([(entities(guess.split(" ")), entities(label.split(" "))) for guess, label in pairs]))


def _labels(columns: Columns) -> Statistic:
    sides = ([set(filter(None, row.split("|"))) for row in columns[name]] for name in ("prediction", "label"))
    return f1_of(*_counts(list(zip(*sides, strict=True))))


def _counts(rows: Sequence[tuple[set[Any], set[Any]]]) -> np.ndarray:
    """Right guesses, guesses and what is there, [3, n]."""
    return np.array([(len(guess & gold), len(guess), len(gold)) for guess, gold in rows], dtype=np.float64).T


READERS: dict[str, Reader] = {
    "agreement": Reader("mean_cosine", ("sentence", "teacher_sentence"), ("cosine_to_teacher",), _numbers("cosine_to_teacher")),
    "sts": Reader("spearman_cosine", ("sentence1", "sentence2", "score"), ("cosine", "score"), _spearman("cosine", "score")),
    "translation": Reader("translation_accuracy", ("source", "translation"), ("hit_to_translation", "hit_to_source"), _both_ways),
    "transfer": Reader("accuracy", ("text", "label"), ("right",), _numbers("right")),
    "retrieval": Reader("ndcg@10", ("query_id", "query"), ("ndcg@10",), _numbers("ndcg@10")),
    "classification": Reader("accuracy", ("text", "text_pair", "label"), ("score",), _numbers("score")),
    "multilabel": Reader("micro_f1", ("text", "text_pair", "label"), ("prediction", "label"), _labels),
    "regression": Reader("spearman", ("text", "text_pair", "label"), ("prediction", "label"), _spearman("prediction", "label")),
    "tokens": Reader("f1", ("words", "label"), ("prediction", "label"), _entities),
    "spans": Reader("f1", ("id", "question"), ("score",), _numbers("score")),
}
"""Kind of evaluation set -> how its predictions are read. An agreement without vectors of one width has none."""


def read_scored(run: Path, task: str, model: str, kind: str) -> Scored | None:
    """The predictions of one model on one evaluation set.

    Args:
        run: the run folder.
        task: name of the set.
        model: teacher, student or an exported file.
        kind: of the set.

    Returns:
        None where this kind keeps no predictions that can be compared.

    Raises:
        RunError: the file is missing or damaged.
        MissingExtra: pyarrow is not installed.
    """
    path, reader = run / "predictions" / task / f"{model}.parquet", READERS.get(kind)
    if reader is None or (kind == "agreement" and not path.is_file()):
        return None
    columns = _read(path)
    missing = [name for name in reader.needed if name not in columns]
    if missing and kind == "agreement":
        return None
    rows = len(next(iter(columns.values()), ()))
    if missing or not rows:
        raise _damaged(path, f"no column {missing[0]}" if missing else "no rows", ", ".join(reader.needed))
    try:
        statistic = reader.statistic(columns)
        given = [[_plain(value) for value in columns[name]] for name in reader.given if name in columns]
    except (TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, error, "one prediction a row") from error
    return Scored(reader.metric, statistic, fingerprint(given), rows)


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _read(path: Path) -> dict[str, list[Any]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra("train", "pyarrow", "reading stored predictions") from error
    try:
        table = pq.read_table(path)
    except FileNotFoundError as error:
        hint = "run the recipe again: what is whole is not done twice"
        raise RunError("the predictions are missing", where=str(path), hint=hint) from error
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error, "a parquet file") from error
    return {str(name): column.to_pylist() for name, column in zip(table.column_names, table.columns, strict=True)}


def _damaged(path: Path, got: object, expected: str) -> RunError:
    return RunError(
        "these predictions are damaged",
        where=str(path),
        got=got,
        expected=expected,
        hint="delete the file and run the recipe again: what is whole is not done twice",
    )
