"""Chance depends on the seed and the key alone; an example keeps its shape."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.data.augment.base import Example, Rng


def test_an_example_has_one_text_or_two():
    assert Example("a").texts == ("a",)
    assert Example("a", "").texts == ("a", "")
    pair = Example("a", "b", label=3, row=5)
    assert pair.with_texts(("c", "d"), variant=2, changed=1) == Example("c", "d", label=3, row=5, variant=2)
    with pytest.raises(ValueError, match="an example of 2 texts cannot take 1"):
        pair.with_texts(("c",))
    with pytest.raises(ValueError, match="an example of 1 texts cannot take 2"):
        Example("a").with_texts(("c", "d"))


@given(st.integers(0, 2**63), st.lists(st.text() | st.integers(), max_size=3))
def test_equal_keys_draw_equally(seed, key):
    first, again = Rng(seed).of(*key), Rng(seed).of(*key)
    assert [first.random() for _ in range(3)] == [again.random() for _ in range(3)]


def test_other_keys_and_seeds_draw_otherwise():
    keys = [("a", "b"), ("ab",), ("a", "b", ""), ("b", "a"), ("1",), (1,), ()]
    draws = {Rng(seed).of(*key).random() for seed in (1, 2) for key in keys}
    assert len(draws) == 2 * len(keys)


def test_draws_are_the_same_in_every_process():
    code = "from distill.data.augment.base import Rng; print(repr(Rng(7).of('m', '한국어', 3).random()))"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert runs[0] == runs[1] == repr(Rng(7).of("m", "한국어", 3).random()) + "\n"


def test_lone_surrogates_are_no_trouble():
    assert 0 <= Rng(1).of("\ud800").random() < 1
