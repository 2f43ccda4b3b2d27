"""Tang et al.'s three in one pass: the shares that were asked for, and no damage."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.data.augment.base import Example, Rng
from distill.data.augment.kiwi import KoreanTagger
from distill.data.augment.pairs import Augmenter
from distill.data.augment.taggers import TaggedWord
from distill.data.augment.tang import TangMethod
from distill.data.augment.words import find_words
from distill.errors import UserError


class Nouns:
    """Every word but `the` is a noun."""

    name = "nouns"

    def tag(self, texts):
        return [[TaggedWord(w.text, w.start, w.end, "NN") for w in find_words(text) if w.text != "the"] for text in texts]


def method(corpus=("new",), **settings):
    made = TangMethod(Nouns(), "[MASK]", **settings)
    made.fit(corpus)
    return made


def draw(method, text, seed=0):
    (plan,) = method.prepare([text])
    return plan.draw(random.Random(seed))


def test_the_shares_of_masks_and_words():
    text = " ".join(["old"] * 10_000)
    found = Counter(draw(method(p_mask=0.1, p_pos=0.2, p_ng=0), text)[0].split())
    assert found["[MASK]"] == pytest.approx(1000, abs=130)
    assert found["new"] == pytest.approx(2000, abs=170)


def test_the_share_of_ngrams():
    plain = method(p_mask=0, p_pos=0, p_ng=0.25)
    made = [draw(plain, "one two three four five six seven", seed)[0] for seed in range(2000)]
    cut = [text for text in made if len(text.split()) < 7]
    assert len(cut) == pytest.approx(500, abs=90)
    assert {len(text.split()) for text in cut} == {1, 2, 3, 4, 5}


def test_a_word_without_a_tag_is_masked_or_stays():
    made = {draw(method(p_mask=0.3, p_pos=0.7, p_ng=0), "the old", seed)[0] for seed in range(100)}
    assert made == {"the new", "[MASK] new", "the [MASK]", "the old"}  # the last where both are masked


def test_an_ngram_of_masks_is_dropped():
    made = {draw(method(p_mask=0.5, p_pos=0, p_ng=1, longest=1), "one two", seed) for seed in range(100)}
    assert made == {("one", 1), ("two", 1), ("one two", 0)}


def test_changed_words_are_those_masked_exchanged_or_cut_away():
    for seed in range(200):
        text, changed = draw(method(p_mask=0.3, p_pos=0.3, p_ng=0.5), "old old old old old old old", seed)
        assert changed == 7 - text.split().count("old")


def test_korean_eojeol():
    made = TangMethod(KoreanTagger(), "[MASK]", p_mask=0.3, p_pos=0.6, p_ng=0)
    made.fit(["책이 좋다"])
    results = {draw(made, "노래를 부르는 배우다", seed)[0] for seed in range(200)}
    assert {"책을 부르는 책이다", "[MASK] 부르는 책이다", "책을 [MASK] 배우다"} <= results
    for text in results:
        assert set(text.split()) <= {"노래를", "부르는", "배우다", "책을", "책이다", "[MASK]"}


@given(st.text(st.sampled_from([*"ab \n.,-'_1가를[]<"]), max_size=60), st.integers(0, 99))
def test_without_chance_the_text_comes_back(text, seed):
    assert draw(method(p_mask=0, p_pos=0, p_ng=0), text, seed) == (text, 0)


@given(st.text(st.sampled_from([*"ab \n.,-'_1가를[]<"]), max_size=60), st.integers(0, 99))
def test_what_comes_out(text, seed):
    settings = method(p_mask=0.3, p_pos=0.3, p_ng=0.5)
    made, changed = draw(settings, text, seed)
    assert (made == text) == (changed == 0)
    assert made.strip() or made == text
    assert draw(settings, text, seed) == (made, changed)


def test_as_a_method_for_pairs():
    rows = [Example("the old house was cold", "the old man was in the house", label=1, row=3), Example("one", "two", row=4)]
    made = Augmenter(method(), variants=20, pairs="tang").augment(rows, Rng(5))
    assert made == Augmenter(method(), variants=20, pairs="tang").augment(rows, Rng(5))
    assert {row.label for row in made if row.row == 3} == {1}
    sides = Counter((row.text != rows[0].text, row.text_pair != rows[0].text_pair) for row in made if row.row == 3)
    assert len(sides) == 4
    assert sides[False, False] == 1


def test_settings_that_make_no_sense():
    with pytest.raises(UserError, match="masked and exchanged"):
        TangMethod(Nouns(), "[MASK]", p_mask=0.6, p_pos=0.6)
    with pytest.raises(UserError, match="no mask token"):
        TangMethod(Nouns(), "")
    with pytest.raises(UserError, match="no corpus"):
        TangMethod(Nouns(), "[MASK]").prepare(["one"])
