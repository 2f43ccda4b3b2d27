"""Words replaced by a masked LM: what comes in, what stays, the published algorithm, and one result in any batch."""

from __future__ import annotations

import pickle
import random
import re
import unicodedata

import numpy as np
import pytest
import tiny
import tiny_mlm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForMaskedLM, AutoTokenizer

from distill.data.augment.base import Example, Rng
from distill.data.augment.masked_lm import MaskedLMMethod
from distill.data.augment.pairs import Augmenter
from distill.data.augment.stop_words import STOP_WORDS
from distill.data.augment.vectors import WordVectors
from distill.errors import ModelError, UserError


def candidates(method, text):
    (plan,) = method.prepare([text])
    return {word.text: set(words) for word, words in plan.slots}


@pytest.fixture(scope="module")
def english():
    return str(tiny_mlm.english())


@pytest.fixture(scope="module")
def korean():
    return str(tiny_mlm.korean())


@pytest.fixture(scope="module")
def random_lm(tmp_path_factory):
    return str(tiny_mlm.write(tmp_path_factory.mktemp("lm")))


@pytest.mark.parametrize("rows", ["word", "sentence"])
@pytest.mark.parametrize("sees_original", [True, False])
def test_a_trained_model_gives_words_of_the_same_place(english, rows, sees_original):
    method = MaskedLMMethod(english, candidates=4, rows=rows, sees_original=sees_original)
    found = candidates(method, "the red dog walks home .")
    assert found["red"] == set(tiny_mlm.COLOURS)
    assert found["dog"] == set(tiny_mlm.ANIMALS)
    assert found["walks"] == {"walks", "runs", "comes", "goes"}
    assert "the" not in found


def test_capitals_and_everything_between_stay(english):
    method = MaskedLMMethod(english, candidates=4, p=1.0)
    (plan,) = method.prepare(["The RED  dog\twalks home."])
    for seed in range(20):
        text, changed = plan.draw(random.Random(seed))
        found = re.fullmatch(r"The (\w+)  (\w+)\t(\w+) (\w+)\.", text)
        assert found is not None
        assert found[1].lower() in tiny_mlm.COLOURS
        assert found[1].isupper()
        assert found[2] in tiny_mlm.ANIMALS
        assert changed == sum(a != b for a, b in zip(found.groups(), ("RED", "dog", "walks", "home"), strict=True))


def test_a_possessive_keeps_its_ending(english):
    method = MaskedLMMethod(english, candidates=3, p=1.0)
    (plan,) = method.prepare(["the dog's home"])
    assert "dog" in [word.text for word, _ in plan.slots]
    assert all("'s home" in plan.draw(random.Random(seed))[0] or "'s " in plan.draw(random.Random(seed))[0] for seed in range(5))


@pytest.mark.parametrize("rows", ["word", "sentence"])
def test_a_korean_noun_keeps_its_particle(korean, rows):
    found = candidates(MaskedLMMethod(korean, candidates=2, rows=rows), "학생은 오늘 영화를 보았다.")
    assert found["학생"] == {"학생", "감독"}  # the two people that end in a consonant
    assert found["보았다"] == {"보았다", "좋아했다"}
    assert "영화" in found  # 를 stays


def test_a_korean_stem_with_an_ending_is_left_alone(tmp_path):
    words = ["영화", "만드", "##를", "##는데", "감독"]
    method = MaskedLMMethod(str(tiny_mlm.write(tmp_path, tiny_mlm.wordpiece(words))), candidates=9)
    assert set(candidates(method, "영화를 만드는데")) == {"영화"}


def test_words_of_more_pieces_take_neighbours_or_stay(english):
    table = WordVectors(["poodle", "terrier", "spaniel"], np.array([[1, 0], [1, 0.1], [1, 0.3]], np.float32))
    assert "Poodle" not in candidates(MaskedLMMethod(english), "the red Poodle walks")
    found = candidates(MaskedLMMethod(english, vectors=table, candidates=2), "the red Poodle walks")
    assert found["Poodle"] == {"Terrier", "Spaniel"}
    assert "red" in found


@pytest.mark.parametrize("make", [tiny_mlm.byte_level, tiny_mlm.unigram])
def test_tokenizers_that_mark_beginnings(tmp_path, make):
    words = [*sorted({word for text in tiny_mlm.ENGLISH for word in text.split()}), *tiny_mlm.NOUNS]
    family = "roberta" if make is tiny_mlm.byte_level else "xlm-roberta"
    folder = tiny_mlm.write(tmp_path, make(words), family, texts=tiny_mlm.ENGLISH, steps=120)
    for rows in ("word", "sentence"):
        method = MaskedLMMethod(str(folder), candidates=4, rows=rows)
        found = candidates(method, "the red dog (cat) walks home .")
        assert found["red"] == set(tiny_mlm.COLOURS)
        assert found["dog"] == set(tiny_mlm.ANIMALS)
        assert all(re.fullmatch("[a-z]+", word) for words in found.values() for word in words)
        assert "학생" in candidates(method, "the 학생 walks")


def plain_published(folder, sentence, count):
    """TinyBERT's candidates, a word at a time, from the description: no offsets, no batches, no gathering."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForMaskedLM.from_pretrained(folder).eval()
    plain = "".join(char for char in unicodedata.normalize("NFD", sentence.lower()) if unicodedata.category(char) != "Mn")
    words = re.findall(r"[^\W_]+|[^\w\s]|_", plain)
    found = []
    for index, word in enumerate(words):
        if not re.fullmatch("[a-z]+", word) or word in STOP_WORDS or len(tokenizer.tokenize(word)) != 1:
            continue
        masked = [*words[:index], "[MASK]", *words[index + 1 :]]
        first = ["[CLS]", *(piece for other in masked for piece in tokenizer.tokenize(other)), "[SEP]"]
        second = [*(piece for other in words for piece in tokenizer.tokenize(other)), "[SEP]"]
        ids = torch.tensor([tokenizer.convert_tokens_to_ids(first + second)])
        segments = torch.tensor([[0] * len(first) + [1] * len(second)])
        logits = model(input_ids=ids, token_type_ids=segments).logits[0, first.index("[MASK]")]
        best = tokenizer.convert_ids_to_tokens(torch.argsort(logits, descending=True)[:count].tolist())
        if kept := {piece for piece in best if not piece.startswith("##")}:
            found.append((word, kept))
    return found


def test_the_published_candidates_word_for_word(random_lm):
    method = MaskedLMMethod(random_lm, published=True, rows="word", candidates=15)
    texts = [*tiny.ENGLISH[:12], "Won't the DOG (waits) near_by? A café.", "Read,read the book's rain"]
    for text, plan in zip(texts, method.prepare(texts), strict=True):
        assert [(word.text.lower(), set(words)) for word, words in plan.slots] == plain_published(random_lm, text, 15)
        assert all(word.text == text[word.start : word.end] for word, _ in plan.slots)


def test_published_needs_wordpieces(tmp_path):
    folder = tiny_mlm.write(tmp_path, tiny_mlm.byte_level(["dog"]), "roberta")
    with pytest.raises(ModelError, match="tokenizer"):
        MaskedLMMethod(str(folder), published=True, rows="word")


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(["dog", "Red", "the", "walks", "won't", " ", "\n", "!", "é", "🙂", "x_1", "책을", "\ufeff", "CAT"]))
)
def test_any_text_keeps_its_bytes_between(parts):
    method = _shared(str(tiny_mlm.english()))
    text = "".join(parts)
    if not text.strip():
        return
    (plan,) = method.prepare([text])
    for word, words in plan.slots:
        assert text[word.start : word.end] == word.text
        assert all(words)
    new, changed = plan.draw(random.Random(3))
    place = 0
    for word, words in plan.slots:  # what is between two slots stands between what replaced them
        between = text[place : word.start]
        assert new.startswith(between)
        new = new[len(between) :]
        choice = max((one for one in (*words, word.text) if new.startswith(one)), key=len)
        new, place = new[len(choice) :], word.end
    assert new == text[place:]
    assert 0 <= changed <= len(plan.slots)


_METHODS: dict[str, MaskedLMMethod] = {}


def _shared(folder):
    if folder not in _METHODS:
        _METHODS[folder] = MaskedLMMethod(folder, candidates=5, p=0.7)
    return _METHODS[folder]


def test_p_of_zero_gives_the_original(random_lm):
    (plan,) = MaskedLMMethod(random_lm, p=0.0).prepare([tiny.ENGLISH[0]])
    assert plan.draw(random.Random(0)) == (tiny.ENGLISH[0], 0)


def test_with_the_augmenter(english):
    augmenter = Augmenter(MaskedLMMethod(english, candidates=4), variants=20)
    rows = [Example("the red dog walks home .", "the cat runs home .", label=1), Example(" "), Example("word " * 2500)]
    made = augmenter.augment(rows, Rng(1))
    assert made == augmenter.augment(rows, Rng(1))
    assert made[0] == rows[0]
    assert [example.text for example in made if example.variant == 0] == [row.text for row in rows]
    assert all((example.text == rows[0].text) != (example.text_pair == rows[0].text_pair) for example in made[1:-2])
    assert len(made) > 20


def test_it_travels_to_other_processes(english):
    method = MaskedLMMethod(english, candidates=3)
    again = pickle.loads(pickle.dumps(method))
    assert again.prepare(tiny_mlm.ENGLISH[:3]) == method.prepare(tiny_mlm.ENGLISH[:3])
    assert len(pickle.dumps(method)) < 2000


def test_candidates_are_kept(english, monkeypatch, tmp_path):
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path))
    first = MaskedLMMethod(english).prepare(tiny_mlm.ENGLISH[:4])
    again = MaskedLMMethod(english)
    monkeypatch.setattr(again._model, "likeliest", lambda *given: pytest.fail("asked again"))
    assert again.prepare(tiny_mlm.ENGLISH[:4]) == first
    other = MaskedLMMethod(english, sees_original=False)
    assert other._cache.path != again._cache.path
    assert MaskedLMMethod(english, batch_tokens=7, p=0.1)._cache.path == again._cache.path


def test_nothing_is_kept_without_a_cache(english, monkeypatch, tmp_path):
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path))
    MaskedLMMethod(english, cache=False).prepare(tiny_mlm.ENGLISH[:2])
    assert not list(tmp_path.iterdir())


def test_a_model_without_a_head(tmp_path):
    with pytest.raises(ModelError, match="masked-LM head") as caught:
        MaskedLMMethod(str(tiny.write_encoder(tmp_path)))
    assert "klue/bert-base" in str(caught.value)


def test_a_tokenizer_without_a_mask(tmp_path):
    folder = tiny_mlm.write(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.mask_token = None
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match="mask token"):
        MaskedLMMethod(str(folder))


def test_a_model_that_is_not_there():
    with pytest.raises(ModelError, match="no such folder"):
        MaskedLMMethod("./nowhere")


@pytest.mark.parametrize(
    "options",
    [{"p": 1.5}, {"published": True}, {"candidates": 0}, {"batch_tokens": 0}, {"rows": "all"}, {"precision": "fp64"}],
    ids=lambda options: next(iter(options)),
)
def test_arguments_out_of_range(options):
    with pytest.raises(UserError) as caught:
        MaskedLMMethod("unused", **options)
    assert next(iter(options)) in str(caught.value)
