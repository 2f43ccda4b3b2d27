"""Held-out rows that share eight words in a row with training text are counted, and no others."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from distill.data.examples import SpanExamples, TextExamples, TokenExamples
from distill.data.known_text import IN_A_ROW, known_in_part, texts_by_row

SENTENCE = "it 's nice to see piscopo again after all these years , and chaykin and headly are priceless"
WORDS = st.lists(st.sampled_from("abc"), min_size=0, max_size=16)


def known(held_out, training):
    return known_in_part({"dev": held_out}, training)["dev"]


def test_punctuation_and_case_do_not_hide_a_part():
    part = "It's nice to see Piscopo -- again, after all (these) years."
    assert known([SENTENCE, "something else"], [part]) == 1
    assert known([SENTENCE], ["nice to see piscopo again after all"]) == 0  # seven words


def test_a_row_counts_once_however_often_it_is_met():
    assert known([SENTENCE], [SENTENCE, SENTENCE, SENTENCE + " indeed"]) == 1


def test_parts_are_told_apart_by_name():
    found = known_in_part({"dev": [SENTENCE, "a b"], "evaluate-dev": [SENTENCE, SENTENCE], "empty": []}, [SENTENCE])
    assert found == {"dev": 1, "evaluate-dev": 2, "empty": 0}


def test_korean_words_count_as_words():
    row = "이 영화는 정말 처음부터 끝까지 손에 땀을 쥐게 하는 영화였다"
    assert known([row], ["정말, 처음부터 끝까지 손에 땀을 쥐게 하는 영화였다!"]) == 1
    assert known([row], ["정말 처음부터 끝까지 손에 땀을 쥐게"]) == 0


@given(rows=st.lists(WORDS, max_size=4), training=st.lists(WORDS, max_size=4))
def test_it_is_what_a_search_of_every_part_finds(rows, training):
    """The definition, spelled out on strings."""

    def holds(row, text):
        parts = [" ".join(row[start : start + IN_A_ROW]) for start in range(len(row) - IN_A_ROW + 1)]
        return any(f" {part} " in f" {' '.join(text)} " for part in parts)

    wanted = sum(any(holds(row, text) for text in training) for row in rows)
    assert known([" ".join(row) for row in rows], [" ".join(text) for text in training]) == wanted


def test_rows_that_share_texts_by_their_making_give_none():
    labels = np.array([0, 1])
    assert texts_by_row(TextExamples(["a b", "c"], None, labels)) == ["a b", "c"]
    assert texts_by_row(TextExamples(["a b", "c"], ["d", "e"], labels)) == ()
    assert texts_by_row(TokenExamples([["a", "b"], ["c"]], None, True)) == ["a b", "c"]
    assert texts_by_row(TokenExamples([list("오늘 비")], None, False)) == ["오늘 비"]  # characters are no words
    assert texts_by_row(SpanExamples(["1"], ["who"], ["a b"], [[("a", 0)]])) == ()
