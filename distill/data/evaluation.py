"""Evaluation sets of sentence encoders, of every kind, out of files and hub data sets."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from pydantic import ValidationError

from ..errors import DataError
from ..recipe_data import EvaluationSpec, ParallelSpec
from .columns import pair_columns
from .evaluation_retrieval import read_retrieval
from .evaluation_saved import load_set, save_set, set_values
from .evaluation_sets import (
    EvaluationSet,
    RetrievalSet,
    TransferSet,
    TranslationSet,
    kind_of,
    second_of,
    sources_of_set,
    texts_of,
)
from .labelled import read_text_examples
from .labels import learnable
from .parallel import read_parallel
from .sources import ScoredPairs, make_pairs, open_table, pair_row, read_pairs
from .tables import Table
from .text import fold

__all__ = [
    "EvaluationSet",
    "RetrievalSet",
    "ScoredPairs",
    "TransferSet",
    "TranslationSet",
    "kind_of",
    "load_set",
    "parallel_of",
    "read_set",
    "save_set",
    "set_values",
    "sources_of_set",
    "texts_of",
]

SCORE_TOLERANCE = 0.01
"""How far two scores of a cross-lingual row may lie apart, as a share of the largest score: what rounding leaves."""


def read_set(spec: EvaluationSpec, *, on_bad_row: str, counts: Counter[str]) -> EvaluationSet:
    """The set that a recipe names.

    Args:
        spec: where it is, and its kind.
        on_bad_row: `error` to stop at a row that cannot be read, `skip` to pass over it.
        counts: `bad_rows` is raised by one for each row passed over; `unjudged_queries` by queries without a relevant
            document, which are left out; `fit_in_test` by fit texts that are also tested, which are left out.

    Raises:
        DataError: a source, a column or (with `error`) a row cannot be read, or the sources do not fit each other.
    """
    return _READERS[spec.kind](spec, on_bad_row, counts)


def parallel_of(spec: EvaluationSpec) -> ParallelSpec:
    """A translation set as translations are read.

    Raises:
        DataError: its format is none of translations.
    """
    values = {name: getattr(spec, name) for name in ("source", "languages", "columns", "format", "header", "quoting")}
    values |= {name: getattr(spec, name) for name in ("split", "subset", "revision", "limit", "encoding")}
    if spec.second is not None:
        values |= {"target": spec.second, "format": "moses" if spec.format == "txt" else spec.format}
    try:
        return ParallelSpec.model_validate(values)
    except ValidationError as error:
        raise DataError(
            "this is no source of translations",
            where=spec.source,
            got=f"format {spec.format}" + (f" and a second file {spec.second}" if spec.second else ""),
            expected="a table of two columns, a .tmx or .po file, or two text files: source and second",
        ) from error


def _read_sts(spec: EvaluationSpec, on_bad_row: str, counts: Counter[str]) -> ScoredPairs:
    if spec.second is None:
        return read_pairs(spec, on_bad_row=on_bad_row, counts=counts)
    first, second = open_table(spec), open_table(second_of(spec))
    rows: list[tuple[str, str, float]] = []
    scores: list[tuple[int, float]] = []
    for line, one, two in _side_by_side(first, second, spec):
        if spec.limit is not None and len(rows) >= spec.limit:
            break
        problem = next((row for row in (one, two) if isinstance(row, DataError)), None)
        if problem is not None and on_bad_row == "skip":
            counts["bad_rows"] += 1
        elif problem is not None:
            raise problem
        else:
            rows.append((one[0], two[1], one[2]))
            scores.append((line, two[2]))
    found = make_pairs(rows, first.where, spec.languages)
    _check_scores(found.scores, scores, first.where, second.where)
    return found


def _side_by_side(first: Table, second: Table, spec: EvaluationSpec) -> Any:
    """Rows of both tables in step: the second's line, and what each row is or what is wrong with it.

    Raises:
        DataError: one has more rows than the other.
    """
    tables = [(table, pair_columns(table, spec.columns)) for table in (first, second)]
    for number, rows in enumerate(itertools.zip_longest(*(table.read(places) for table, places in tables))):
        if None in rows:
            short, long = (first, second) if rows[0] is None else (second, first)
            raise DataError(
                "two files that translate each other row by row differ in their number of rows",
                where=f"{short.where}, after {number} rows",
                got=f"{number} rows; {long.where} has more",
                expected="row i of one file translates row i of the other",
            )
        one, two = (pair_row(table, places, row) for (table, places), row in zip(tables, rows, strict=True))
        yield rows[1][0], one, two


def _check_scores(first: np.ndarray, second: list[tuple[int, float]], where: str, where_second: str) -> None:
    """Both files score the same pairs: their scores agree, up to the unit they are in."""
    ours, theirs = np.asarray(first), np.array([score for _, score in second])
    some = ours != 0
    allowed = SCORE_TOLERANCE * max(float(np.abs(theirs).max()), 1e-12)
    factors = [1.0, float(np.median(theirs[some] / ours[some])) if some.any() else 1.0]
    apart = [np.flatnonzero(np.abs(theirs - factor * ours) > allowed) for factor in factors]
    best = 1 if len(apart[1]) < len(apart[0]) else 0  # the same unit, unless another one explains more rows
    factor, wrong = factors[best], apart[best]
    if factor <= 0 or wrong.size:
        place = int(wrong[0]) if wrong.size else 0
        unit = "" if abs(factor - 1) < 1e-3 else f" (in a unit {factor:.3g} times that of {where})"
        raise DataError(
            "the two files score the same row differently: they are not aligned",
            where=f"{where_second}, row {second[place][0]}",
            got=f"{theirs[place]:g}",
            expected=f"{factor * ours[place]:g}, as in {where}{unit}",
            hint="row i of `second` must translate row i of `source`",
        )


def _read_translation(spec: EvaluationSpec, on_bad_row: str, counts: Counter[str]) -> TranslationSet:
    rows = list(read_parallel(parallel_of(spec), on_bad_row=on_bad_row, counts=counts))
    if len(rows) < 2:
        raise DataError("too few translations to search among", where=spec.source, got=len(rows), expected="two rows or more")
    return TranslationSet([row.source for row in rows], [row.translation for row in rows], spec.languages)


def _read_transfer(spec: EvaluationSpec, on_bad_row: str, counts: Counter[str]) -> TransferSet:
    assert spec.fit is not None  # the recipe's schema sees to it
    fit, names = read_text_examples(spec.fit, task="classification", pair=False, on_bad_row=on_bad_row, counts=counts)
    learnable(names.names, spec.fit.source)
    test, own = read_text_examples(spec, task="classification", pair=False, on_bad_row=on_bad_row, counts=counts)
    strange = [name for name in own.names if name not in names.names]
    if strange:
        raise DataError(
            "labels that the classifier never learns, since no fit text has them",
            where=spec.source,
            got=", ".join(strange[:10]),
            expected=f"{', '.join(names.names[:20])}, as in {spec.fit.source}",
            hint="labels are compared by name: write them alike in both files",
        )
    assert fit.labels is not None
    assert test.labels is not None
    tested = {fold(text) for text in test.text}
    kept = [row for row, text in enumerate(fit.text) if fold(text) not in tested]
    if len(kept) < len(fit):
        counts["fit_in_test"] += len(fit) - len(kept)
    places = np.array([names.index_of(name) for name in own.names], dtype=np.int64)
    fit_labels = fit.labels[kept]
    if len(set(fit_labels.tolist())) < 2:
        raise DataError(
            "too few fit texts are left to learn from",
            where=spec.fit.source,
            got=f"{len(kept)} of {len(fit)}: the others are also tested in {spec.source}",
            expected="texts of two labels or more that are not tested",
        )
    return TransferSet([fit.text[row] for row in kept], fit_labels, test.text, places[test.labels], names.names, spec.languages)


_READERS: dict[str, Callable[[EvaluationSpec, str, Counter[str]], EvaluationSet]] = {
    "sts": _read_sts,
    "translation": _read_translation,
    "transfer": _read_transfer,
    "retrieval": read_retrieval,
}
