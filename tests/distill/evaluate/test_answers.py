"""Exact match and F1 of answers: hand values, and numbers of SQuAD's own script."""

import pytest

from distill.evaluate.answers import answer_f1, exact_match, normalise

SQUAD = [
    ("THE bridge 김 Bridge", "Bridge", "bridge 김 bridge", 0, 0.5),
    ("é", "an -", "é", 0, 0),
    ("the b. the", "an A é. THE", "b", 0, 0),
    ("(", "the   ", "", 1, 1),
    ("  ", "Then bridge the the", "", 0, 0),
    ("김 A bridge Then 김", "- 김", "김 bridge then 김", 0, 0.4),
    ("A b. bridge", "'s", "b bridge", 0, 0),
    ("the    the b. é.", "bridge bridge - b.", "b é", 0, 0.4),
]


@pytest.mark.parametrize(("answer", "gold", "normal", "exact", "shared"), SQUAD)
def test_words_as_squad(answer, gold, normal, exact, shared):
    """Random strings; the numbers are those of `squad_metrics` in transformers 4.46.3."""
    assert normalise(answer) == normal
    assert exact_match(answer, [gold]) == exact
    assert answer_f1(answer, [gold]) == pytest.approx(shared)


def test_words_by_hand():
    assert exact_match("The  Bridge!", ["a tower", "bridge"]) == 1
    assert exact_match("bridges", ["bridge"]) == 0
    assert answer_f1("the old stone bridge", ["stone bridge in town", "river"]) == pytest.approx(2 * 2 / (3 + 4))
    assert answer_f1("x x y", ["x z"]) == pytest.approx(2 / 5), "a word counts as often as both have it"


def test_no_answer():
    for unit in ("word", "character"):
        assert (exact_match("", [], unit), answer_f1("", [], unit)) == (1, 1)
        assert (exact_match("x", [], unit), answer_f1("x", [], unit)) == (0, 0)
        assert (exact_match("", ["x"], unit), answer_f1("", ["x"], unit)) == (0, 0)
    assert answer_f1("the", []) == 1, "nothing is left of an article: as SQuAD's script has it"


def test_characters_by_hand():
    """KorQuAD's rules: quotes and brackets part words, other punctuation does not; articles stay; spaces do not count."""
    assert normalise("《무한도전》(The  A)", "character") == "무한도전 the a"
    assert normalise("‘가’ 나-다", "character") == "가 나다"
    assert exact_match("1989년 2월 15일.", ["1989년 2월 15일"], "character") == 1
    assert exact_match("1989년2월 15일", ["1989년 2월 15일"], "character") == 0
    assert answer_f1("1989년2월", ["1989년 2월"], "character") == 1
    assert answer_f1("박씨의", ["박씨"], "character") == pytest.approx(2 * 2 / (3 + 2))
    assert answer_f1("박씨의", ["박씨"], "word") == 0
