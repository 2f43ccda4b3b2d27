"""Files that somebody else made, read in bounded memory: JSON, regular files alone, tokenizers.

A file may come from anywhere. JSON may be huge, deep or of another form, a name may be a pipe or a device, a tokenizer may take
memory without bound. This room knows files alone: no numpy, no torch. `distill.modelfolder` looks at whole folders.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

from .errors import ModelError

MIB = 1 << 20
MAX_JSON = 16 * MIB
"""A JSON file takes up to twenty times its size in memory."""
MAX_TOKENIZER = 64 * MIB
"""The largest published tokenizer.json has 33 MB."""
MAX_GROWTH = 64
"""Characters that a normalizer may make of one."""
MAX_WORD = 1000
"""Characters of a word that a WordPiece tokenizer may look at: its time grows with their cube."""
PROBE = "A man is eating 3.5 apples. 사과를 먹는다. ... aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"


def read_json(path: Path, name: str | None = None, limit: int = MAX_JSON) -> Any:
    """The JSON value in a file of a model folder.

    Args:
        path: of the file.
        name: what the user called the folder, for errors; None: the folder's path.
        limit: bytes it may have.

    Raises:
        ModelError: it is missing, no regular file, too large, too deep, or no JSON.
    """
    where = f"{name or path.parent}/{path.name}"
    check_regular(path, where, limit)
    try:
        return json.loads(path.read_bytes().decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        got = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise ModelError("this file is damaged", where=where, got=got, expected="JSON", hint="get it again") from error


def read_object(path: Path, name: str | None = None) -> dict[str, Any]:
    """As `read_json`, but a value that is no JSON object is refused."""
    value = read_json(path, name)
    if not isinstance(value, dict):
        refuse_damaged(f"{name or path.parent}/{path.name}", value, "a JSON object")
    return value


def check_regular(path: Path, where: str, limit: int | None = None) -> None:
    """Refuse what is no regular file, and what is too large.

    Args:
        path: of a file, or of a link to one.
        where: for errors.
        limit: bytes it may have; None: any number.

    Raises:
        ModelError: it is missing, a folder, a pipe or a device, or too large.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError as error:
        raise ModelError(f"{path.name} is missing", where=where.removesuffix(f"/{path.name}")) from error
    except (OSError, ValueError) as error:
        raise ModelError("this file cannot be read", where=where, got=error, expected="a regular file") from error
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, a socket or a device"
        raise ModelError("this is no file", where=where, got=kind, expected="a regular file")
    if limit is not None and found.st_size > limit:
        raise ModelError(
            "this file is too large", where=where, got=f"{found.st_size / MIB:.0f} MiB", expected=f"at most {limit // MIB} MiB"
        )


def check_tokenizer_steps(backend: Any, name: str) -> None:
    """Refuse a tokenizer whose normalizer makes a text very much longer, that looks at words of any length, or that panics.

    Args:
        backend: of the tokenizers library.
        name: of the model, for errors.

    Raises:
        ModelError: it does.
    """
    settings: Any = json.loads(backend.normalizer.__getstate__()) if backend.normalizer is not None else {}
    pending, growth = [settings], 1
    while pending:
        step = pending.pop()
        pending += step.get("normalizers", [])
        if step.get("type") == "Replace":
            growth *= max(1, len(step["content"]))
    longest = getattr(backend.model, "max_input_chars_per_word", 0)
    if growth > MAX_GROWTH or longest > MAX_WORD:
        raise ModelError(
            "this tokenizer would take memory or time without bound",
            where=f"{name}/tokenizer.json",
            got=f"{growth} characters for one" if growth > MAX_GROWTH else f"max_input_chars_per_word {longest}",
            expected=f"at most {MAX_GROWTH}" if growth > MAX_GROWTH else f"at most {MAX_WORD}",
        )
    try:
        backend.encode(PROBE)
    except Exception:
        return  # a tokenizer may know no word of the probe
    except BaseException as error:
        if not is_failure(error):
            raise
        raise ModelError("this tokenizer gives up on a plain sentence", where=f"{name}/tokenizer.json", got=error) from error


def is_failure(error: BaseException) -> bool:
    """Whether an exception means that something failed: a panic of the tokenizers' own language is no Exception."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def refuse_damaged(where: str, got: Any, expected: str, hint: str = "get it again") -> NoReturn:
    """Say that a file is damaged."""
    raise ModelError("this file is damaged", where=where, got=got, expected=expected, hint=hint)
