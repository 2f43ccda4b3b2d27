"""What a sentence teacher is trained on: scored pairs, labelled pairs, triplets or plain sentences, told by their columns."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from teachers.finetune.rows import LABELLED, NLI_LABELS, PAIR, SCORED, TEXTS, TRIPLET, fitting

from ..errors import DataError, DistillError
from ..recipe import SourceSpec
from ..recipe_data import Column
from .columns import PAIR_NAMES, number, position, sentence_columns
from .labelled_columns import LABEL_NAMES
from .sources import PYTHON_DOCS, bad_cell, good_rows, open_table, read_sentences, row_texts, source_kind
from .tables import Row, Table

Shape = Literal["scored", "nli", "labelled", "triplets", "pairs", "texts"]
COLUMNS: dict[str, tuple[str, ...]] = {
    "scored": SCORED,
    "nli": LABELLED,
    "labelled": LABELLED,
    "triplets": TRIPLET,
    "pairs": PAIR,
    "texts": TEXTS,
}
"""Shape of rows -> their columns."""
NEEDS = {
    "sts_cosine": "two sentences and a score from 0 to 1",
    "sts_cosent": "two sentences and a score from 0 to 1",
    "nli_softmax": "two sentences and a label",
    "nli_ranking": "two sentences and a label of NLI, or anchor, positive and negative",
    "triplet": "two sentences and a label of NLI, or anchor, positive and negative",
    "simcse": "sentences",
    "simcse_nli": "two sentences and a label of NLI, or anchor, positive and negative",
}
"""Objective -> what a row of its data has."""


def read_teaching(
    spec: SourceSpec, objective: str, *, on_bad_row: str = "error", counts: Counter[str], where: str = ""
) -> dict[str, list[Any]]:
    """All rows of a source as an objective reads them, at most `spec.limit`.

    The shape of the rows is told by the names of the columns and the first row: a number in the third column is a score, a
    name of NLI's three is a label. `columns` names the sentences first and the score or label last.

    Args:
        spec: the source.
        objective: of `teachers.spec.SentenceStage`.
        on_bad_row: `error` to stop at a row that cannot be read, `skip` to pass over it.
        counts: `bad_rows` is raised by one for each row passed over.
        where: the source's path in the recipe, for errors.

    Returns:
        Column -> values, the columns of one of `COLUMNS`.

    Raises:
        DataError: the source, a column or (with `error`) a row cannot be read, a score is out of range, a label unknown, or the
            source lacks what the objective needs: the objectives that would fit are named.
    """
    if source_kind(spec) == PYTHON_DOCS:
        _check_documentation(objective, where)
        return {"text": list(read_sentences(spec, on_bad_row=on_bad_row, counts=counts))}
    table = open_table(spec)
    places, shape = shape_of(table, spec.columns)
    if objective not in fits(shape):
        raise _unfit(objective, shape, table.where, where)
    class_names = getattr(table, "class_names", None)
    stored = class_names(places[-1]) if class_names is not None and shape in ("nli", "labelled") else None
    convert = functools.partial(_row, shape, stored)
    rows = list(itertools.islice(good_rows(table, places, convert, on_bad_row, counts), spec.limit))
    if not rows:
        raise DataError("this source has no rows to learn from", where=table.where)
    columns = [list(values) for values in zip(*rows, strict=True)]
    if shape == "texts":
        return {"text": [text for values in columns for text in values]}
    return dict(zip(COLUMNS[shape], columns, strict=True))


def check_teaching(spec: SourceSpec, objective: str) -> list[DistillError]:
    """What is wrong with a source of an objective, as far as its first row tells. A hub data set is not looked up."""
    try:
        kind = source_kind(spec)
        if kind == PYTHON_DOCS:
            _check_documentation(objective)
        elif kind == "file":
            read_teaching(spec.model_copy(update={"limit": 1}), objective, counts=Counter())
    except DistillError as problem:
        return [problem]
    return []


def _check_documentation(objective: str, where: str = "") -> None:
    if objective not in fits("texts"):
        raise _unfit(objective, "texts", PYTHON_DOCS, where)


def fits(shape: Shape) -> list[str]:
    """The objectives that rows of a shape can train; labels that are not NLI's can be classified alone."""
    found = fitting(COLUMNS[shape])
    return [name for name in found if name in ("nli_softmax", "simcse")] if shape == "labelled" else found


def shape_of(table: Table, columns: Sequence[Column] | None) -> tuple[list[int], Shape]:
    """Which columns to read, and what their rows are.

    Args:
        table: where they are.
        columns: names or 0-based numbers of the sentences and, last, of a score or label; None finds the usual names, or takes
            a table of two or three columns without names as it is.

    Raises:
        DataError: a column is not there or cannot be told.
    """
    if table.first is None:
        raise DataError("this source is empty", where=table.where)
    names = [name.lower() for name in table.names or ()]
    if columns is not None:
        places = [position(table, column) for column in columns]
    elif set(PAIR) <= set(names):
        return _named(names)
    else:
        places = _usual(table, names)
    if len(places) == 2:
        return places, "pairs"
    if len(places) != 3:
        return places, "texts"
    name = names[places[2]] if names else ""
    return places, _third(table, places[2], name)


def _named(names: list[str]) -> tuple[list[int], Shape]:
    found = [names.index(name) for name in TRIPLET if name in names]
    return found, "triplets" if len(found) == 3 else "pairs"


def _usual(table: Table, names: list[str]) -> list[int]:
    """Positions of two sentences and a score or label by their usual names; of the only text column; or of all columns."""
    if not names:
        width = len(table.first or ())
        return list(range(width)) if width in (2, 3) else sentence_columns(table, None)
    ends = (*PAIR_NAMES[2], *LABEL_NAMES)
    wanted = (PAIR_NAMES[0], PAIR_NAMES[1], ends)
    found = [next((names.index(name) for name in choice if name in names), None) for choice in wanted]
    chosen = [place for place in found if place is not None]
    return chosen if len(chosen) == 3 else sentence_columns(table, None)


def _third(table: Table, place: int, name: str) -> Shape:
    """What the column behind two sentences holds."""
    value = (table.first or ())[place]
    class_names = getattr(table, "class_names", None)
    stored = class_names(place) if class_names is not None else None
    if stored is not None:
        return "nli" if set(stored) <= set(NLI_LABELS) else "labelled"
    if _label(value) in NLI_LABELS:
        return "nli"
    if number(value) is not None:
        return "scored"
    return "labelled" if name in LABEL_NAMES else "triplets"


def _row(shape: Shape, stored: Sequence[str] | None, table: Table, places: list[int], row: Row) -> tuple[Any, ...] | DataError:
    """The row's sentences with its score or label, or what is wrong with it."""
    line, values = row
    if isinstance(values, DataError):
        return values
    count = 2 if shape in ("scored", "nli", "labelled") else len(places)
    texts = row_texts(table, places[:count], (line, values[:count]))
    if isinstance(texts, DataError):
        return texts
    empty = next((place for place, text in zip(places, texts, strict=False) if not text.strip()), None)
    if empty is not None:
        return bad_cell(table, line, empty, "", "a sentence")
    if count == len(places):
        return texts
    if shape == "scored":
        score = number(values[2])
        if score is None or not 0 <= score <= 1:
            return _out_of_range(table, line, places[2], values[2])
        return (*texts, score)
    label = _stored(values[2], stored) if stored is not None else _label(values[2])
    if not label or (shape == "nli" and label not in NLI_LABELS):
        return bad_cell(
            table, line, places[2], values[2], "one of the labels " + ", ".join(NLI_LABELS) if shape == "nli" else "a label"
        )
    return (*texts, label)


def _label(value: Any) -> str:
    """A label's name; those of NLI in lower case."""
    text = str(value).strip() if value is not None else ""
    return text.lower() if text.lower() in NLI_LABELS else text


def _stored(value: Any, names: Sequence[str]) -> str:
    """The name of a number in a data set that numbers its names; "" for -1 and the like."""
    found = number(value)
    return names[int(found)] if found is not None and 0 <= found < len(names) else ""


def _out_of_range(table: Table, line: int, place: int, value: Any) -> DataError:
    problem = bad_cell(table, line, place, value, "a score from 0 to 1")
    return DataError(
        problem.message,
        where=problem.where,
        got=problem.got,
        expected=problem.expected,
        hint="the named formats (format: stsb, korsts, klue-sts) scale scores of 0 to 5; or set data.on_bad_row: skip",
    )


def _unfit(objective: str, shape: Shape, source: str, where: str) -> DataError:
    return DataError(
        f"the objective {objective} cannot be trained on this data",
        where=f"{where}: {source}" if where else source,
        got="rows of " + ", ".join(COLUMNS[shape]),
        expected=NEEDS[objective],
        hint="objectives that fit: " + ", ".join(fits(shape)),
    )
