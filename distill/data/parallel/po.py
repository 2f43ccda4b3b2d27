"""gettext catalogues (PO), message by message, through Babel."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ...errors import DataError, MissingExtra
from ...files import expand
from ...recipe import ParallelSpec, SourceSpec
from ..languages import contradicts, language_name
from ..lines import byte_blocks, check_encoding
from ..sources import missing_file
from ..tables import MAX_FIELD_CHARS, file_lines
from .rows import SKIP_HINT, Item, Items, ParallelRow, too_long

_STRING = re.compile(r'(?:(msgctxt|msgid_plural|msgid|msgstr(?:\[\d\])?)\s*)?("(?:[^"\\]++|\\.)*+")')
_CHARSET = re.compile(r"Content-Type:[^\n]*charset=([A-Za-z0-9][A-Za-z0-9._-]*)", re.IGNORECASE)
_LANGUAGE = re.compile(r"^Language:[ \t]*(\S+)", re.IGNORECASE | re.MULTILINE)

Parse = Callable[[list[str]], tuple[Any, bool]]
"""The lines of a message -> Babel's message, and whether it is obsolete."""


def po_rows(spec: ParallelSpec, counts: Counter[str]) -> Items:
    """A row for every translated message; of one with a plural, a row for the singular and one for the plural.

    A language with one form for all numbers gives the plural only, one with more than two the plural with its last form.

    Args:
        spec: the source; `encoding` counts where it is not utf-8, the charset in the file's header otherwise.
        counts: `fuzzy`, `untranslated` and `obsolete` are raised by one for each message that is no row for that reason.

    Raises:
        DataError: the file is missing or cannot be read, or its header names another language than `spec.languages[1]`.
        MissingExtra: Babel is not installed.
    """
    path = expand(spec.source)
    if not path.is_file():
        raise missing_file(path, SourceSpec(source=spec.source))
    return _rows(path, spec, _encoding(path, spec), _babel(), counts)


def _rows(path: Path, spec: ParallelSpec, encoding: str, parse: Parse, counts: Counter[str]) -> Items:
    header = True
    for line, lines in _messages(path, encoding):
        where = f"{path}, row {line}"
        if isinstance(lines, DataError):
            yield lines
            continue
        try:
            message, obsolete = parse(lines)
        except ValueError as error:
            yield DataError(f"this message cannot be read: {error}", where=where, hint=SKIP_HINT)
            continue
        if header and message.id == "" and message.context is None:
            _check_header(message.string, spec, path)
            header = False
        elif (reason := _unused(message, obsolete)) is not None:
            counts[reason] += 1
            yield None
        else:
            yield from _pairs(message, spec, where)


def _unused(message: Any, obsolete: bool) -> str | None:
    """Why a message is no row, if it is none."""
    if obsolete:
        return "obsolete"
    if message.fuzzy:
        return "fuzzy"
    strings = message.string if isinstance(message.string, tuple) else (message.string,)
    return None if all(text.strip() for text in strings) else "untranslated"


def _pairs(message: Any, spec: ParallelSpec, where: str) -> Iterator[Item]:
    if not isinstance(message.id, tuple):
        yield ParallelRow(message.id, message.string, spec.languages, where)
        return
    forms = message.string
    if len(forms) == 2:
        yield ParallelRow(message.id[0], forms[0], spec.languages, where)
    yield ParallelRow(message.id[1], forms[-1], spec.languages, where)


def _messages(path: Path, encoding: str) -> Iterator[tuple[int, list[str] | DataError]]:
    """The lines of one message at a time and the number of the first, or what is wrong with one of them.

    A message ends before a comment, before the msgid or msgctxt of another, and, once it has a msgstr or cannot be read,
    at a blank line: so one that is broken harms no other. Of comments the flag fuzzy is kept.
    """
    start, size = 0, 0
    lines: list[str] = []
    keywords: set[str] = set()
    problem: DataError | None = None
    for number, line in file_lines(path, encoding):
        text = "" if isinstance(line, DataError) else line.strip()
        old = text.startswith("#~") and not text.startswith("#~|")
        body = text[2:].lstrip() if old else text
        found = _STRING.fullmatch(body) if len(body) <= MAX_FIELD_CHARS else None
        keyword = (found[1] if found else None) or ""
        blank = not body and not isinstance(line, DataError)
        new = keyword in ("msgctxt", "msgid") and "msgid" in keywords
        if size and (new or body.startswith("#") or (blank and ("msgstr" in keywords or problem is not None))):
            yield start, problem or lines
            lines, keywords, problem, size = [], set(), None, 0
        if body.startswith("#"):
            if body.startswith("#,") and "fuzzy" in re.split(r"[,\s]+", body):
                lines = ["#, fuzzy"]
        elif not blank:
            start = start if size else number
            size += len(body) + 1
            keywords.add(keyword.partition("[")[0])
            problem = problem or _line_problem(path, number, line, found, size)
            if problem is None and found is not None:
                lines.append(("#~ " if old else "") + f"{keyword} {found[2]}".lstrip())
    if size:
        yield start, problem or lines


def _line_problem(path: Path, number: int, line: str | DataError, found: re.Match[str] | None, size: int) -> DataError | None:
    """What is wrong with a line of a message that is `size` characters long so far."""
    if isinstance(line, DataError):
        return line
    where = f"{path}, row {number}"
    if size > MAX_FIELD_CHARS:
        return too_long(where)
    if found is not None:
        return None
    expected = "msgid, msgid_plural, msgctxt, msgstr or msgstr[n], and a text in double quotes"
    return DataError("this is no line of a PO file", where=where, got=line, expected=expected, hint=SKIP_HINT)


def _encoding(path: Path, spec: ParallelSpec) -> str:
    """The encoding that the recipe names, or else the file's header."""
    given = check_encoding(spec.encoding, path)
    if given != "utf-8":
        return given
    found = _CHARSET.search(next(byte_blocks(path), b"").decode("latin-1"))
    return check_encoding(found[1], path) if found and found[1] != "CHARSET" else given


def _check_header(header: str, spec: ParallelSpec, path: Path) -> None:
    """Whether the language that a file says it is in can be that of its translations."""
    found = _LANGUAGE.search(header)
    first, second = spec.languages
    if found is None or not contradicts(found[1], second):
        return
    swapped = not contradicts(found[1], first)
    raise DataError(
        f"this file is in {language_name(found[1])}, not in {language_name(second)}",
        where=str(path),
        got=f"Language: {found[1]}",
        expected=f"translations into {second}, the second of languages",
        hint=f"the texts of a PO file stand first: languages: [{second}, {first}]" if swapped else None,
    )


def _babel() -> Parse:
    try:
        from .babel_messages import parse_message
    except ImportError as error:
        raise MissingExtra("parallel", "babel", "reading .po files") from error
    return parse_message
