"""Tags on tokens, and back to words."""

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.data.examples import LabelSet, TokenExamples
from distill.data.token_features import TokenFeatures
from distill.errors import ModelError

LABELS = LabelSet(("O", "B-x", "I-x", "B-y", "I-y"))
TOKENIZER = tiny.tokenizer()
WORDS = ["book", "electricity", "unknownlongword", "책을", "park", "?", "qz7", "doctor."]
sentences = st.lists(
    st.lists(st.tuples(st.sampled_from(WORDS), st.integers(0, 4)), min_size=1, max_size=12), min_size=1, max_size=5
)


def guess(features, index):
    """What a model that knows every tag says; on tokens without one it says B-y."""
    labels = features[index]["labels"]
    return np.where(labels < 0, 3, labels)


@settings(deadline=None)
@given(sentences)
def test_the_first_token_of_a_word_has_its_tag_and_the_tags_come_back(rows):
    words, tags = [[word for word, _ in row] for row in rows], [[tag for _, tag in row] for row in rows]
    features = TokenFeatures(TokenExamples(words, tags), TOKENIZER, 256, LABELS)
    for index, row in enumerate(rows):
        item = features[index]
        expected, ids = [-100], [TOKENIZER.cls_token_id]
        for word, tag in row:
            pieces = TOKENIZER(word, add_special_tokens=False)["input_ids"]
            expected += [tag, *[-100] * (len(pieces) - 1)]
            ids += pieces
        assert item["input_ids"].tolist() == [*ids, TOKENIZER.sep_token_id]
        assert item["labels"].tolist() == [*expected, -100]
        assert item["row"] == index
        assert features.to_words(index, guess(features, index)) == tags[index]
        padded = np.r_[guess(features, index), [1] * 5]
        assert features.to_words(index, padded) == tags[index], "padding changes nothing"
    assert features.lengths.tolist() == [len(features[index]["input_ids"]) for index in range(len(rows))]
    assert (features.truncated, features.empty, features.hidden) == (0, 0, 0)


def test_words_beyond_the_limit_are_counted_and_outside():
    features = TokenFeatures(TokenExamples([["a", "b", "c", "d", "e"], ["a"]], [[1] * 5, [1]]), TOKENIZER, 5, LABELS)
    assert features.truncated == 2
    assert features.word_rows[0].tolist() == [1, 2, 3, -1, -1]
    assert features.to_words(0, guess(features, 0)) == [1, 1, 1, 0, 0]
    assert features.lengths.tolist() == [5, 3]


def test_a_word_without_tokens_is_counted_and_outside():
    features = TokenFeatures(TokenExamples([["a", "\u200d", "b"]], [[1, 2, 2]]), TOKENIZER, 9, LABELS)
    assert features.word_rows[0].tolist() == [1, -1, 2]
    assert (features.empty, features.truncated) == (1, 0)
    assert features[0]["labels"].tolist() == [-100, 1, 2, -100]
    assert features.to_words(0, guess(features, 0)) == [1, 0, 2]


def characters(text, tags):
    return TokenExamples([list(text)], [[LABELS.names.index(tag) for tag in tags.split()]], space=False)


def test_characters_are_tokenized_as_the_text_they_make():
    """`book` and `park` are tokens of the vocabulary: the characters behind the first go on with its tag."""
    tags = "B-x I-x I-x I-x I-x I-x I-x I-x I-x O"
    features = TokenFeatures(characters("book park.", tags), TOKENIZER, 16, LABELS)
    assert features[0]["input_ids"].tolist() == TOKENIZER("book park.")["input_ids"]
    assert features[0]["labels"].tolist() == [-100, 1, 2, 0, -100]
    assert features.word_rows[0].tolist() == [1, 1, 1, 1, -1, 2, 2, 2, 2, 3]
    assert features.to_words(0, guess(features, 0)) == [1, *[2] * 8, 0], "the space goes on with the entity around it"
    assert features.to_words(0, [0, 1, 1, 0, 0]) == [1, 2, 2, 2, 0, 1, 2, 2, 2, 0], "and not with one that ends before it"
    assert features.to_words(0, [0, 0, 2, 0, 0]) == [0, 0, 0, 0, 0, 2, 2, 2, 2, 0]
    assert features.hidden == 0


def test_a_character_of_several_tokens_has_its_tag_on_the_first():
    pieces = TOKENIZER("책", add_special_tokens=False)["input_ids"]
    assert len(pieces) > 1
    features = TokenFeatures(characters("책 a", "B-x I-x I-x"), TOKENIZER, 16, LABELS)
    assert features[0]["labels"].tolist() == [-100, 1, *[-100] * (len(pieces) - 1), 2, -100]
    assert features.to_words(0, guess(features, 0)) == [1, 2, 2]


def test_several_spaces_inside_an_entity():
    features = TokenFeatures(characters("book  park", "B-x " + "I-x " * 9), TOKENIZER, 16, LABELS)
    assert features.to_words(0, guess(features, 0)) == [1, *[2] * 9]


def test_tags_that_change_inside_a_token_are_counted():
    features = TokenFeatures(characters("book", "B-x I-x O O"), TOKENIZER, 16, LABELS)
    assert features.hidden == 1
    assert features.to_words(0, guess(features, 0)) == [1, 2, 2, 2]


def test_characters_beyond_the_limit_are_counted():
    features = TokenFeatures(characters("book park book", "O " * 14), TOKENIZER, 4, LABELS)
    assert (features.truncated, features.empty) == (4, 0)
    assert features.to_words(0, [0, 1, 1, 0])[-5:] == [0] * 5


def test_sentences_without_tags_have_no_labels():
    assert "labels" not in TokenFeatures(TokenExamples([["a"]]), TOKENIZER, 8, LABELS)[0]


def test_a_tokenizer_that_cannot_align_is_refused():
    class Slow:
        is_fast, name_or_path = False, "old"

    with pytest.raises(ModelError, match="old: this tokenizer cannot tell"):
        TokenFeatures(TokenExamples([["a"]]), Slow(), 8, LABELS)
