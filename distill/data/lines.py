"""Lines of a text file, plain or gzipped, decoded one at a time so that a bad one can be named and stepped over."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from ..errors import DataError

MAX_LINE_BYTES = 1 << 24


class BadLine(Exception):
    """A line that the encoding cannot read. The lines after it can still be read.

    Args:
        problem: the error to show.
    """

    def __init__(self, problem: DataError) -> None:
        self.problem = problem
        super().__init__(str(problem))


class Lines(Iterator[str]):
    """Iterate the lines of `path`, each with its line ending; goes on after a `BadLine`.

    Args:
        path: the file; a name ending in .gz is decompressed.
        encoding: any text encoding Python knows. A UTF-8 byte order mark is dropped.

    Raises:
        DataError: the encoding is unknown, the file cannot be opened, is no valid gzip file, or has a line over 16 MiB.
    """

    def __init__(self, path: Path, encoding: str) -> None:
        self.path = path
        self.encoding = check_encoding(encoding, path)
        self.number = 0
        self._binary = open_bytes(path)
        self._text: io.TextIOWrapper | None = None
        if "\n".encode(self.encoding) != b"\n":  # UTF-16 and its like: bytes cannot be cut at b"\n"
            self._text = io.TextIOWrapper(self._binary, encoding=self.encoding, newline="")

    def __next__(self) -> str:
        self.number += 1
        try:
            line = self._wide() if self._text is not None else self._narrow()
        except (OSError, EOFError, zlib.error) as error:
            self.close()
            raise unreadable(self.path, error) from error
        if not line:
            self.close()
            raise StopIteration
        return line

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._binary.close()

    def _narrow(self) -> str:
        raw = self._binary.readline(MAX_LINE_BYTES) if not self._binary.closed else b""
        if len(raw) == MAX_LINE_BYTES and not raw.endswith(b"\n"):
            raise DataError(
                "this line is over 16 MiB",
                where=f"{self.path}, row {self.number}",
                expected="a text file with one row a line",
                hint="name the format of the file with `format`",
            )
        if self.number == 1 and self.encoding == "utf-8":
            raw = raw.removeprefix(codecs.BOM_UTF8)
        try:
            return raw.decode(self.encoding) or ("\n" if raw else "")
        except UnicodeDecodeError as error:
            wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            raise BadLine(
                DataError(
                    f"byte {error.start + 1} of this row is not {self.encoding}",
                    where=f"{self.path}, row {self.number}",
                    got=raw[error.start : error.start + 8],
                    expected=f"text in {self.encoding}",
                    hint=f"set `encoding`, for example to {'utf-16' if wide else 'cp949, cp1252 or utf-16'}",
                )
            ) from error

    def _wide(self) -> str:
        assert self._text is not None
        try:
            return self._text.readline() if not self._text.closed else ""
        except UnicodeError as error:  # the decoder has lost its place: nothing after it can be trusted
            raise DataError(
                f"this file is not {self.encoding}",
                where=f"{self.path}, at or after row {self.number}",
                got=error,
                hint="set `encoding` to the one the file was written in",
            ) from error


def open_bytes(path: Path) -> IO[bytes]:
    """A file's bytes, those of one that ends in .gz unpacked.

    Raises:
        DataError: the file cannot be opened.
    """
    try:
        return cast(IO[bytes], gzip.open(path, "rb") if path.suffix.lower() == ".gz" else open(path, "rb"))
    except OSError as error:
        raise unreadable(path, error) from error


def byte_blocks(path: Path, size: int = 1 << 16) -> Iterator[bytes]:
    """A file's bytes (see `open_bytes`), at most `size` at a time.

    Raises:
        DataError: the file cannot be opened or read to its end.
    """
    with open_bytes(path) as stream:
        while True:
            try:
                block = stream.read(size)
            except (OSError, EOFError, zlib.error) as error:
                raise unreadable(path, error) from error
            if not block:
                return
            yield block


def check_encoding(encoding: str, path: Path) -> str:
    """Python's own name of a text encoding.

    Raises:
        DataError: there is no such text encoding.
    """
    try:
        b"a".decode(encoding)
    except UnicodeDecodeError:
        pass  # half a character of a wide encoding: the encoding itself is known
    except (LookupError, ValueError) as error:
        raise DataError(
            "unknown encoding", where=str(path), got=encoding, expected="a text encoding such as utf-8, cp949 or cp1252"
        ) from error
    return codecs.lookup(encoding).name


def unreadable(path: Path, error: Exception) -> DataError:
    """The error for a file that cannot be opened or read to its end."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
    return DataError(
        f"cannot read this file: {reason}", where=str(path), hint="check that the file is whole and that you may read it"
    )
