"""Inputs of `distill encode` and `distill predict`, row by row: lines, TSV with named columns, JSON lines."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from .errors import DataError, UserError, nearest

Row = dict[str, Any]
FORMS = ("lines", "tsv", "jsonl")
_SUFFIXES = {".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_BLOCK = 1 << 20


def find_form(file: Path, form: str | None) -> str:
    """The format of an input: as it is asked for, else by the file's name.

    Raises:
        UserError: no such format.
    """
    if form is not None and form not in FORMS:
        raise UserError("no such format", where="--format", got=form, expected=", ".join(FORMS), hint=nearest(form, FORMS))
    return form or _SUFFIXES.get(file.suffix.lower(), "lines")


def read_rows(file: Path, form: str = "lines") -> Iterator[Row]:
    """The rows of a UTF-8 text as they are read, in bounded memory.

    Args:
        file: `-` reads stdin.
        form: `lines`: a text a line, empty ones too, as {"text": line}. `tsv`: the first line names the columns; no quoting.
            `jsonl`: an object a line; empty lines are passed over.

    Raises:
        DataError: the file cannot be read, a line is not UTF-8, or a row does not fit its format; its number is told.
    """
    lines = read_lines(file)
    if form == "lines":
        return ({"text": line} for line in lines)
    return _tsv(file, lines) if form == "tsv" else _jsonl(file, lines)


def read_lines(file: Path) -> Iterator[str]:
    """The lines of a UTF-8 text, without their ends. Only line feeds end a line (with or without a carriage return).

    Raises:
        DataError: the file is missing, is a folder, or is not UTF-8.
    """
    with _opened(file) as stream:
        number = 0
        while True:
            try:
                raw = stream.readline()
            except OSError as error:
                raise DataError("this file cannot be read", where=str(file), got=error.strerror) from error
            if not raw:
                return
            number += 1
            raw = raw.removesuffix(b"\n").removesuffix(b"\r")
            try:
                yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                bad = raw[error.start : error.start + 1]
                raise DataError(
                    "this line is not UTF-8", where=f"{file}, row {number}", got=bad, hint="convert the file to UTF-8"
                ) from error


def count_lines(file: Path) -> int | None:
    """How many lines a file has, for a progress bar; None for stdin and what cannot be read."""
    if str(file) == "-" or not file.is_file():
        return None
    count, last = 0, b"\n"
    with open(file, "rb") as stream:
        while block := stream.read(_BLOCK):
            count, last = count + block.count(b"\n"), block[-1:]
    return count + (last != b"\n")


def text_of(row: Row, where: str, name: str = "text") -> str:
    """A column that must be text.

    Raises:
        DataError: it is missing, or no text.
    """
    if name not in row:
        raise DataError(
            f"there is no '{name}'", where=where, got=", ".join(row) or "no column", expected=name, hint=nearest(name, row)
        )
    if not isinstance(row[name], str):
        raise DataError(f"'{name}' is no text", where=where, got=repr(row[name]), expected="text in quotes")
    return str(row[name])


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    try:
        stream = open(file, "rb")  # noqa: SIM115
    except OSError as error:
        raise DataError("this file cannot be read", where=str(file), got=error.strerror, expected="a text file") from error
    with stream:
        yield stream


def _tsv(file: Path, lines: Iterator[str]) -> Iterator[Row]:
    names = next(lines, "").split("\t")
    if len(set(names)) < len(names) or "" in names:
        raise DataError(
            "the first line does not name the columns",
            where=f"{file}, row 1",
            got=", ".join(names) or "nothing",
            expected="different names with tabs between them, such as text and text_pair",
        )
    for number, line in enumerate(lines, start=2):
        values = line.split("\t")
        if len(values) != len(names):
            raise DataError(
                "this row has another number of columns than the first one",
                where=f"{file}, row {number}",
                got=str(len(values)),
                expected=f"{len(names)} ({', '.join(names)})",
            )
        yield dict(zip(names, values, strict=True))


def _jsonl(file: Path, lines: Iterator[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                "this line is no JSON", where=f"{file}, row {number}", got=error, expected="an object a line"
            ) from error
        if not isinstance(value, dict):
            raise DataError("this line is no JSON object", where=f"{file}, row {number}", got=line, expected='{"text": ...}')
        yield value
