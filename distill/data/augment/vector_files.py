"""Reading word vectors: GloVe, word2vec and fastText text files, plain or gzipped, and .npy tables with a list of words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ..tables import file_lines

_HEADER = re.compile(r"(\d+) (\d+)")
_PEEK = 10
"""The width of a file without a header is the most common one of so many lines."""
_BLOCK = 4096

Table = tuple[list[str], NDArray[np.float32]]
"""Words and their vectors as the file has them, row by row; blank and repeated words too."""


def read_table(source: Path, vocabulary: Path | None, limit: int | None) -> Table:
    """Words and vectors of a file.

    Args:
        source: a text file (`word number number ...`, with or without a first line "rows width"; .gz too), or a .npy table.
        vocabulary: for .npy alone: a text file whose line i is the word of row i.
        limit: read only so many rows from the beginning; None reads all.

    Returns:
        The words, and a row of float32 for each.

    Raises:
        DataError: a file is missing or damaged; the message names the row.
    """
    if limit is not None and limit < 1:
        raise DataError("a limit of rows must be at least 1", where=str(source), got=limit)
    if source.is_dir() or not source.exists():
        what = "this is a folder" if source.is_dir() else "no such file"
        raise DataError(what, where=str(source), expected="a file of word vectors: GloVe, word2vec or fastText text, or .npy")
    if source.suffix.lower() == ".npy":
        return _read_npy(source, vocabulary, limit)
    if source.suffix.lower() in (".bin", ".npz", ".zip", ".kv", ".model"):
        raise DataError("word vectors in this format are not read", where=str(source), expected="text, gzipped text, or .npy")
    if vocabulary is not None:
        raise DataError(
            "a text file of vectors holds its words itself", where=str(source), got=vocabulary, hint="leave `vocabulary` out"
        )
    return _read_text(source, limit)


def _read_text(path: Path, limit: int | None) -> Table:
    """A text file: the words before the numbers."""
    numbered = enumerate(_lines(path), 1)
    peeked = list(islice(numbered, _PEEK))
    if not peeked:
        raise DataError("this file is empty", where=str(path), expected="a word and its numbers on each line")
    header = _HEADER.fullmatch(peeked[0][1])
    rows = None
    if header:
        rows, dim = int(header[1]), int(header[2])
        del peeked[0]
    else:
        dim = Counter(line.count(" ") for _, line in peeked).most_common(1)[0][0]
    if dim < 2:
        raise DataError("these are no word vectors", where=f"{path}, row 1", got=dim, expected="at least 2 numbers after a word")
    wanted = rows if limit is None or (rows is not None and rows < limit) else limit
    words: list[str] = []
    blocks = []
    stream = chain(peeked, numbered)
    limited = islice(stream, wanted)
    while block := list(islice(limited, _BLOCK)):
        blocks.append(_block(path, block, dim, words))
    if rows is not None and len(words) < rows and (limit is None or len(words) < limit):
        raise _miscounted(path, rows, f"{len(words):,} rows")
    if rows is not None and wanted == rows and next(stream, None) is not None:
        raise _miscounted(path, rows, "more rows")
    return words, np.concatenate(blocks) if blocks else np.zeros((0, dim), np.float32)


def _block(path: Path, lines: list[tuple[int, str]], dim: int, words: list[str]) -> NDArray[np.float32]:
    """Vectors of some lines; their words are added to `words`."""
    vectors = np.empty((len(lines), dim), np.float32)
    for row, (number, line) in enumerate(lines):
        word, *values = line.rsplit(" ", dim)
        # A word may hold spaces (". . ." in GloVe 840B), but not end with a number: then a line has a number too many.
        if len(values) != dim or (" " in word and _is_number(word.rsplit(" ", 1)[1])):
            expected = f"a word and {dim} numbers"
            raise DataError("this row has another width", where=f"{path}, row {number}", got=_width(line), expected=expected)
        try:
            with np.errstate(over="ignore"):  # what float32 cannot hold is told below
                vectors[row] = np.array(values, dtype=np.float64)
        except ValueError as error:
            raise DataError(
                "this is no number",
                where=f"{path}, row {number}",
                got=str(error).split(":")[-1].strip(),
                expected=f"{dim} numbers",
            ) from error
        words.append(word)
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise _not_finite(path, lines[bad[0]][0], vectors[bad[0]])
    return vectors


def _read_npy(path: Path, vocabulary: Path | None, limit: int | None) -> Table:
    """A .npy table and its words."""
    if vocabulary is None:
        raise DataError("a .npy table has no words", where=str(path), hint="name the list of words, one a line, as `vocabulary`")
    try:
        table = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError("this is no .npy table of numbers", where=str(path), got=error) from error
    if table.ndim != 2 or table.dtype.kind != "f":
        got = f"{table.dtype} of shape {table.shape}"
        raise DataError("this table does not hold word vectors", where=str(path), got=got, expected="floats, [words, width]")
    words = list(_lines(vocabulary))
    if len(words) != len(table):
        raise DataError(
            "the list of words and the table do not belong together",
            where=str(vocabulary),
            got=f"{len(words):,} words",
            expected=f"{len(table):,}, one for each row of {path.name}",
        )
    count = len(words) if limit is None else min(limit, len(words))
    with np.errstate(over="ignore"):
        vectors = np.asarray(table[:count], dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise _not_finite(path, int(bad[0]) + 1, vectors[bad[0]])
    return words[:count], vectors


def _lines(path: Path) -> Iterator[str]:
    """Lines without their end; tabs, which some files have behind the word, are spaces."""
    for _, line in file_lines(path, "utf-8"):
        if isinstance(line, DataError):
            raise DataError(line.message, where=line.where, got=line.got, expected="text in utf-8")
        yield line.rstrip(" \r\n\t").replace("\t", " ")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _width(line: str) -> str:
    """What a line of the wrong width has."""
    numbers = line.count(" ")
    return f"{numbers} after '{line.split(' ', 1)[0]}'" if line.strip() else "an empty line"


def _miscounted(path: Path, rows: int, got: str) -> DataError:
    return DataError(
        "the first line and the file do not agree",
        where=str(path),
        got=got,
        expected=f"{rows:,} rows",
        hint="the file may have been cut off: fetch it again",
    )


def _not_finite(path: Path, row: int, vector: NDArray[np.float32]) -> DataError:
    got = vector[~np.isfinite(vector)][0]
    return DataError("a number is not finite, or too large", where=f"{path}, row {row}", got=got, expected="finite numbers")
