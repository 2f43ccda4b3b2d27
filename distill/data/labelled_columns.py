"""Which columns of a table hold the text, a second text and the label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import DataError
from ..recipe_data import Column
from .columns import PAIR_NAMES, number, position
from .tables import USUAL_NAMES, Table

TEXT_NAMES = ("text", "sentence", "document", "review", "content", "utterance")
FIRST_NAMES = (*PAIR_NAMES[0], "question1", "question")
SECOND_NAMES = (*PAIR_NAMES[1], "question2", "text_pair")
LABEL_NAMES = (
    *("label", "labels", "gold_label", "class", "category", "intent", "score"),
    *("sentiment", "polarity", "topic", "rating", "stars", "target"),
)
SCORE_NAMES = ("score", "similarity_score", "similarity", "label", "labels", "rating")


@dataclass(frozen=True)
class LabelledColumns:
    """Positions in a table.

    Attributes:
        positions: of the texts and, last, of the label if there is one.
        texts: 1 or 2.
    """

    positions: list[int]
    texts: int

    @property
    def labelled(self) -> bool:
        """Whether there is a label column."""
        return len(self.positions) > self.texts


def labelled_columns(
    table: Table, columns: Sequence[Column] | None, *, pair: bool | None, scores: bool, required: bool
) -> LabelledColumns:
    """Where texts and label stand.

    Args:
        table: where they are.
        columns: names or 0-based numbers of text, second text if there is one, and label; None finds the usual names,
            or, where columns have no names, takes a table of as many columns as are needed.
        pair: whether there are two texts; None takes what is there.
        scores: whether the label is a score.
        required: whether there must be a label.

    Raises:
        DataError: a column is not there or cannot be told.
    """
    if columns is not None:
        found = [position(table, column) for column in columns]
        texts = _texts_among(len(found), pair)
    elif table.names is None:
        found = _by_count(table, pair)
        texts = _texts_among(len(found), pair)
    else:
        found, texts = _by_name(table, pair, scores)
    if len(set(found)) != len(found) or not 1 <= len(found) <= 3 or texts == 0:
        raise _cannot_tell(table, pair, columns)
    if required and len(found) == texts:
        raise DataError(
            "no column of labels",
            where=table.where,
            got=_known(table),
            expected="a column named label" if columns is None else "the label's column last",
            hint=f"name the columns in this order: columns: [{'text, text_pair, label' if texts == 2 else 'text, label'}]",
        )
    return LabelledColumns(found, texts)


def looks_like_header(texts: Sequence[str], label: Any) -> bool:
    """Whether a first row reads as the names of its columns."""
    usual = USUAL_NAMES | set(TEXT_NAMES) | set(FIRST_NAMES)
    return str(label).strip().lower() in (*LABEL_NAMES, *SCORE_NAMES) and texts[0].strip().lower() in usual


def _texts_among(count: int, pair: bool | None) -> int:
    """How many of `count` columns are texts; 0 where that cannot be."""
    if pair is None:
        return {1: 1, 2: 1, 3: 2}.get(count, 0)
    needed = 2 if pair else 1
    return needed if count in (needed, needed + 1) else 0


def _by_count(table: Table, pair: bool | None) -> list[int]:
    width = len(table.first or ())
    if width == 0:
        raise DataError("this source is empty", where=table.where)
    return list(range(width)) if width <= 2 or pair else []


def _by_name(table: Table, pair: bool | None, scores: bool) -> tuple[list[int], int]:
    """Positions and the number of texts; ([], 0) where they cannot be told."""
    names = [name.lower() for name in table.names or ()]
    label = _first(names, SCORE_NAMES if scores else LABEL_NAMES)
    first, second, text = _first(names, FIRST_NAMES), _first(names, SECOND_NAMES), _first(names, TEXT_NAMES)
    if second is not None and first is None:
        first = text
    if pair is not False and first is not None and second is not None:
        found, texts = [first, second], 2
    elif pair or (pair is None and first is not None and _beside(table, {first, label})):
        return [], 0  # one half of a pair, and something that may be the other
    else:
        if text is None:
            text = first if second is None else None
        if text is None:
            others = [place for place, value in enumerate(table.first or ()) if place != label and _is_text(value)]
            text = others[0] if len(others) == 1 else None
        if text is None:
            return [], 0
        found, texts = [text], 1
    return found if label is None else [*found, label], texts


def _first(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    return next((names.index(name) for name in wanted if names.count(name) == 1), None)


def _beside(table: Table, known: set[int | None]) -> bool:
    """Whether a further column holds words."""
    return any(_is_text(value) and " " in value.strip() for place, value in enumerate(table.first or ()) if place not in known)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and number(value) is None


def _cannot_tell(table: Table, pair: bool | None, columns: Sequence[Column] | None) -> DataError:
    order = "text, text_pair, label" if pair else "text, label"
    return DataError(
        "cannot tell which columns are the text and the label" if not pair else "cannot tell the two texts and the label",
        where=table.where,
        got=_known(table) if columns is None else f"columns: {list(columns)}",
        expected=f"columns [{order}]" + ("" if pair is not None else ", or [text, text_pair, label] for pairs"),
        hint=f"name them in this order: columns: [{order}]" + ("" if table.names else "; the first column is number 0"),
    )


def _known(table: Table) -> str:
    if table.names is not None:
        return "columns " + ", ".join(table.names)
    return f"{len(table.first or ())} columns without names"
