"""Pieces of a vocabulary that may stand for each other, for three kinds of tokenizers."""

from __future__ import annotations

import tiny_mlm

from distill.data.augment.pieces import Group, Pieces
from distill.data.augment.words import find_words


def pieces_of(tokenizer):
    return Pieces(tokenizer, len(tokenizer))


def names(pieces, group):
    return {pieces.text(index) for index in pieces.allowed(group).nonzero()[0]}


def slots(tokenizer, text):
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ours, others = pieces_of(tokenizer).slots(text, find_words(text), encoded["input_ids"], encoded["offset_mapping"])
    return {slot.word.text: slot for slot in ours}, [word.text for word in others]


def test_groups_of_wordpieces():
    pieces = pieces_of(tiny_mlm.wordpiece(["dog", "cat", "café", "##ing", "##cat", "책", "영화", "음악", "길동", "도시락", "x1"]))
    assert names(pieces, Group(True, "latin")) == {"dog", "cat", "café"}
    assert names(pieces, Group(False, "latin")) == {"cat"}  # ing is no word
    assert names(pieces, Group(True, "hangul")) == {"영화", "음악", "길동", "도시락"}
    assert names(pieces, Group(True, "hangul", final=0)) == {"영화"}
    assert names(pieces, Group(True, "hangul", final=1)) == {"음악", "길동", "도시락"}
    assert "책" in names(pieces, Group(True, "hangul", short=True))


def test_beginnings_and_pieces_without_a_space():
    tokenizer = tiny_mlm.byte_level(["movie", "film", "영화"])
    pieces = pieces_of(tokenizer)
    assert {"movie", "film"} <= names(pieces, Group(True, "latin"))
    assert "영화" in names(pieces, Group(True, "hangul"))
    found, _ = slots(tokenizer, "movie, (film) movie 영화")
    assert found["movie"].group.initial  # the last one
    assert found["영화"].token is not None


def test_sentencepiece_spaces_are_not_part_of_the_word():
    found, others = slots(tiny_mlm.unigram(["movie", "영화"]), "a  movie zzz 영화")
    assert set(found) == {"movie", "영화"}
    assert others == ["zzz"]


def test_stop_words_and_unknown_ones():
    found, others = slots(tiny_mlm.wordpiece(["the", "dog"]), "The dog's ☃ dogged Ω")
    assert set(found) == {"dog"}
    assert others == ["dogged", "Ω"]


def test_nouns_before_a_particle():
    tokenizer = tiny_mlm.wordpiece(["영화", "학교", "사람", "길", "##를", "##에서는", "##는데", "##은", "##이다"])
    found, others = slots(tokenizer, "영화를 학교에서는 영화는데 사람은 길은 사람이다")
    assert {name: slot.group.final for name, slot in found.items()} == {"영화": 0, "학교": 0, "사람": 1}
    assert others == ["영화는데", "길은", "사람이다"]


def test_a_vocabulary_in_decomposed_hangul():
    import unicodedata

    pieces = pieces_of(tiny_mlm.wordpiece([unicodedata.normalize("NFD", "영화"), "dog"]))
    assert names(pieces, Group(True, "hangul")) == {"영화"}


def test_parts_of_a_syllable_are_no_words():
    """A tokenizer that strips accents takes Hangul apart; its single letters are no candidates."""
    tokenizer = tiny_mlm.wordpiece(["ᄋ", "ᅪ", "ㅋ", "책"])
    pieces = Pieces(tokenizer, len(tokenizer))
    assert [pieces.text(tokenizer.convert_tokens_to_ids(part)) for part in ("ᄋ", "ᅪ", "ㅋ", "책")] == ["", "", "", "책"]
