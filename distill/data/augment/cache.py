"""What a model said of a sentence, kept on disk between runs and shared by processes."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...progress import note

_AT_ONCE = 500
"""Keys in one query."""
_WAIT_SECONDS = 30.0
Found = tuple[tuple[int, int, tuple[str, ...]], ...]
"""Of one sentence: start, end and candidates of each word that a model was asked about."""


class CandidateCache:
    """Candidates by sentence and place of the word, in an SQLite file that several processes may use at a time.

    It is a convenience and stops nobody: a damaged file is made anew, and one that cannot be written is done without.
    Both are told.

    Args:
        path: the file; None keeps nothing. What decides the candidates belongs in its name.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._owner = 0

    def read(self, texts: Sequence[str]) -> dict[str, Found]:
        """What is known of these texts; those of which nothing is known, or whose entry is damaged, are left out."""
        by_key = {_key(text): text for text in texts}
        keys = list(by_key)
        found: dict[str, Found] = {}
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            query = f"SELECT key, value FROM sentences WHERE key IN ({','.join('?' * len(part))})"
            for key, value in self._run(query, part):
                if (entry := _decode(value)) is not None:
                    found[by_key[key]] = entry
        return found

    def write(self, entries: Mapping[str, Found]) -> None:
        """Keep what was found of these texts, all or nothing."""
        rows = [(_key(text), json.dumps(entry, ensure_ascii=False)) for text, entry in entries.items()]
        if rows:
            self._run("INSERT OR REPLACE INTO sentences VALUES (?, ?)", rows, many=True)

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        if self._connection is not None and self._owner == os.getpid():
            self._connection.close()
        self._connection = None

    def _run(self, query: str, values: Sequence[Any], many: bool = False) -> list[tuple[bytes, str]]:
        """One query; a damaged file is removed and the query asked again of a new one."""
        for attempt in range(2):
            if self.path is None:
                return []
            try:
                connection = self._open(self.path)
                with connection:
                    return list(connection.executemany(query, values) if many else connection.execute(query, values))
            except (sqlite3.Error, OSError) as error:
                self.close()
                damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
                if not damaged or attempt or not _remove(self.path):
                    note(f"{self.path}: this cache cannot be used, so nothing is kept: {error}")
                    self.path = None
                else:
                    note(f"{self.path}: this cache is damaged; it is made again")
        return []

    def _open(self, path: Path) -> sqlite3.Connection:
        """The connection of this process: one that came over from a parent process must not be used."""
        if self._connection is None or self._owner != os.getpid():
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=_WAIT_SECONDS, check_same_thread=False)
            self._connection, self._owner = connection, os.getpid()
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("CREATE TABLE IF NOT EXISTS sentences (key BLOB PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
        return self._connection


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _decode(value: Any) -> Found | None:
    """An entry of the file, or None for one that is none."""
    try:
        return tuple((int(start), int(end), tuple(map(str, words))) for start, end, words in json.loads(value))
    except (TypeError, ValueError):
        return None


def _remove(path: Path) -> bool:
    """Remove a database and what lies beside it; whether that worked."""
    try:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
    except OSError:
        return False
    return True
