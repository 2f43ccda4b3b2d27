"""Retrieval sets out of three sources: documents, queries, and which document answers which query."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import DataError
from ..recipe_data import Column, EvaluationSpec, SourceSpec
from .columns import known_columns, number, position
from .evaluation_sets import RetrievalSet
from .sources import bad_cell, check_first, good_rows, open_table, row_texts
from .tables import Row, Table

ID_NAMES = ("_id", "id", "doc_id", "document_id", "docid", "query_id", "qid", "query-id", "corpus-id")
TITLE_NAMES = ("title",)
TEXT_NAMES = ("text", "contents", "document", "passage", "query", "question", "sentence")
RELEVANCE_NAMES = (
    ("query-id", "query_id", "qid", "query"),
    ("corpus-id", "corpus_id", "document-id", "document_id", "doc-id", "doc_id", "docid", "pid", "document"),
    ("score", "relevance", "rel", "gain", "label"),
)


@dataclass
class _Texts:
    """Texts by id.

    Attributes:
        where: what to call the source in an error.
        texts: id -> text, in the order of the source, at most the limit.
        beyond: ids past the limit, which are known and left out.
    """

    where: str
    texts: dict[str, str] = field(default_factory=dict)
    beyond: set[str] = field(default_factory=set)


def read_retrieval(spec: EvaluationSpec, on_bad_row: str, counts: Counter[str]) -> RetrievalSet:
    """A retrieval set.

    The text of a document is its title, if its source has a column `title` and no columns are named, a space and its text.
    Judgements of documents or queries that a `limit` cut off are passed over. A query without a relevant document is
    left out and counted as `unjudged_queries`.

    Args:
        spec: `source` holds the documents.
        on_bad_row, counts: as in `distill.data.evaluation.read_set`; bad rows are also ids that stand twice, judgements of
            ids that are not there, and judgements given twice.

    Raises:
        DataError: as in `read_set`; also where no query is left.
    """
    assert spec.queries is not None  # the recipe's schema sees to it
    assert spec.relevance is not None
    documents = _read_texts(spec, on_bad_row, counts)
    queries = _read_texts(spec.queries, on_bad_row, counts)
    judged = _read_relevance(spec.relevance, queries, documents, on_bad_row, counts)
    asked = [name for name in queries.texts if judged.get(name)]
    if len(asked) < len(queries.texts):
        counts["unjudged_queries"] += len(queries.texts) - len(asked)
    if not asked:
        raise DataError(
            "no query has a relevant document",
            where=spec.relevance.source,
            got=f"{len(queries.texts)} queries, {len(documents.texts)} documents",
            expected="rows of query id, document id and a score above 0",
        )
    place = {name: index for index, name in enumerate(documents.texts)}
    relevance = {row: {place[name]: gain for name, gain in judged[query].items()} for row, query in enumerate(asked)}
    return RetrievalSet(
        asked,
        [queries.texts[name] for name in asked],
        list(documents.texts),
        list(documents.texts.values()),
        relevance,
        spec.unit,
        spec.languages,
    )


def check_texts(spec: SourceSpec) -> None:
    """Look at the columns and the first row of documents or queries.

    Raises:
        DataError: they cannot be read.
    """
    table = open_table(spec)
    check_first(table, _text_columns(table, spec.columns), _text_row)


def check_relevance(spec: SourceSpec) -> None:
    """Look at the columns and the first row of judgements.

    Raises:
        DataError: they cannot be read.
    """
    table = open_table(spec)
    check_first(table, _relevance_columns(table, spec.columns), _judgement)


def _read_texts(spec: SourceSpec, on_bad_row: str, counts: Counter[str]) -> _Texts:
    table = open_table(spec)
    found = _Texts(table.where)

    def convert(table: Table, positions: list[int], row: Row) -> tuple[str, str] | DataError:
        value = _text_row(table, positions, row)
        if not isinstance(value, DataError) and (value[0] in found.texts or value[0] in found.beyond):
            return _bad(table, row, positions[0], value[0], "an id that no row above has")
        return value

    for name, text in good_rows(table, _text_columns(table, spec.columns), convert, on_bad_row, counts):
        if spec.limit is not None and len(found.texts) >= spec.limit:
            found.beyond.add(name)
        else:
            found.texts[name] = text
    if not found.texts:
        raise DataError("this source is empty", where=table.where, expected="rows of an id and a text")
    return found


def _read_relevance(
    spec: SourceSpec, queries: _Texts, documents: _Texts, on_bad_row: str, counts: Counter[str]
) -> dict[str, dict[str, float]]:
    """Query id -> document id -> gain above 0, of queries and documents that are kept."""
    table = open_table(spec)
    seen: set[tuple[str, str]] = set()

    def convert(table: Table, positions: list[int], row: Row) -> tuple[str, str, float] | DataError:
        value = _judgement(table, positions, row)
        if isinstance(value, DataError):
            return value
        for place, name, texts in zip(positions, value, (queries, documents), strict=False):
            if name not in texts.texts and name not in texts.beyond:
                return _bad(table, row, place, name, f"an id of {texts.where}")
        if value[:2] in seen:
            return _bad(table, row, positions[1], value[1], "a document that this query was not judged with before")
        seen.add(value[:2])
        return value

    judged: dict[str, dict[str, float]] = {}
    rows = good_rows(table, _relevance_columns(table, spec.columns), convert, on_bad_row, counts)
    for count, (query, document, gain) in enumerate(rows):
        if spec.limit is not None and count >= spec.limit:
            break
        if gain > 0 and query in queries.texts and document in documents.texts:
            judged.setdefault(query, {})[document] = gain
    return judged


def _text_columns(table: Table, columns: Sequence[Column] | None) -> list[int]:
    """Positions of the id, of the title if there is one, and of the text."""
    if columns is not None:
        if len(columns) != 2:
            raise DataError("ids and texts are two columns", where=table.where, got=list(columns), expected="columns: [id, text]")
        return [position(table, column) for column in columns]
    if table.names is None:
        if len(table.first or ()) == 2:
            return [0, 1]
    else:
        found = _by_name(table, (ID_NAMES, TEXT_NAMES))
        if found is not None:
            title = _by_name(table, (TITLE_NAMES,)) or []
            return [found[0], *title, found[1]]
    raise _cannot_tell(table, "the id and the text", "[id, text]")


def _relevance_columns(table: Table, columns: Sequence[Column] | None) -> list[int]:
    """Positions of query id, document id and score."""
    if columns is not None:
        if len(columns) != 3:
            raise DataError(
                "judgements are three columns", where=table.where, got=list(columns), expected="columns: [query, document, score]"
            )
        return [position(table, column) for column in columns]
    if table.names is None:
        if len(table.first or ()) == 3:
            return [0, 1, 2]
    else:
        found = _by_name(table, RELEVANCE_NAMES)
        if found is not None:
            return found
    raise _cannot_tell(table, "the query id, the document id and the score", "[query-id, corpus-id, score]")


def _by_name(table: Table, wanted: Sequence[Sequence[str]]) -> list[int] | None:
    names = [name.lower() for name in table.names or ()]
    found = [next((names.index(name) for name in usual if names.count(name) == 1), None) for usual in wanted]
    chosen = [place for place in found if place is not None]
    return chosen if len(chosen) == len(wanted) == len(set(chosen)) else None


def _text_row(table: Table, positions: list[int], row: Row) -> tuple[str, str] | DataError:
    """The row's id and text, or what is wrong with it."""
    line, values = row
    if isinstance(values, DataError):
        return values
    name = _id(values[0])
    if name is None:
        return _bad(table, row, positions[0], values[0], "an id: text or a whole number")
    given = values[1:] if len(values) == 2 else ("" if values[1] is None else values[1], values[2])
    texts = row_texts(table, positions[1:], (line, given))
    if isinstance(texts, DataError):
        return texts
    text = " ".join(part.strip() for part in texts if part.strip())
    return (name, text) if text else _bad(table, row, positions[-1], values[-1], "text that is not empty")


def _judgement(table: Table, positions: list[int], row: Row) -> tuple[str, str, float] | DataError:
    """The row's query id, document id and gain, or what is wrong with it."""
    line, values = row
    if isinstance(values, DataError):
        return values
    for place, value in zip(positions[:2], values, strict=False):
        if _id(value) is None:
            return _bad(table, row, place, value, "an id: text or a whole number")
    gain = number(values[2])
    if gain is None or gain < 0:
        hint = "set header: true if the first row holds the names of the columns" if line == 1 else None
        return _bad(table, row, positions[2], values[2], "a number, 0 for a document that is not relevant", hint)
    return str(_id(values[0])), str(_id(values[1])), gain


def _id(value: Any) -> str | None:
    """An id as text; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None


def _bad(table: Table, row: Row, place: int, value: Any, expected: str, hint: str | None = None) -> DataError:
    problem = bad_cell(table, row[0], place, value, expected)
    return (
        problem
        if hint is None
        else DataError(problem.message, where=problem.where, got=problem.got, expected=expected, hint=hint)
    )


def _cannot_tell(table: Table, what: str, columns: str) -> DataError:
    return DataError(
        f"cannot tell which columns are {what}",
        where=table.where,
        got=known_columns(table),
        expected=f"columns named {columns.strip('[]')}",
        hint=f"name them in this order: columns: {columns}",
    )
