"""Vocabulary mixing: frames stay, words come from the vocabulary, the same arguments give the same text."""

from __future__ import annotations

import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from distill.data.augment.vocabulary import EDGES, mix_vocabulary, whole_words
from distill.data.prepare import prepare
from distill.errors import DataError
from distill.recipe import DataSpec

WORDS = ["zebra", "quartz", "nebel"]
CORPUS = ["The Cat sat on the mat, quietly.", "It rains (again) in Seoul!", "x = 3 is no prose", "물이 끓고 있다."]


class _Tokenizer:
    all_special_tokens = ("<s>", "</s>")

    def __init__(self, pieces):
        self.pieces = pieces

    def get_vocab(self):
        return {piece: index for index, piece in enumerate(self.pieces)}


def test_words_of_a_wordpiece_vocabulary():
    assert whole_words(_Tokenizer(["<s>", "the", "##ing", "of", "river", "3d", "물이", "물", "!"])) == ["the", "river", "물이"]


@pytest.mark.parametrize("mark", ["▁", "Ġ"])
def test_words_of_a_vocabulary_that_marks_beginnings(mark):
    pieces = ["<s>", f"{mark}the", "ing", f"{mark}river", f"{mark}3", "</s>", f"{mark}강물"]
    assert whole_words(_Tokenizer(pieces)) == ["the", "river", "강물"]


def test_words_of_a_real_tokenizer():
    found = whole_words(tiny.tokenizer())
    assert len(found) > 50
    assert not [word for word in found if not word.isalpha() or word.startswith("##")]


def test_every_word_that_may_be_replaced_is_when_the_share_is_one(monkeypatch):
    monkeypatch.setattr("distill.data.augment.vocabulary.FRAME_WORDS", 0)
    (made,) = mix_vocabulary(["The cat (grey) sat, 3 x2!"], ["dog"], count=1, share=1.0, max_words=9, seed=1)
    assert made == "Dog dog (dog) dog, 3 x2!"


def test_frequent_words_stay(monkeypatch):
    animals = ["cat", "dog", "cow", "hen", "ape", "elk", "fox", "bee", "ant"]
    made = mix_vocabulary([f"the {animal}" for animal in animals], ["zebra"], count=9, share=1.0, max_words=9, seed=1)
    assert made == ["the zebra"] * 9  # ten different words: one of them is the frame


@given(st.lists(st.text(max_size=60), max_size=8), st.integers(0, 40), st.floats(0.01, 1), st.integers(0, 2**31 - 1))
def test_the_shape_of_a_sentence_stays(corpus, count, share, seed):
    arguments = {"count": count, "share": share, "max_words": 12, "seed": seed}
    made = mix_vocabulary(corpus, WORDS, **arguments)
    assert made == mix_vocabulary(corpus, WORDS, **arguments)
    frames = [len(sentence.split()) for sentence in corpus if len(sentence.split()) <= 12]
    assert len(made) == (count if frames else 0)
    assert all(len(sentence.split()) in frames for sentence in made)


def test_other_seeds_give_other_sentences():
    first, second = (mix_vocabulary(CORPUS, [*"abcdefgh"], count=20, share=0.9, max_words=9, seed=seed) for seed in (1, 2))
    assert first != second


def test_a_narrow_frame_is_used_again_and_long_sentences_never(monkeypatch):
    monkeypatch.setattr("distill.data.augment.vocabulary.FRAME_WORDS", 0)
    made = mix_vocabulary(["one two", "a b c d e f"], WORDS, count=5, share=1.0, max_words=3, seed=1)
    assert [len(sentence.split()) for sentence in made] == [2] * 5
    assert {word.strip(EDGES) for sentence in made for word in sentence.split()} <= set(WORDS)


def _data(**augment):
    return DataSpec.model_validate({"train": [{"source": "unused"}], "dev": {"share": 0.3}, "augment": augment})


def test_prepare_adds_sentences_and_words_and_counts_them():
    plain = prepare(_data().model_copy(update={"augment": None}), train=tiny.SENTENCES)
    mixed = prepare(_data(sentences=50), train=tiny.SENTENCES, words=WORDS, seed=3)
    assert mixed.dev == plain.dev
    assert mixed.train[: len(plain.train)] == plain.train
    assert set(WORDS) <= set(mixed.train)
    assert mixed.counts["augmented"] == len(mixed.train) - len(plain.train) > 3


def test_prepare_can_keep_what_was_made_alone():
    plain = prepare(_data().model_copy(update={"augment": None}), train=tiny.SENTENCES)
    mixed = prepare(_data(sentences=50, replace=True, words=False, share=1.0), train=tiny.SENTENCES, words=WORDS)
    assert not set(mixed.train) & {*plain.train, *plain.dev}
    assert mixed.counts["frames"] == len(plain.train)


def test_what_is_held_out_is_not_made_again():
    """A made sentence that happens to be a dev sentence would be trained on and judged by."""
    corpus = [f"alpha {word}" for word in ("one", "two", "three", "four", "five", "six")]
    mixed = prepare(_data(sentences=300, share=1.0), train=corpus, words=["alpha", "one", "two", "three", "four", "five", "six"])
    assert not set(mixed.train) & set(mixed.dev)


def test_no_words_and_no_frames_are_errors():
    with pytest.raises(DataError, match="no whole words"):
        prepare(_data(), train=CORPUS * 2)
    with pytest.raises(DataError, match="short enough"):
        prepare(_data(max_words=1), train=[f"{sentence} {i}" for i, sentence in enumerate(CORPUS)], words=WORDS)
