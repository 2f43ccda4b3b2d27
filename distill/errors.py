"""The errors that a user meets. Each says where, what it got, what it expected and what to try.

Exit codes: 1 a gate failed, 2 the user's mistake, 3 our own failure.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Sequence

_SECRET = re.compile(r"\bhf_[A-Za-z0-9]{4,}|\bBearer\s+\S+|(?<=://)[^\s/@]+(?=@)")
"""Tokens of the hub by their form, and what stands before the @ of an address."""
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN")
"""Environment variables that hold a token of the hub."""
ONE_OF = "one of: "


class DistillError(Exception):
    """Base of every error this project raises on purpose.

    Args:
        message: what went wrong, one sentence.
        where: file, row, recipe path or stage where it went wrong.
        got: the value found there.
        expected: what would have been right.
        hint: what to try next.
    """

    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        got: object = None,
        expected: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.message = message
        self.where = where
        self.got = got
        self.expected = expected
        self.hint = hint
        super().__init__(str(self))

    def __str__(self) -> str:
        lines = [self.message if self.where is None else f"{self.where}: {self.message}"]
        if self.got is not None:
            lines.append(f"  got:      {shorten(self.got)}")
        if self.expected is not None:
            lines.append(f"  expected: {self.expected}")
        if self.hint is not None and not _says_again(self.hint, self.expected or ""):
            lines.append(f"  try:      {self.hint}")
        return "\n".join(lines)


class UserError(DistillError):
    """Something the user can mend: exit code 2."""

    exit_code = 2


class RecipeError(UserError):
    """One or more mistakes in a recipe, all listed together.

    Args:
        problems: every mistake found.
        where: the recipe they were found in.
    """

    def __init__(self, problems: Sequence[DistillError], where: str) -> None:
        self.problems = list(problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__(f"{count} in this recipe", where=where)

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(str(problem) for problem in self.problems)])


class DataError(UserError):
    """A data source that cannot be read as asked."""


class ModelError(UserError):
    """A model that cannot be loaded or does not fit the recipe."""


class RunError(UserError):
    """A run folder, a disk or a lock that stands in the way."""


class MissingExtra(UserError):
    """A command needs packages of an optional extra.

    Args:
        extra: name of the extra, such as `train`.
        package: the import that failed.
        purpose: what needed it.
    """

    def __init__(self, extra: str, package: str, purpose: str) -> None:
        self.extra = extra
        super().__init__(
            f"{purpose} needs the package '{package}', which is not installed",
            hint=f"pip install 'distill-toolkit[{extra}]'",
        )


class GateError(DistillError):
    """A quality gate failed (parity, comparison, collapse): exit code 1."""

    exit_code = 1


def redact(text: str) -> str:
    """A text without what looks like a token of the hub, or is the one in use, and without passwords in addresses."""
    for name in TOKENS:
        secret = os.environ.get(name)
        text = text.replace(secret, "hf_***") if secret else text
    return _SECRET.sub("hf_***", text)


def shorten(value: object, limit: int = 200) -> str:
    """`value` as text on one line without secrets, at most `limit` characters."""
    text = redact(" ".join(str(value).split()) or repr(value))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def nearest(name: str, options: Iterable[str]) -> str | None:
    """A hint that names the options closest to `name`, or lists them all when they are few."""
    options = sorted(set(options))
    close = difflib.get_close_matches(name, options, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(f"'{option}'" for option in close) + "?"
    return (ONE_OF + ", ".join(options)) if 0 < len(options) <= 20 else None


def _says_again(hint: str, expected: str) -> bool:
    """Whether a hint lists the names that are expected, and no more."""
    listed, told = (text.removeprefix(ONE_OF).split(", ") for text in (hint, expected))
    return hint.startswith(ONE_OF) and sorted(listed) == sorted(told)
