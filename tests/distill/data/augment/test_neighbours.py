"""Words replaced by neighbours: spelled like the old ones, stop words and code left alone, text between untouched."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.data.augment.base import Example, Rng
from distill.data.augment.neighbours import NeighbourMethod
from distill.data.augment.pairs import Augmenter
from distill.data.augment.vectors import WordVectors
from distill.data.augment.words import find_words
from distill.errors import UserError

WORDS = ["movie", "film", "new_york", "영화를", "드라마를", "the", "a"]
NUMBERS = [[1, 0, 0], [1, 0.1, 0], [1, 0.2, 0], [0, 1, 0], [0, 1, 0.1], [0, 0, 1], [0, 0.1, 1]]


@pytest.fixture(scope="module")
def vectors():
    return WordVectors(WORDS, np.array(NUMBERS, np.float32))


def variants(method, text, count=50):
    (plan,) = method.prepare([text])
    rng = random.Random(1)
    return {plan.draw(rng)[0] for _ in range(count)}


def test_the_case_of_the_old_word(vectors):
    method = NeighbourMethod(vectors, p=1.0, candidates=1)
    assert variants(method, "Movie, MOVIE (movie)!") == {"Film, FILM (film)!"}


def test_a_possessive_keeps_its_ending(vectors):
    assert variants(NeighbourMethod(vectors, p=1.0, candidates=1), "the movie's end") == {"the film's end"}


def test_korean_words(vectors):
    assert variants(NeighbourMethod(vectors, p=1.0, candidates=1), "어제 영화를  봤다.") == {"어제 드라마를  봤다."}


def test_stop_words_stay(vectors):
    assert variants(NeighbourMethod(vectors, p=1.0, candidates=1), "the a The") == {"the a The"}


def test_neighbours_that_are_no_words_do_not_come_in(vectors):
    assert variants(NeighbourMethod(vectors, p=1.0, candidates=2), "movie") == {"film"}


def test_plans_count_all_words(vectors):
    (plan,) = NeighbourMethod(vectors).prepare(["The movie of x1"])
    assert plan.words == 3
    assert [word.text for word, _ in plan.slots] == ["movie"]


@given(
    st.lists(st.sampled_from(["movie", "the", "영화를", "x_y", "!", " ", "\n", "zebra", "movie's"]), max_size=8).map(" ".join),
    st.integers(0, 99),
)
def test_text_between_words_stays(vectors, text, seed):
    for made in Augmenter(NeighbourMethod(vectors), variants=4).augment([Example(text)], Rng(seed)):
        gaps = [[], []]
        for side, whole in enumerate((text, made.text)):
            end = 0
            for word in find_words(whole):
                gaps[side].append(whole[end : word.start])
                end = word.end
            gaps[side].append(whole[end:])
        assert gaps[0] == gaps[1]


def test_bad_arguments(vectors):
    with pytest.raises(UserError, match="between 0 and 1"):
        NeighbourMethod(vectors, p=1.5)
    with pytest.raises(UserError, match="at least one"):
        NeighbourMethod(vectors, candidates=0)
