"""YAML in and out: what is written comes back; what could do harm is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.errors import UserError
from distill.recipe_yaml import dump, parse, parse_value

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="ascii")), inner), max_leaves=20
)


@given(TREES)
def test_what_is_dumped_comes_back(tree):
    assert parse(dump(tree), "x") == tree


@pytest.mark.parametrize("text", ["\x85", "a\x85b", "a\u2028b\n", "\u2029", " \x85 c", "a\nb"])
def test_every_line_break_of_unicode_comes_back(text):
    assert parse(dump({"name": text, "list": [text]}), "x") == {"name": text, "list": [text]}


@pytest.mark.parametrize(
    "text", ["3e-4", "1E5", "2024-01-01", "12:30", "yes", "null", "0x1F", "1_000", ".5", "007", "<<", "=", "~", "- a"]
)
def test_text_that_looks_like_something_else_comes_back_as_text(text):
    assert parse(dump({"name": text}), "x") == {"name": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-4", 0.0003),
        ("3.0e-4", 0.0003),
        ("-1E5", -100000.0),
        ("12", 12),
        ("0.5", 0.5),
        ("true", True),
        ("null", None),
        ("", None),
        ("2024-01-01", "2024-01-01"),
        ("query: ", "query: "),
        ("notes #2.txt", "notes #2.txt"),
        ("a: b: c", "a: b: c"),
        ("*.csv", "*.csv"),
        ("&x", "&x"),
        ("!tag", "!tag"),
        ("<<", "<<"),
        ("=", "="),
        ("C:\\data", "C:\\data"),
        ("[0, 5]", [0, 5]),
        ("{share: 0.1}", {"share": 0.1}),
        ("'12'", "12"),
        ('"query: "', "query: "),
        ("owner/name", "owner/name"),
        ("1.2.3", "1.2.3"),
    ],
)
def test_values_of_overrides(text, value):
    assert parse_value(text, "x") == value
    assert type(parse_value(text, "x")) is type(value)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 10)}]\n" for before, name in zip("abcdef", "bcdefg", strict=True)
)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a: 1\nb: 2\na: 3\n", "'a' is there twice"),
        ("x:\n  - {k: 1, k: 2}\n", "line 2"),
        ("1: x\n", "must be text"),
        ("[1, 2]: x\n", "must be text"),
        (BOMB, "aliases"),
        ("a: &a [*a]\n", "alias"),
        ("a: !!python/object/apply:os.system [ls]\n", "python"),
        ("a: !custom 1\n", "custom"),
        ("a: [1\n", "line 2"),
        ("a: 1\n b: 2\n", "line 2"),
        ("\tname: x\n", "line 1"),
        ("a: 1\n---\nb: 2\n", "document"),
        ("a: \x00\n", "x"),
        ("[" * 3000, "deep"),
        ("a: 0x\n", None),
        ("a: " + "x" * 1_000_001, "too large"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_bad_documents(text, word):
    if word is None:
        assert parse(text, "r.yaml") == {"a": "0x"}
        return
    with pytest.raises(UserError, match=r"r\.yaml") as caught:
        parse(text, "r.yaml")
    assert word in str(caught.value)


def test_a_few_aliases_are_fine():
    assert parse("a: &a {k: 1}\nb: *a\nc: {<<: *a, l: 2}\n", "x") == {"a": {"k": 1}, "b": {"k": 1}, "c": {"k": 1, "l": 2}}
