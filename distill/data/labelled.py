"""Texts with labels or scores, out of files and hub data sets: classification, multi-label, regression."""

from __future__ import annotations

import functools
import itertools
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np

from ..errors import DataError
from ..recipe import SourceSpec
from .columns import number
from .examples import UNLABELLED, LabelSet, TextExamples
from .labelled_columns import LabelledColumns, labelled_columns, looks_like_header
from .labels import label_set
from .sources import bad_cell, good_rows, open_table, row_texts
from .tables import Row, Table

Use = Literal["required", "optional", "ignored"]
TextTask = Literal["classification", "multilabel", "regression"]
SCORE = LabelSet(("score",))
"""The labels of a regression: its one output."""
MAX_FOUND = 1000
"""More different labels than this are no labels, unless they are named."""
MANY = 10
"""Of fewer rows a label that occurs once says nothing."""


def read_text_examples(
    spec: SourceSpec,
    *,
    task: TextTask,
    labels: Sequence[str] | None = None,
    pair: bool | None = None,
    separator: str = "|",
    use: Use = "required",
    on_bad_row: str = "error",
    counts: Counter[str],
) -> tuple[TextExamples, LabelSet]:
    """All examples of a labelled source, at most `spec.limit`.

    A label is read by its name; a whole number in the data is the place of a label among `labels`, unless these are
    numbers themselves. Several labels of a row are a list, or a string cut at `separator`; an empty one stands for no label.

    Args:
        spec: the source; its columns are (text, label), (text, text_pair, label), or, without labels, the texts alone.
        task: what the labels are.
        labels: all names, in the order that the model's outputs have or shall have; None sorts those that occur.
        pair: whether an example has two texts; None lets the columns tell.
        separator: between the labels of a multi-label row that is a string.
        use: whether every row must have a label, may have one (rows without are counted as `unlabelled`), or has none that
            counts, in which case a column of labels is not read.
        on_bad_row: `error` to stop at a row that cannot be read, `skip` to pass over it.
        counts: `bad_rows` is raised by one for each row passed over.

    Returns:
        The examples, and the labels: `SCORE` for a regression.

    Raises:
        DataError: the source, a column or (with `error`) a row cannot be read, no row has text, a label is not among
            `labels`, or all scores are alike.
    """
    source = _Source(spec, task, labels, pair, separator, use)
    rows = list(source.rows(on_bad_row, counts))
    if not rows:
        raise DataError("this source has no examples", where=source.where, hint="check the columns, or give more text")
    texts, found = [part for part, _ in rows], [label for _, label in rows]
    if task == "classification" and source.guessed and _stands_alone(found):
        raise _no_example(source.where, [*texts[0], found[0]])
    array, names = _labels(task, found, labels, source.where)
    if use == "optional":
        counts["unlabelled"] += sum(label is None for label in found)
    second = [part[1] for part in texts] if source.texts == 2 else None
    return TextExamples([part[0] for part in texts], second, array), names


def text_rows(
    spec: SourceSpec,
    *,
    task: TextTask,
    labels: Sequence[str] | None = None,
    separator: str = "|",
    use: Use = "required",
    on_bad_row: str = "error",
    counts: Counter[str],
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The examples of a labelled source as a stream, at most `spec.limit`: arguments and errors as in `read_text_examples`.

    Yields:
        One text or two; and the label: its name, the names of all, or the score; None for a row without.
    """
    return _Source(spec, task, labels, None, separator, use).rows(on_bad_row, counts)


class _Source:
    """A labelled source, opened.

    Attributes:
        where: what to call it in an error.
        texts: of an example, 1 or 2.
        guessed: whether nobody has said that there is no line of names, and none was found.
    """

    def __init__(
        self, spec: SourceSpec, task: TextTask, labels: Sequence[str] | None, pair: bool | None, separator: str, use: Use
    ) -> None:
        self._table = open_table(spec)
        self.where, self._limit = self._table.where, spec.limit
        self.guessed = self._table.names is None and spec.header is None
        columns = labelled_columns(self._table, spec.columns, pair=pair, scores=task == "regression", required=use == "required")
        if use == "ignored":
            columns = LabelledColumns(columns.positions[: columns.texts], columns.texts)
        self.texts, self._positions = columns.texts, columns.positions
        stored = _stored_names(self._table, columns)
        readers: dict[str, Callable[[Any], Any]] = {
            "classification": functools.partial(_one, labels, stored),
            "multilabel": functools.partial(_many, labels, stored, separator),
            "regression": _score,
        }
        self._convert = functools.partial(_example, columns, readers[task], use == "required")

    def rows(self, on_bad_row: str, counts: Counter[str]) -> Iterator[tuple[tuple[str, ...], Any]]:
        """Every row's texts and its label."""
        return itertools.islice(good_rows(self._table, self._positions, self._convert, on_bad_row, counts), self._limit)


class _Unreadable(Exception):
    """A label that cannot be read; the message says what was expected."""


def _example(
    columns: LabelledColumns, read: Callable[[Any], Any], required: bool, table: Table, positions: list[int], row: Row
) -> tuple[tuple[str, ...], Any] | DataError:
    """The row's texts and its label as `read` gives it, or what is wrong with it."""
    line, values = row
    if isinstance(values, DataError):
        return values
    places = positions[: columns.texts]
    texts = row_texts(table, places, (line, values[: columns.texts]))
    if isinstance(texts, DataError):
        return texts
    for place, text in zip(places, texts, strict=True):
        if not text.strip():
            return bad_cell(table, line, place, text, "text that is not empty")
    if not columns.labelled:
        return texts, None
    value = values[columns.texts]
    if line == 1 and table.names is None and looks_like_header(texts, value):
        return _no_example(table.where, values)
    try:
        label = read(value)
    except _Unreadable as problem:
        return bad_cell(table, line, positions[columns.texts], value, str(problem))
    if label is None and required:
        return bad_cell(table, line, positions[columns.texts], value, "a label")
    return texts, label


def _no_example(where: str, values: Sequence[Any]) -> DataError:
    """What is said of a first row that is taken for the names of the columns."""
    return DataError(
        "the first row looks like the names of the columns",
        where=f"{where}, row 1",
        got=", ".join(map(str, values)),
        hint="set header: true, or header: false if it is an example",
    )


def _stands_alone(labels: Sequence[Any]) -> bool:
    """Whether the first label is that of no other row, and every other label of several: then it is the name of its column."""
    found = Counter(label for label in labels[1:] if label is not None)
    repeated = len(found) > 1 and min(found.values()) > 1
    return len(labels) >= MANY and labels[0] is not None and labels[0] not in found and repeated


def _one(given: Sequence[str] | None, stored: Sequence[str] | None, value: Any) -> str | None:
    """The name of a label; None where the cell is empty, or -1 in a data set that numbers its own names."""
    name = label_text(value)
    if name is None:
        return None
    if stored is not None and name.lstrip("-").isdecimal():
        if name == "-1":
            return None
        if not 0 <= int(name) < len(stored):
            raise _Unreadable(f"a number from 0 to {len(stored) - 1}")
        name = stored[int(name)]
    if given is None or name in given:
        return name
    if name.isdecimal() and int(name) < len(given) and all(number(other) is None for other in given):
        return given[int(name)]
    raise _Unreadable("one of the labels given: " + ", ".join(given))


def _many(given: Sequence[str] | None, stored: Sequence[str] | None, separator: str, value: Any) -> tuple[str, ...] | None:
    """The names of a row's labels; None where there is no cell."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    parts = value.split(separator) if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
    names = [_one(given, stored, part) for part in parts if not (isinstance(part, str) and not part.strip() and len(parts) == 1)]
    if None in names:
        raise _Unreadable(f"labels between '{separator}', none of them empty" if isinstance(value, str) else "a list of labels")
    if len(set(names)) != len(names):
        raise _Unreadable("every label once; a list of zeros and ones is not read: name the labels of the row")
    return tuple(name for name in names if name is not None)


def _score(value: Any) -> float | None:
    """The score; None where the cell is empty."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    found = number(value)
    if found is None:
        raise _Unreadable("a finite number")
    return found


def label_text(value: Any) -> str | None:
    """A cell as the name of a label: in Unicode form NFC, white space cut off, 1.0 as `1`; None for an empty one.

    Raises:
        _Unreadable: it can be none, such as a list.
    """
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    if not isinstance(value, str | int | float | np.number):
        raise _Unreadable("one label: its name or number")
    return unicodedata.normalize("NFC", str(value)).strip() or None


def _stored_names(table: Table, columns: LabelledColumns) -> Sequence[str] | None:
    """The names that a hub data set keeps for the numbers in its label column, if it does."""
    names = getattr(table, "class_names", None)
    found: Sequence[str] | None = names(columns.positions[-1]) if names is not None and columns.labelled else None
    return None if found is None else tuple(unicodedata.normalize("NFC", name) for name in found)


def _labels(task: TextTask, found: list[Any], given: Sequence[str] | None, where: str) -> tuple[np.ndarray | None, LabelSet]:
    """Labels as an array, None where there are none at all; and their names."""
    known = [label for label in found if label is not None]
    if not known:
        return None, SCORE if task == "regression" else LabelSet(tuple(given or ()))
    if task == "regression":
        scores = np.array([np.nan if score is None else score for score in found], dtype=np.float64)
        if len(set(known)) < 2:
            raise DataError("every score is the same", where=where, got=f"{known[0]:g}", expected="different scores")
        return scores, SCORE
    if task == "classification":
        names = _few(label_set(known, where, given), len(known), where, given)
        place = {name: index for index, name in enumerate(names.names)}
        return np.array([UNLABELLED if name is None else place[name] for name in found], dtype=np.int64), names
    names = _few(label_set((name for row in known for name in row), where, given), len(known), where, given)
    place = {name: index for index, name in enumerate(names.names)}
    array = np.zeros((len(found), len(names)), dtype=np.float32)
    for line, row in enumerate(found):
        if row is None:
            array[line] = np.nan
        else:
            array[line, [place[name] for name in row]] = 1
    return array, names


def _few(names: LabelSet, rows: int, where: str, given: Sequence[str] | None) -> LabelSet:
    """`names`, unless they look like scores, or nearly every row has one of its own: then the column holds something else."""
    if given is not None:
        return names
    fractions = [name for name in names.names if (number(name) or 0.0) % 1]
    if fractions and all(number(name) is not None for name in names.names):
        raise DataError(
            "the label column holds scores",
            where=where,
            got=", ".join(fractions[:5]),
            expected="labels, by name or number",
            hint="set task: regression, check the columns, or name the labels with data.labels if they are right",
        )
    if len(names) > MAX_FOUND or (rows >= 20 and len(names) > 0.5 * rows):
        raise DataError(
            "the label column holds too many different values",
            where=where,
            got=f"{len(names)} in {rows} rows, such as {', '.join(names.names[:3])}",
            expected=f"at most {MAX_FOUND} labels, most of them more than once",
            hint="check the columns; name the labels with data.labels if they are right",
        )
    return names
