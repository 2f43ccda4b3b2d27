"""What an error says: where, got, expected, try; nothing twice."""

from __future__ import annotations

import pytest

from distill.errors import UserError, nearest


@pytest.mark.parametrize(
    ("name", "expected", "told"),
    [
        ("zzz", "cut, error", None),
        ("zzz", "one of: cut, error", None),
        ("zzz", "a folder", "one of: cut, error"),
        ("errors", "cut, error", "did you mean 'error'?"),
    ],
)
def test_a_hint_does_not_list_what_is_expected_anyway(name, expected, told):
    said = str(UserError("unknown value", got=name, expected=expected, hint=nearest(name, ["error", "cut"])))
    assert [line.partition("try:")[2].strip() for line in said.splitlines() if "try:" in line] == ([told] if told else [])
