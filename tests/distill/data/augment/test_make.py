"""From a recipe's words to an augmenter: names, settings, mask tokens, and keys that know what decides the variants."""

from __future__ import annotations

import pickle
import typing
from types import SimpleNamespace

import pytest
import tiny

from distill import recipe_augment
from distill.data.augment import pairs
from distill.data.augment.base import Example, Rng
from distill.data.augment.make import maker_for, mask_word, needs_mask, settings_key, spec_of
from distill.errors import DataError, ModelError, UserError

ENGLISH = [sentence for sentence in tiny.SENTENCES if sentence.isascii()][:40]
KOREAN = [sentence for sentence in tiny.SENTENCES if not sentence.isascii()][:20]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("make")
    tiny.write_masked_lm(folder / "masked", layers=2)
    tiny.write_encoder(folder / "encoder", layers=2)
    words = ["young", "old", "tired", "small", "book", "park", "rice", "stage"]
    lines = [f"{word} {number}.0 {number % 3}.5 1.0" for number, word in enumerate(words)]
    tiny.write_lines(folder / "words.vec", lines)
    return folder


def settings(method, place):
    return {
        "masked_lm": {"model": str(place / "masked")},
        "word_vectors": {"vectors": str(place / "words.vec"), "candidates": 2},
        "tang": {},
        "masking": {"p": 0.3},
        "part_of_speech": {"p": 0.5},
        "ngrams": {"p": 0.9},
    }[method]


def test_pair_modes_are_those_of_the_code():
    assert typing.get_args(recipe_augment.PairMode) == typing.get_args(pairs.PairMode)


@pytest.mark.parametrize("method", recipe_augment.METHODS)
def test_every_method_is_made_and_made_again_elsewhere(method, place):
    spec = spec_of(method, {"variants": 4, **settings(method, place)})
    maker = maker_for(spec, lambda: ENGLISH, "[MASK]")
    examples = [Example(text, row=row) for row, text in enumerate(ENGLISH[:8])]
    augmenter = maker()
    made = augmenter.augment(examples, Rng(3))
    assert augmenter.name == method
    assert len(made) > len(examples)
    assert [example.text for example in made if not example.variant] == ENGLISH[:8]
    again = pickle.loads(pickle.dumps(maker))
    assert again.key() == maker.key()
    assert again().augment(examples, Rng(3)) == made


def test_korean_text_gets_a_korean_tagger():
    maker = maker_for(spec_of("part_of_speech", {"p": 1.0}), lambda: KOREAN)
    assert maker.tagger == "korean"
    assert any(example.variant for example in maker().augment([Example(KOREAN[0])], Rng(1)))


@pytest.mark.parametrize(
    ("method", "values", "words"),
    [
        ("tagn", {}, ["tagn", "did you mean 'tang'"]),
        ("vocabulary_mix", {}, ["no such method", "masked_lm"]),
        ("ngrams", {"prob": 1}, ["unknown setting 'prob'", "longest"]),
        ("ngrams", {"variant": 1}, ["unknown setting 'variant'", "did you mean 'variants'"]),
        ("masked_lm", {}, ["'model' is missing"]),
        ("tang", {"p_mask": 0.8, "p_pos": 0.4}, ["at most 1 together"]),
        ("tang", {"p_mask": 2, "longest": 0}, ["p_mask: ", "longest: "]),
    ],
)
def test_settings_that_are_none(method, values, words):
    with pytest.raises(UserError) as caught:
        spec_of(method, values)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("method", "values", "kind", "words"),
    [
        ("masked_lm", {"model": "encoder"}, ModelError, "masked-LM head"),
        ("masked_lm", {"model": "./nowhere"}, ModelError, "no such folder"),
        ("word_vectors", {"vectors": "word.vec"}, DataError, "words.vec"),
        ("part_of_speech", {"tagger": "korean"}, DataError, "korean"),
        ("part_of_speech", {"tagger": "latin"}, UserError, "no such tagger"),
        ("masking", {}, UserError, "mask token"),
        ("tang", {}, UserError, "mask token"),
    ],
)
def test_what_cannot_be_made(method, values, kind, words, place, monkeypatch):
    monkeypatch.chdir(place)
    with pytest.raises(kind, match=words):
        maker_for(spec_of(method, values), lambda: ENGLISH)()


def test_an_empty_corpus_has_no_parts_of_speech():
    with pytest.raises(DataError, match="nothing to augment"):
        maker_for(spec_of("part_of_speech", {}), lambda: [])


def tokenizer(mask, *special):
    return SimpleNamespace(mask_token=mask, all_special_tokens=[*special, mask])


def test_the_mask_word_is_one_that_every_model_knows():
    tang = spec_of("tang", {})
    assert mask_word(tang, {"teacher": tokenizer("[MASK]"), "student": tokenizer("<mask>", "[MASK]")}) == "[MASK]"
    with pytest.raises(ModelError, match="different mask tokens") as caught:
        mask_word(tang, {"teacher": tokenizer("[MASK]"), "student": tokenizer("<mask>")})
    assert "p_mask" in str(caught.value.hint)
    with pytest.raises(ModelError, match="no mask token") as caught:
        mask_word(spec_of("masking", {}), {"teacher": tokenizer(None)})
    assert "another" in str(caught.value.hint)


def test_methods_that_hide_nothing_need_no_mask_word():
    for spec in (spec_of("tang", {"p_mask": 0}), spec_of("ngrams", {})):
        assert not needs_mask(spec)
        assert mask_word(spec, {"teacher": tokenizer(None)}) is None


def test_keys_know_files_and_settings(place, tmp_path):
    vectors = tmp_path / "v.vec"
    vectors.write_bytes((place / "words.vec").read_bytes())
    plain = settings_key(spec_of("word_vectors", {"vectors": str(vectors)}))
    assert plain == settings_key(spec_of("word_vectors", {"vectors": str(vectors), "labels": "copy"}))
    assert plain != settings_key(spec_of("word_vectors", {"vectors": str(vectors), "p": 0.1}))
    vectors.write_text("a 1 2 3\nb 1 0 1\n", "utf-8")
    assert plain != settings_key(spec_of("word_vectors", {"vectors": str(vectors)}))
    masked = {"model": str(place / "masked")}
    assert settings_key(spec_of("masked_lm", masked)) == settings_key(spec_of("masked_lm", {**masked, "batch_tokens": 99}))
    assert settings_key(spec_of("masked_lm", masked)) != settings_key(spec_of("masked_lm", {"model": str(place / "encoder")}))
