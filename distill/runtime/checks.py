"""What a caller gives, before it meets a tokenizer: texts that are texts, one error for each mistake."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from ..errors import DataError, UserError

OnLong = Literal["cut", "error"]


def no_text(items: Iterable[Any], name: str, call: str) -> Iterable[Any]:
    """One string would be read letter by letter: refuse it.

    Args:
        items: what is given.
        name: what it should be, in the plural.
        call: how the method is called with one of them, such as `encode([text])`.
    """
    if isinstance(items, (str, bytes)) or not isinstance(items, Iterable):
        one = isinstance(items, (str, bytes))
        raise UserError(
            f"{'one string' if one else 'something else'} is given where a list of {name} is needed",
            where=name,
            got=items if one else repr(items),
            hint=f"write {call}",
        )
    return items


def checked_text(text: object, where: str) -> str:
    """A text of valid Unicode.

    Raises:
        UserError: it is no text.
        DataError: it holds a lone surrogate.
    """
    if not isinstance(text, str):
        raise UserError("this is no text", where=where, got=repr(text), expected="a str")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            "this text is not valid Unicode",
            where=where,
            got=ascii(text),
            expected="text without lone surrogates",
            hint="decode the file with the right encoding",
        ) from error
    return text


def checked_pair(pair: object, where: str) -> tuple[str, str]:
    """Two texts.

    Raises:
        UserError, DataError: it is no pair, or one of them is no text or not valid.
    """
    if isinstance(pair, (str, bytes)) or not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise UserError("this is no pair of texts", where=where, got=repr(pair), expected="(text, text)")
    return checked_text(pair[0], where), checked_text(pair[1], where)


def checked_choice(value: object, allowed: tuple[str, ...], name: str) -> None:
    """Refuse a value that is none of `allowed`."""
    if value not in allowed:
        raise UserError("unknown value", where=name, got=repr(value), expected=", ".join(allowed))


def checked_count(value: object, name: str, least: int = 1) -> None:
    """Refuse what is no whole number from `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UserError(f"{name} must be a whole number from {least}", where=name, got=repr(value))
