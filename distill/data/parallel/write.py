"""Rows of parallel text into a file: TSV, a Moses pair, TMX or PO."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any
from xml.sax.saxutils import escape, quoteattr

from ...errors import DataError, MissingExtra, nearest
from ...files import atomic_file
from ..sources import UNREADABLE

Rows = Iterable[tuple[str, str]]
_MARK = "\ufeff"
"""A byte order mark, which is part of a text where it does not begin a file."""
_XML_CONTROLS = frozenset(chr(code) for code in (*range(32), 0xFFFE, 0xFFFF)) - set("\t\n\r")


def write_parallel(path: Path, rows: Rows, languages: tuple[str, str], *, target: Path | None = None) -> int:
    """Write texts and their translations in the format of the file's ending, whole or not at all.

    Args:
        path: .tsv, .tmx or .po; any name for the first file of a Moses pair.
        rows: (text, translation) each.
        languages: tags of the two.
        target: the second file of a Moses pair.

    Returns:
        The number of rows.

    Raises:
        DataError: an unknown ending, an empty side, or a text that the format cannot hold, such as a line break in a TSV file.
        MissingExtra: Babel is not installed (PO).
        RunError: the disk is full or may not be written.
    """
    if target is not None:
        return write_moses(path, target, rows)
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise DataError(
            "no format is written under this ending",
            where=str(path),
            expected=", ".join(WRITERS) + ", or two files (Moses)",
            hint=nearest(path.suffix, WRITERS),
        )
    return writer(path, rows, languages)


def write_tsv(path: Path, rows: Rows, languages: tuple[str, str]) -> int:
    """A .tsv file without quoting, the languages as names of its columns. Arguments and errors as in `write_parallel`."""
    counted = _Checked(rows, path, "\t\n\r")
    with _text_file(path) as stream:
        stream.write("\t".join(languages) + "\n")
        for source, translation in counted:
            stream.write(f"{source}\t{translation}\n")
    return counted.count


def write_moses(path: Path, target: Path, rows: Rows) -> int:
    """Two text files, line i of each a row. Arguments and errors as in `write_parallel`."""
    counted = _Checked(rows, path, "\n\r")
    with _text_file(path) as first, _text_file(target) as second:
        for source, translation in counted:
            for stream, text in ((first, source), (second, translation)):
                if counted.count == 1 and text.startswith(_MARK):
                    stream.write(_MARK)  # a reader takes the first one for the file's
                stream.write(text + "\n")
    return counted.count


def write_tmx(path: Path, rows: Rows, languages: tuple[str, str]) -> int:
    """A TMX 1.4 file, a unit for every row. Arguments and errors as in `write_parallel`."""
    counted = _Checked(rows, path, _XML_CONTROLS)
    tags = [quoteattr(tag) for tag in languages]
    with _text_file(path) as stream:
        stream.write('<?xml version="1.0" encoding="UTF-8"?>\n<tmx version="1.4">\n')
        stream.write('<header creationtool="distill" creationtoolversion="1" segtype="sentence" o-tmf="distill" adminlang="en" ')
        stream.write(f'srclang={tags[0]} datatype="plaintext"/>\n<body>\n')
        for row in counted:
            sides = (
                f"<tuv xml:lang={tag}><seg>{escape(text, {chr(13): '&#13;'})}</seg></tuv>"
                for tag, text in zip(tags, row, strict=True)
            )
            stream.write(f"<tu>{''.join(sides)}</tu>\n")
        stream.write("</body>\n</tmx>\n")
    return counted.count


def write_po(path: Path, rows: Rows, languages: tuple[str, str]) -> int:
    """A gettext PO file. Rows are kept in memory. Arguments and errors as in `write_parallel`."""
    try:
        from .babel_messages import write_messages
    except ImportError as error:
        raise MissingExtra("parallel", "babel", "writing .po files") from error
    counted = _Checked(rows, path, "")
    with atomic_file(path) as place, open(place, "wb") as stream:
        write_messages(stream, counted, languages[1])
    return counted.count


WRITERS: dict[str, Callable[[Path, Rows, tuple[str, str]], int]] = {".tsv": write_tsv, ".tmx": write_tmx, ".po": write_po}
"""Ending -> what writes it."""


class _Checked(Iterable[tuple[str, str]]):
    """Rows that a format can hold, counted as they pass."""

    def __init__(self, rows: Rows, path: Path, forbidden: Iterable[str]) -> None:
        self._rows, self._path, self._forbidden = rows, path, frozenset(forbidden)
        self.count = 0

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for row in self._rows:
            self.count += 1
            for text in row:
                found = self._forbidden.intersection(text) | set(UNREADABLE.findall(text))
                if found or not text.strip():
                    raise DataError(
                        "this format cannot hold this text" if found else "a side of this row is empty",
                        where=f"{self._path}, row {self.count} to be written",
                        got=repr(text),
                        expected=f"text without {', '.join(map(repr, sorted(found)))}" if found else "a text on both sides",
                        hint="write .tmx or .po, which hold tabs and line breaks" if found & set("\t\n\r") else None,
                    )
            yield row


@contextlib.contextmanager
def _text_file(path: Path) -> Iterator[IO[Any]]:
    with atomic_file(path) as place, open(place, "w", encoding="utf-8", newline="") as stream:
        yield stream
