"""Tokenizers are the same where they cut every text into the same pieces, whatever the ids and the special tokens' names."""

from __future__ import annotations

import json

import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from otherids import renamed
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from teachers.pieces import SamePieces, as_read, same_pieces

BERT, MPNET = tiny.tokenizer("bert"), renamed(tiny.tokenizer("bert"), inputs=["input_ids", "attention_mask"])
CHARACTERS = "".join(sorted(set("".join(tiny.SENTENCES[:60])))) + "é☃Ω \t\n쀍"


def changed(words, change):
    """A tokenizer whose definition went through `change`."""
    tree = json.loads(words.backend_tokenizer.to_str())
    change(tree)
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(tree)), **{name: getattr(words, name) for name in words.special_tokens_map}
    )


def test_one_tokenizer_needs_no_other_ids():
    assert same_pieces(BERT, tiny.tokenizer("bert"), pairs=True) == SamePieces(None)
    kept = torch.tensor([3, 1])
    assert SamePieces(None).of_trimmed(None) is None
    assert SamePieces(None).of_trimmed(kept) is kept


@pytest.mark.parametrize(("teacher", "other"), [(MPNET, BERT), (BERT, MPNET)])
@given(text=st.text(alphabet=CHARACTERS, max_size=60))
def test_the_ids_of_a_text_are_the_teachers(teacher, other, text):
    found = same_pieces(teacher, other, pairs=True)
    assert found is not None
    assert found.ids[other(text)["input_ids"]].tolist() == teacher(text)["input_ids"]
    assert found.ids[other(text, "a b")["input_ids"]].tolist() == teacher(text, "a b")["input_ids"]


def test_special_tokens_stand_for_those_of_the_same_role():
    ids = same_pieces(MPNET, BERT).ids
    for role in ("pad", "unk", "cls", "sep", "mask"):
        assert ids[getattr(BERT, f"{role}_token_id")] == getattr(MPNET, f"{role}_token_id")
    assert len(set(ids.tolist())) == len(BERT)


def test_a_trimmed_student_has_the_ids_of_the_pieces_that_it_kept():
    found = same_pieces(MPNET, BERT)
    kept = torch.tensor([0, 7, 40])
    assert found.of_trimmed(kept).tolist() == found.ids[[0, 7, 40]].tolist()
    assert found.of_trimmed(None) is found.ids


def test_what_is_between_two_texts_counts_for_pairs_alone():
    roberta = renamed(BERT, between=2)
    assert same_pieces(roberta, BERT) is not None
    assert same_pieces(roberta, BERT, pairs=True) is None


def without_a_piece(tree):
    del tree["model"]["vocab"]["river"]


def with_another_normalizer(tree):
    tree["normalizer"]["lowercase"] = False


def with_another_splitter(tree):
    tree["pre_tokenizer"] = {"type": "WhitespaceSplit"}


def with_shorter_words(tree):
    tree["model"]["max_input_chars_per_word"] = 5


def without_an_end(tree):
    tree["post_processor"]["single"].pop()


def with_an_added_word(tree):
    last = len(tree["model"]["vocab"])
    token = {"id": last, "content": "young woman", "special": False, "single_word": False, "lstrip": False, "rstrip": False}
    tree["added_tokens"].append({**token, "normalized": True})


@pytest.mark.parametrize(
    "change",
    [
        without_a_piece,
        with_another_normalizer,
        with_another_splitter,
        with_shorter_words,
        without_an_end,
        with_an_added_word,
    ],
)
def test_whatever_cuts_another_way_is_another_tokenizer(change):
    assert same_pieces(changed(MPNET, lambda tree: None), BERT) is not None
    assert same_pieces(changed(MPNET, change), BERT) is None


def bpe(merges, ids=("a", "b", "c", "ab", "abc", "bc")):
    vocabulary = {"<s>": 0, **{piece: index for index, piece in enumerate(ids, 1)}}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE(vocabulary, merges, unk_token="<s>")), unk_token="<s>")


def test_byte_pairs_are_merged_in_the_same_order():
    first = bpe([("a", "b"), ("ab", "c"), ("b", "c")])
    again = bpe([("a", "b"), ("ab", "c"), ("b", "c")], ("bc", "abc", "ab", "c", "b", "a"))
    assert same_pieces(first, again).ids[again("abcbc")["input_ids"]].tolist() == first("abcbc")["input_ids"]
    assert same_pieces(first, bpe([("b", "c"), ("a", "b"), ("ab", "c")])) is None


def unigram(scores):
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), *scores], unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


def test_pieces_of_a_unigram_model_have_the_same_scores():
    scores = [("▁", -1.0), ("a", -2.0), ("b", -3.0), ("ab", -4.0)]
    first, again = unigram(scores), unigram(scores[::-1])
    assert same_pieces(first, again).ids[again("ab b")["input_ids"]].tolist() == first("ab b")["input_ids"]
    assert same_pieces(first, unigram([*scores[:3], ("ab", -9.0)])) is None


def test_a_piece_that_the_teacher_has_no_role_for_is_unknown_to_it():
    """[CLS] has no counterpart where the teacher puts nothing before a text, and nothing is compared there."""
    words = tiny.tokenizer("bert")
    words.add_special_tokens({"additional_special_tokens": ["[ENTITY]"]})
    ids = same_pieces(MPNET, words).ids
    assert ids[words.convert_tokens_to_ids("[ENTITY]")] == MPNET.unk_token_id


def test_token_types_go_where_they_are_read():
    batch = {name: torch.zeros(1, 3, dtype=torch.long) for name in ("input_ids", "attention_mask", "token_type_ids")}
    typed, untyped = (tiny.sentence_transformer(family)[0].auto_model for family in ("bert", "mpnet"))
    assert set(as_read(typed, batch, None)) == set(batch)
    assert set(as_read(untyped, batch, None)) == {"input_ids", "attention_mask"}
    untyped(**as_read(untyped, batch, None))


def test_settings_that_a_call_leaves_behind_are_no_difference():
    again = tiny.tokenizer()
    again.pad_token_id, again.padding_side = again.pad_token_id, "left"
    again(["a", "a b"], padding=True, truncation=True, max_length=5)
    assert same_pieces(tiny.tokenizer(), again).ids is None
    again.add_tokens(["qqqq"])
    assert same_pieces(tiny.tokenizer(), again) is None
