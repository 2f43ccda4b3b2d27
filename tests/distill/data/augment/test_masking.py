"""Masking: whole words, at the rate asked for, never all of them."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.data.augment.masking import MaskingMethod
from distill.data.augment.words import find_words
from distill.errors import UserError


def draw(text, seed=0, p=0.5, mask="[MASK]"):
    (plan,) = MaskingMethod(mask, p=p).prepare([text])
    return plan.draw(random.Random(seed))


def test_words_are_masked_whole_and_nothing_else_is_touched():
    made = {draw("He won't (ever) pay 5$!", seed)[0] for seed in range(200)}
    assert "[MASK] won't (ever) pay 5$!" in made
    assert "He [MASK] ([MASK]) pay 5$!" in made
    assert len(made) == 15  # 4 words; all of them masked gives the text, as none masked does


def test_an_eojeol_is_a_word():
    assert {draw("책을 읽는다", seed)[0] for seed in range(50)} == {"책을 읽는다", "[MASK] 읽는다", "책을 [MASK]"}


def test_the_rate():
    text = " ".join(["word"] * 1000)
    assert draw(text, p=0.1)[1] == pytest.approx(100, abs=35)


def test_any_mask_token():
    assert draw("one two", 1, 0.5, "<mask>")[0].count("<mask>") == 1


def test_a_single_word_stays():
    assert draw("word", p=1.0) == ("word", 0)
    assert draw("12", p=1.0) == ("12", 0)


@given(st.text(max_size=50), st.integers(0, 99), st.sampled_from([0.0, 0.3, 1.0]))
def test_what_comes_out(text, seed, p):
    made, changed = draw(text, seed, p)
    assert (made == text) == (changed == 0)
    assert changed < max(len(find_words(text)), 1)
    if p == 0:
        assert made == text
    pattern = "".join(re.escape(gap) + (f"({re.escape(word)}|\\[MASK\\])" if word else "") for gap, word in gaps(text))
    assert re.fullmatch(pattern, made)


def gaps(text):
    place = 0
    for word in find_words(text):
        yield text[place : word.start], word.text
        place = word.end
    yield text[place:], ""


@pytest.mark.parametrize("mask", ["", " ", "two words"])
def test_what_is_no_mask(mask):
    with pytest.raises(UserError, match="no mask token"):
        MaskingMethod(mask)
