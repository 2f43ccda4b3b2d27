"""Questions on a text: SQuAD's JSON (v1, v2, KorQuAD), and tables with its columns."""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..files import expand
from ..recipe import SourceSpec
from .columns import position
from .examples import SpanExamples
from .lines import unreadable
from .sources import UNREADABLE, missing_file, open_table
from .tables import Table

NAMES = ("id", "question", "context", "answers")

Question = tuple[str, str, str, list[tuple[str, int]]]


def read_span_examples(spec: SourceSpec, *, on_bad_row: str = "error", counts: Counter[str]) -> SpanExamples:
    """All questions of a source, at most `spec.limit`.

    A JSON file (.json, .json.gz) is SQuAD's: data, paragraphs, qas. Other formats are tables with the columns id, question,
    context and answers, each of these {"text": [...], "answer_start": [...]}. An answer must stand in its context where it says.

    Args:
        spec: the source.
        on_bad_row: `error` to stop at a question that cannot be read, `skip` to pass over it.
        counts: `bad_rows` is raised by one for each question passed over, `unanswerable` for each without an answer.

    Raises:
        DataError: the source or (with `error`) a question cannot be read, an answer does not stand in its context, or there
            are no questions.
    """
    where, stream = _questions(spec)
    rows: list[Question] = []
    seen: set[str] = set()
    for found in stream:
        if spec.limit is not None and len(rows) >= spec.limit:
            break
        row = _twice(found, where) if not isinstance(found, DataError) and found[0] in seen else found
        if isinstance(row, DataError):
            if on_bad_row != "skip":
                raise row
            counts["bad_rows"] += 1
            continue
        seen.add(row[0])
        rows.append(row)
    if not rows:
        raise DataError("this source has no questions", where=where, hint="check `format` and the columns")
    counts["unanswerable"] += sum(not row[3] for row in rows)
    return SpanExamples([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows], [row[3] for row in rows])


def is_squad(spec: SourceSpec) -> bool:
    """Whether a source is a file of SQuAD's JSON: by `format`, or by its ending."""
    if spec.format is not None:
        return str(spec.format) == "squad"
    return spec.source.lower().removesuffix(".gz").endswith(".json")


def _questions(spec: SourceSpec) -> tuple[str, Iterator[Question | DataError]]:
    """What to call the source, and its questions."""
    if is_squad(spec):
        path = expand(spec.source)
        if not path.is_file():
            raise missing_file(path, spec)
        return str(path), _json_questions(path, _load(path, spec.encoding))
    table = open_table(spec)
    names = [name.lower() for name in table.names or ()]
    columns = spec.columns or tuple(name for name in NAMES if name in names)
    if len(columns) != 4:
        raise DataError(
            "cannot tell which columns are the id, the question, the context and the answers",
            where=table.where,
            got="columns " + ", ".join(table.names) if table.names else "columns without names",
            expected="a JSON file as of SQuAD (.json), or columns " + ", ".join(NAMES),
            hint="name the columns in this order: columns: [id, question, context, answers]",
        )
    return table.where, _table_questions(table, [position(table, column) for column in columns])


def _load(path: Path, encoding: str) -> Any:
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
        return json.loads(raw.decode("utf-8-sig" if encoding == "utf-8" else encoding))
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error) from error
    except (ValueError, LookupError, RecursionError) as error:
        raise DataError(
            f"this file is not JSON: {error}", where=str(path), hint="name the format of the file with `format`"
        ) from error


def _json_questions(path: Path, tree: Any) -> Iterator[Question | DataError]:
    """The questions of a SQuAD file, each with its place in the file for errors."""
    articles = tree.get("data") if isinstance(tree, dict) else None
    if not isinstance(articles, list):
        raise DataError(
            "this JSON is not that of SQuAD", where=str(path), expected='{"data": [{"paragraphs": [{"context", "qas"}]}]}'
        )
    for number, article in enumerate(articles):
        for line, paragraph in enumerate(_list(article, "paragraphs")):
            context = paragraph.get("context") if isinstance(paragraph, dict) else None
            place = f"{path}, data[{number}].paragraphs[{line}]"
            if not isinstance(context, str) or not context.strip():
                yield DataError("this paragraph has no context", where=place, got=repr(context)[:100])
                continue
            for index, item in enumerate(_list(paragraph, "qas")):
                if not isinstance(item, dict):
                    yield DataError("this is not a question", where=f"{place}.qas[{index}]", got=repr(item))
                    continue
                answers = [] if item.get("is_impossible") is True else _list(item, "answers")
                pairs = [(answer.get("text"), answer.get("answer_start")) for answer in answers if isinstance(answer, dict)]
                if len(pairs) < len(answers) or (not pairs and "is_impossible" not in item):
                    yield DataError(
                        "this question has no answers",
                        where=f"{place}.qas[{index}]",
                        got=repr(item)[:100],
                        expected='"answers": [{"text", "answer_start"}], or "is_impossible": true',
                    )
                    continue
                yield _question(item.get("id"), item.get("question"), context, pairs, f"{place}.qas[{index}]")


def _table_questions(table: Table, positions: list[int]) -> Iterator[Question | DataError]:
    for number, values in table.read(positions):
        if isinstance(values, DataError):
            yield values
            continue
        name, question, context, answers = values
        where = f"{table.where}, row {number}"
        texts = answers.get("text") if isinstance(answers, dict) else None
        starts = answers.get("answer_start") if isinstance(answers, dict) else None
        if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
            expected = '{"text": [...], "answer_start": [...]}, both as long'
            yield DataError("the answers cannot be read", where=where, got=repr(answers), expected=expected)
            continue
        yield _question(name, question, context, list(zip(texts, starts, strict=True)), where)


def _question(name: Any, question: Any, context: Any, answers: list[tuple[Any, Any]], where: str) -> Question | DataError:
    """A checked question, or what is wrong with it."""
    for what, value in (("question", question), ("context", context)):
        if not isinstance(value, str) or not value.strip() or UNREADABLE.search(value):
            return DataError(f"the {what} is not text", where=where, got=repr(value)[:100], expected="text that is not empty")
    for text, start in answers:
        if not isinstance(text, str) or not text.strip() or not isinstance(start, int) or isinstance(start, bool) or start < 0:
            expected = "text, and the number of its first character"
            return DataError("an answer cannot be read", where=where, got=repr((text, start)), expected=expected)
        there = context[start : start + len(text)]
        if there != text:
            return DataError(
                "an answer does not stand in its context where it says",
                where=where,
                got=f"at character {start}: {there!r}",
                expected=repr(text),
                hint="check that the context was not changed after the answers were marked, or set data.on_bad_row: skip",
            )
    return str(name), question, context, answers


def _twice(row: Question, where: str) -> DataError:
    return DataError("two questions have the same id", where=where, got=row[0], hint="mend it, or set data.on_bad_row: skip")


def _list(item: Any, key: str) -> list[Any]:
    found = item.get(key) if isinstance(item, dict) else None
    return found if isinstance(found, list) else []
