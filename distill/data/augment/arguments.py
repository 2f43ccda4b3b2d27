"""Checks of numbers that several methods are given."""

from __future__ import annotations

from ...errors import UserError


def probability(where: str, value: float) -> float:
    """`value`, if it is from 0 to 1."""
    if not 0 <= value <= 1:
        raise UserError("this is no probability", where=where, got=value, expected="a number between 0 and 1, or one of them")
    return value


def some_candidates(value: int) -> int:
    """`value`, if a word can be drawn from so many."""
    if value < 1:
        raise UserError("there must be at least one candidate", where="candidates", got=value)
    return value
