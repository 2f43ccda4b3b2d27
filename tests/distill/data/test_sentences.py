"""Sentences of English and Korean text."""

import builtins

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.data.sentences import split_documents, split_sentences
from distill.errors import MissingExtra, UserError

PIECES = st.sampled_from(
    ["A cat sat", "it slept", "Dr", "e.g", "3", "1", "밥을 먹었다", "갔어요", "그는", "왜", *".!?…。”) \n", '"', "\n\n", "  "]
)
TEXTS = st.lists(PIECES, max_size=25).map("".join) | st.text()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A cat sat. It slept! Why? Nobody knows… Perhaps", ["A cat sat.", "It slept!", "Why?", "Nobody knows…", "Perhaps"]),
        ('He said "Go away." Then he left.', ['He said "Go away."', "Then he left."]),
        ("(It rained.) We stayed.", ["(It rained.)", "We stayed."]),
        ("Dr. Kim met J. Smith, e.g. Monday. 3.5 hours passed.", ["Dr. Kim met J. Smith, e.g. Monday.", "3.5 hours passed."]),
        ("It costs approx. 5 won etc. Yahoo! is a firm.", ["It costs approx. 5 won etc. Yahoo! is a firm."]),
        ("1. Wash the rice. 2. Boil it.", ["1. Wash the rice.", "2. Boil it."]),
        ("See example.com/a.html. It works.", ["See example.com/a.html.", "It works."]),
        ("What?! No way...  Really.", ["What?!", "No way...", "Really."]),
        ("one line\nof a paragraph\n\nA heading\n \nthe end", ["one line of a paragraph", "A heading", "the end"]),
        ("오늘은 비가 왔다. 그래서 집에 있었다.", ["오늘은 비가 왔다.", "그래서 집에 있었다."]),
        ("그는 갔다.나는 남았다.", ["그는 갔다.", "나는 남았다."]),
        ("정말요? 네, 3.1운동은 1919년이에요! apple을 먹는다.", ["정말요?", "네, 3.1운동은 1919년이에요!", "apple을 먹는다."]),
        ("“어디 가니?” 그가 물었다. 「집.」 나는 답했다.", ["“어디 가니?”", "그가 물었다.", "「집.」", "나는 답했다."]),
        ("가. 신청 방법. 나. 제출 서류.", ["가. 신청 방법.", "나. 제출 서류."]),
        ("好きです。（行きます！）猫｡", ["好きです。", "（行きます！）", "猫｡"]),
        ("", []),
        (" \n\n ", []),
        ("Pi is 3.14 on example.org today.", ["Pi is 3.14 on example.org today."]),
        ("no end", ["no end"]),
    ],
)
def test_by_hand(text, expected):
    assert split_sentences(text) == expected


@settings(deadline=None, max_examples=300)
@given(TEXTS)
def test_nothing_is_lost_and_nothing_is_split_twice(text):
    found = split_sentences(text)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(sentence and sentence == " ".join(sentence.split()) for sentence in found)
    assert [split_sentences(sentence) for sentence in found] == [[sentence] for sentence in found]


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=6))
def test_every_document_has_its_sentences(texts):
    parts, owners = split_documents(texts)
    assert len(parts) == len(owners)
    assert np.array_equal(np.unique(owners), np.arange(len(texts)))
    for number, text in enumerate(texts):
        assert [part for part, owner in zip(parts, owners, strict=True) if owner == number] == (split_sentences(text) or [text])


def test_kiwi_finds_ends_without_a_mark():
    text = "밥은 먹었어요 이제 잘래요\n\nDr. Kim is here. It rains."
    assert split_sentences(text) == ["밥은 먹었어요 이제 잘래요", "Dr. Kim is here.", "It rains."]
    assert split_sentences(text, korean="kiwi") == ["밥은 먹었어요", "이제 잘래요", "Dr. Kim is here.", "It rains."]
    assert split_documents([text, ""], korean="kiwi")[1].tolist() == [0, 0, 0, 0, 1]


def test_without_kiwi_the_error_names_the_extra(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name.startswith("kiwipiepy"):
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    from distill.data.augment import kiwi

    kiwi.analyser.cache_clear()
    monkeypatch.setattr(builtins, "__import__", refuse)
    assert split_sentences("비가 온다. 춥다.") == ["비가 온다.", "춥다."]
    with pytest.raises(MissingExtra, match=r"distill-toolkit\[augment\]"):
        split_sentences("비가 온다.", korean="kiwi")


def test_only_two_ways():
    with pytest.raises(UserError, match="rules or kiwi"):
        split_sentences("a", korean="regex")
