"""Particles after another noun: hand values, kiwipiepy's own joiner as the oracle, nothing else touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.data.augment.kiwi import analyser
from distill.data.augment.korean import agree, final_consonant

NOUNS = ["책", "서울", "배우", "학생", "물", "영화", "감독", "밤", "나무", "말", "꽃", "부엌"]


@pytest.fixture(scope="module")
def kiwi():
    return analyser()


@pytest.mark.parametrize(
    ("word", "final"),
    [
        ("책", 1),
        ("서울", 8),
        ("나무", 0),
        ("7", 8),
        ("10", 21),
        ("2", 0),
        ("TV", 0),
        ("PCR", 8),
        ("KBS", 0),
        ("team", 16),
        ("book", None),
        ("", None),
        ("ㅋㅋ", None),
        ("です", None),
        ("!", None),
    ],
)
def test_the_last_sound_of_a_word(word, final):
    assert final_consonant(word) == final


@pytest.mark.parametrize(
    ("noun", "rest", "mended"),
    [
        ("책", "를", "을"),
        ("나무", "을", "를"),
        ("나무", "은", "는"),
        ("책", "가", "이"),
        ("나무", "과", "와"),
        ("책", "와는", "과는"),
        ("책", "로", "으로"),
        ("서울", "으로", "로"),
        ("나무", "으로는", "로는"),
        ("책", "로부터", "으로부터"),
        ("책", "로서", "으로서"),
        ("나무", "이랑", "랑"),
        ("책", "나", "이나"),
        ("책", "며", "이며"),
        ("나무", "이라도", "라도"),
        ("책", "란", "이란"),
        ("책", "든지", "이든지"),
        ("책", "야말로", "이야말로"),
        ("책", "는커녕", "은커녕"),
        ("배우", "이다", "다"),
        ("학생", "예요", "이에요"),
        ("배우", "이에요", "예요"),
        ("학생", "였다", "이었다"),
        ("배우", "이었던", "였던"),
        ("학생", "여서", "이어서"),
        ("배우", "이지만", "지만"),
        ("학생", "라고", "이라고"),
        ("TV", "을", "를"),
    ],
)
def test_letters_alone_are_enough(noun, rest, mended):
    assert agree(noun, rest) == mended
    assert agree(noun, mended) == mended


@pytest.mark.parametrize(
    "rest", ["에서", "도", "의", "까지는", "에게", "들이", "처럼", "만이", "보다", "하고", "입니다", "인데", ""]
)
@pytest.mark.parametrize("noun", ["책", "나무"])
def test_what_has_one_form_stays(noun, rest):
    assert agree(noun, rest) == rest


@pytest.mark.parametrize(
    ("noun", "rest", "tag", "mended"),
    [
        ("학생", "야", "JKV", "아"),
        ("배우", "아", "JKV", "야"),
        ("학생", "야", "VCP", "이야"),
        ("학생", "야", "JX", "이야"),
        ("책", "는", "XSN", "는"),
        ("책", "다", "VCP", "이다"),
        ("배우", "이였다", "VCP", "였다"),
        ("나무", "이서", "JKS", "이서"),
    ],
)
def test_a_tag_settles_what_letters_leave_open(noun, rest, tag, mended):
    assert agree(noun, rest, tag) == mended


def test_a_word_of_which_the_last_sound_is_unknown_leaves_the_particle():
    assert agree("book", "를") == "를"


@pytest.mark.parametrize(
    ("form", "tag"),
    [
        ("은", "JX"),
        ("이", "JKS"),
        ("을", "JKO"),
        ("과", "JC"),
        ("으로", "JKB"),
        ("이랑", "JKB"),
        ("이나", "JX"),
        ("이라도", "JX"),
        ("아", "JKV"),
        ("이란", "JX"),
        ("이야말로", "JX"),
        ("이든지", "JX"),
        ("이며", "JC"),
        ("으로써", "JKB"),
        ("이라고", "JKQ"),
        ("으로부터", "JKB"),
        ("이나마", "JX"),
        ("에서", "JKB"),
    ],
)
def test_particles_as_kiwi_joins_them(kiwi, form, tag):
    forms = {kiwi.join([(noun, "NNG"), (form, tag)])[len(noun) :] for noun in ("책", "서울", "나무")}
    for noun in NOUNS:
        expected = kiwi.join([(noun, "NNG"), (form, tag)])
        assert {noun + agree(noun, other, tag) for other in forms} == {expected}


@pytest.mark.parametrize(
    "endings",
    [
        ["다/EF"],
        ["었/EP", "다/EF"],
        ["야/EF"],
        ["라서/EC"],
        ["고/EC"],
        ["지만/EC"],
        ["네요/EF"],
        ["ᆸ니다/EF"],
        ["ᆫ데/EC"],
        ["라고/EC"],
        ["면/EC"],
        ["죠/EF"],
        ["었/EP", "던/ETM"],
    ],
)
def test_copulas_as_kiwi_joins_them(kiwi, endings):
    def joined(noun):
        return kiwi.join([(noun, "NNG"), ("이", "VCP"), *(tuple(ending.split("/")) for ending in endings)])

    for noun in NOUNS:
        assert {noun + agree(noun, joined(other)[len(other) :], "VCP") for other in ("배우", "학생")} == {joined(noun)}


@given(st.text(max_size=6), st.text(max_size=6), st.sampled_from(["", "JX", "JKV", "VCP", "VV"]))
def test_mending_twice_is_mending_once(noun, rest, tag):
    once = agree(noun, rest, tag)
    assert agree(noun, once, tag) == once


hangul = st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), min_size=1, max_size=4)


@given(hangul, st.sampled_from(["은", "이", "을", "과", "으로", "이랑", "이나", "이라도", "이었다", "이에요", "이라서"]), hangul)
def test_there_and_back(one, particle, other):
    first = agree(one, particle)
    assert agree(one, agree(other, first)) == first
