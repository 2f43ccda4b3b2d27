"""Words with entity tags: CoNLL files, a word and its tag a line, and tables with a list of words and one of tags a row."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..files import expand
from ..recipe import SourceSpec
from .columns import position
from .examples import LabelSet, TokenExamples
from .labels import label_set
from .sources import UNREADABLE, bad_cell, good_rows, missing_file, open_table
from .tables import Row, Table, file_lines

SUFFIXES = (".conll", ".bio", ".iob", ".iob2")
WORD_NAMES = ("tokens", "words")
TAG_NAMES = ("ner_tags", "tags", "labels", "label")
TAG = re.compile(r"O|[BI]-\S+")
_COMMENT = re.compile(r"#+\s|-DOCSTART-")

Sentence = tuple[list[str], list[str]]


def read_token_examples(
    spec: SourceSpec,
    *,
    labels: Sequence[str] | None = None,
    space: bool | None = None,
    on_bad_row: str = "error",
    counts: Counter[str],
) -> tuple[TokenExamples, LabelSet]:
    """All sentences of a tagged source, at most `spec.limit`.

    A CoNLL file has a word and its tag a line, apart by a tab (or, in a file without tabs, by spaces), and a blank line
    after each sentence. The word is the first column and the tag the last, unless `spec.columns` has their numbers. Lines that
    begin with `#` and a space are comments, unless they are a word and a tag; so are -DOCSTART- lines. Other formats are
    tables with a list of words and a list of tags (names, or numbers of `labels`) in each row.

    Args:
        spec: the source.
        labels: all tags, in the order that the model's outputs have or shall have; None sorts those that occur.
        space: whether words stand apart by spaces; None takes single characters with spaces among them as text
            without further spaces.
        on_bad_row: `error` to stop at a row that cannot be read, `skip` to pass over its whole sentence.
        counts: `bad_rows` is raised by one for each sentence passed over.

    Returns:
        The examples, and the tags.

    Raises:
        DataError: the source or (with `error`) a row cannot be read, a tag is not O, B-type or I-type or not among
            `labels`, or there are no sentences.
    """
    sentences: list[Sentence] = []
    where, stream = _sentences(spec, labels, on_bad_row, counts)
    for sentence in stream:
        if spec.limit is not None and len(sentences) >= spec.limit:
            break
        sentences.append(sentence)
    if not sentences:
        raise DataError("this source has no sentences", where=where, hint="check `format` and the columns")
    names = label_set((tag for _, tags in sentences for tag in tags), where, labels)
    place = {name: index for index, name in enumerate(names.names)}
    if space is None:
        space = not any(word.isspace() for words, _ in sentences for word in words)
    if not space and any(len(word) != 1 for words, _ in sentences for word in words):
        long = next(word for words, _ in sentences for word in words if len(word) != 1)
        raise DataError("words without spaces between them must be single characters", where=where, got=long)
    words = [words for words, _ in sentences]
    return TokenExamples(words, [[place[tag] for tag in tags] for _, tags in sentences], space), names


def is_conll(spec: SourceSpec) -> bool:
    """Whether a source is a CoNLL file: by `format`, or by its ending."""
    ending = Path(spec.source.lower().removesuffix(".gz")).suffix
    return str(spec.format) == "conll" if spec.format is not None else ending in SUFFIXES


def _sentences(
    spec: SourceSpec, labels: Sequence[str] | None, on_bad_row: str, counts: Counter[str]
) -> tuple[str, Iterator[Sentence]]:
    """What to call the source, and its sentences."""
    if not is_conll(spec):
        table = open_table(spec)
        positions = _table_columns(table, spec)
        stored = getattr(table, "class_names", None)
        numbered = stored(positions[1]) if stored is not None else None
        convert = functools.partial(_tagged, labels, numbered)
        return table.where, good_rows(table, positions, convert, on_bad_row, counts)
    path = expand(spec.source)
    if not path.is_file():
        raise missing_file(path, spec)
    return str(path), _good_sentences(path, spec, labels, on_bad_row, counts)


def _good_sentences(
    path: Path, spec: SourceSpec, labels: Sequence[str] | None, on_bad_row: str, counts: Counter[str]
) -> Iterator[Sentence]:
    """Sentences of a CoNLL file; one with a bad line stops or is counted."""
    for sentence in _blocks(path, spec, labels):
        if not isinstance(sentence, DataError):
            yield sentence
        elif on_bad_row == "skip":
            counts["bad_rows"] += 1
        else:
            raise sentence


def _blocks(path: Path, spec: SourceSpec, labels: Sequence[str] | None) -> Iterator[Sentence | DataError]:
    """Every sentence, or the first thing that is wrong with it."""
    words: list[str] = []
    tags: list[str] = []
    problem: DataError | None = None
    parse = _Line(path, spec.columns, labels)
    for line_number, line in file_lines(path, spec.encoding):
        if isinstance(line, str) and not line.strip():
            if problem is not None or words:
                yield problem or (words, tags)
            words, tags, problem = [], [], None
            continue
        found = line if isinstance(line, DataError) else parse(line_number, line.rstrip("\r\n"))
        if isinstance(found, DataError):
            problem = problem or found
        elif found is not None:
            words.append(found[0])
            tags.append(found[1])
    if problem is not None or words:
        yield problem or (words, tags)


class _Line:
    """A line -> its word and tag, None for a comment, or what is wrong with it."""

    def __init__(self, path: Path, columns: Sequence[Any] | None, labels: Sequence[str] | None) -> None:
        if columns is not None and (len(columns) != 2 or not all(isinstance(column, int) and column >= 0 for column in columns)):
            raise DataError(
                "the columns of a CoNLL file are two numbers", where=str(path), got=list(columns), expected="[word, tag]: [0, 1]"
            )
        self._path, self._labels = path, labels
        self._columns: Sequence[int] = columns if columns is not None else (0, -1)
        self._width: int | None = None
        self._tabs: bool | None = None

    def __call__(self, line_number: int, line: str) -> tuple[str, str] | DataError | None:
        tabs = "\t" in line if self._tabs is None else self._tabs
        cells = line.split("\t") if tabs else re.split(" +", line.strip(" "))
        tagged = len(cells) > max(1, *self._columns) and bool(TAG.fullmatch(cells[self._columns[1]].strip()))
        if _COMMENT.match(line) and not (tagged and cells[0].strip("#") == ""):
            return None
        if not tagged:
            return self._bad(line_number, line, cells)
        if self._width is None:
            self._width, self._tabs = len(cells), tabs
        word, tag = cells[self._columns[0]], unicodedata.normalize("NFC", cells[self._columns[1]].strip())
        if len(cells) != self._width or word == "" or UNREADABLE.search(word):
            return self._bad(line_number, line, cells)
        if self._labels is not None and tag not in self._labels:
            return self._error("a tag that is not among the names given", line_number, tag, ", ".join(self._labels))
        return word, tag

    def _bad(self, line_number: int, line: str, cells: list[str]) -> DataError:
        if len(cells) > 1 and self._width in (None, len(cells)) and cells[0]:
            what = "a tag that is not O, B-type or I-type"
            return self._error(
                what, line_number, cells[self._columns[1] if self._columns[1] < len(cells) else -1], "O, B-type or I-type"
            )
        expected = (
            f"{self._width} columns, as in the first row" if self._width else "a word, a tab and a tag such as O or B-person"
        )
        return self._error("this row is not a word and its tag", line_number, repr(line), expected)

    def _error(self, message: str, line_number: int, got: str, expected: str) -> DataError:
        return DataError(
            message,
            where=f"{self._path}, row {line_number}",
            got=got,
            expected=expected,
            hint="mend the row, or set data.on_bad_row: skip, which leaves out its sentence",
        )


def _table_columns(table: Table, spec: SourceSpec) -> list[int]:
    """Positions of the words and of the tags."""
    if spec.columns is not None:
        found = [position(table, column) for column in spec.columns]
    else:
        names = [name.lower() for name in table.names or ()]
        places = [next((names.index(name) for name in wanted if name in names), None) for wanted in (WORD_NAMES, TAG_NAMES)]
        found = [place for place in places if place is not None]
    if len(found) != 2:
        raise DataError(
            "cannot tell which columns are the words and the tags",
            where=table.where,
            got="columns " + ", ".join(table.names) if table.names else "columns without names",
            expected="a CoNLL file (.conll), or a table with a list of words and a list of tags in each row",
            hint="name the columns: columns: [tokens, ner_tags]; or set format: conll",
        )
    return found


def _tagged(
    labels: Sequence[str] | None, stored: Sequence[str] | None, table: Table, positions: list[int], row: Row
) -> Sentence | DataError:
    """The row's words and tags, or what is wrong with it."""
    line, values = row
    if isinstance(values, DataError):
        return values
    words, tags = values
    if not isinstance(words, list) or not words or not all(isinstance(word, str) and word for word in words):
        return bad_cell(table, line, positions[0], words, "a list of words, none of them empty")
    if any(UNREADABLE.search(word) for word in words):
        return bad_cell(table, line, positions[0], words, "words without null bytes and halves of characters")
    if not isinstance(tags, list) or len(tags) != len(words):
        return bad_cell(table, line, positions[1], tags, f"a list of {len(words)} tags, one for each word")
    numbered = stored or labels
    names = [numbered[tag] if isinstance(tag, int) and numbered is not None and 0 <= tag < len(numbered) else tag for tag in tags]
    names = [unicodedata.normalize("NFC", name) if isinstance(name, str) else name for name in names]
    for name in names:
        if not isinstance(name, str) or not TAG.fullmatch(name) or (labels is not None and name not in labels):
            expected = "O, B-type or I-type" if labels is None else ", ".join(labels)
            return bad_cell(table, line, positions[1], name, expected)
    return words, names
