"""n-grams: pieces of the text, as long as drawn."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.data.augment.ngrams import NGramMethod
from distill.errors import UserError

TEXT = "One, two - three four  five (six) seven 8!"


def draws(text, p=1.0, longest=5, count=300):
    (plan,) = NGramMethod(p=p, longest=longest).prepare([text])
    return [plan.draw(random.Random(seed)) for seed in range(count)]


def test_a_piece_of_the_text_with_all_that_lies_between():
    made = {text for text, _ in draws(TEXT, count=2000)}
    assert {"One,", "two - three", "8!", "four  five (six)", "One, two - three four  five"} <= made
    assert "-" not in made
    assert all(text in TEXT for text in made)


def test_n_is_even_from_one_to_the_longest():
    sizes = Counter(len(text.split()) for text, _ in draws("a b c d e f g h", count=5000))
    assert sorted(sizes) == [1, 2, 3, 4, 5]
    assert min(sizes.values()) > 850


def test_words_that_are_cut_away_are_counted():
    assert set(draws("one two three", longest=1)) == {("one", 2), ("two", 2), ("three", 2)}


def test_a_text_of_no_more_than_n_words_stays():
    assert set(draws("one two", count=200)) == {("one two", 0), ("one", 1), ("two", 1)}
    assert set(draws("one", count=20)) == {("one", 0)}
    assert set(draws("", count=5)) == {("", 0)}


def test_an_eojeol_is_a_word():
    assert set(draws("비가 온다", longest=1)) == {("비가", 1), ("온다", 1)}


def test_the_rate():
    cut = sum(changed > 0 for _, changed in draws(TEXT, p=0.25, count=2000))
    assert cut == pytest.approx(500, abs=90)


@given(st.text(max_size=50), st.integers(0, 99))
def test_never_empty(text, seed):
    (plan,) = NGramMethod(p=1.0, longest=3).prepare([text])
    made, changed = plan.draw(random.Random(seed))
    assert (made == text) == (changed == 0)
    assert made in text
    assert made == text or any(map(str.isalnum, made))
    assert NGramMethod(p=0.0).prepare([text])[0].draw(random.Random(seed)) == (text, 0)


def test_what_is_out_of_range():
    with pytest.raises(UserError, match="at least one word"):
        NGramMethod(longest=0)
    with pytest.raises(UserError, match="no probability"):
        NGramMethod(p=2)
