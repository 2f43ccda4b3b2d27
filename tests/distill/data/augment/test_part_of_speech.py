"""Words of the same part of speech: drawn as often as the corpus has them, put in without a trace of damage."""

from __future__ import annotations

import pickle
import random
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.data.augment import tag_words
from distill.data.augment.edits import Edit, rewrite
from distill.data.augment.kiwi import KoreanTagger
from distill.data.augment.part_of_speech import PartOfSpeechMethod
from distill.data.augment.tag_words import TagWords, reservoir, sounds_like_vowel
from distill.data.augment.taggers import TaggedWord
from distill.data.augment.words import find_words
from distill.errors import DataError, UserError


class Toy:
    """Capitals are names, words in -s plurals, the others nouns; `the` has no tag."""

    name = "toy"

    def tag(self, texts):
        return [[self._one(word) for word in find_words(text) if word.text not in ("the", "a", "an")] for text in texts]

    def _one(self, word):
        tag = "NNP" if word.text[0].isupper() else "NNS" if word.text.endswith("s") else "NN"
        return TaggedWord(word.text, word.start, word.end, tag, drawn=word.text != "never")


CORPUS = ["the cat saw Kim", "cats see dogs", "the dog saw Lee", "the never cat"]


def method(p=1.0, corpus=CORPUS):
    made = PartOfSpeechMethod(Toy(), p=p)
    made.fit(corpus)
    return made


def draws(method, text, count=400):
    (plan,) = method.prepare([text])
    return [plan.draw(random.Random(seed)) for seed in range(count)]


def test_a_word_gives_way_to_one_of_its_own_kind():
    nouns = {"cat", "saw", "see", "dog"}
    for text, changed in draws(method(), "the bird, bees (Ann)!"):
        noun, plural, name = re.fullmatch(r"the (\w+), (\w+) \((\w+)\)!", text).groups()
        assert noun in nouns
        assert plural in {"cats", "dogs"}
        assert name in {"Kim", "Lee"}
        assert changed == 3


def test_drawn_as_often_as_the_corpus_has_them():
    words = TagWords({"NN": Counter(cat=6, dog=3, cow=1)})
    rng = random.Random(1)
    drawn = Counter(words.draw("NN", rng) for _ in range(10_000))
    assert drawn["cat"] == pytest.approx(6000, abs=250)
    assert drawn["cow"] == pytest.approx(1000, abs=150)
    assert words.draw("VB", rng) is None
    assert words.words("NN") == ["cat", "dog", "cow"]


def test_a_word_may_be_drawn_for_itself_and_counts_as_unchanged():
    results = draws(method(corpus=["cat", "dog"]), "cat")
    assert set(results) == {("cat", 0), ("dog", 1)}


def test_the_word_after_an_article_suits_it():
    corpus = ["apple tree hour unit egg bird"] * 3
    for text, _ in draws(method(corpus=corpus), "a stone and an arm, an Arm"):
        first, second = re.match(r"a (\w+) \w+ an (\w+),", text).groups()
        assert not sounds_like_vowel(first)
        assert sounds_like_vowel(second)


@pytest.mark.parametrize(("word", "vowel"), [("apple", True), ("Hour", True), ("unit", False), ("one", False), ("house", False)])
def test_an_or_a(word, vowel):
    assert sounds_like_vowel(word) == vowel


def test_case_and_everything_between_words_stay():
    (text, changed), *_ = draws(method(corpus=["tree"]), "  Bird,\tCAT—dog\u3000x_y <b>!\n")
    assert (text, changed) == ("  Bird,\tCAT—tree\u3000x_y <b>!\n", 1)  # the corpus has no names
    assert draws(method(corpus=["Kim"]), "ANN")[0] == ("KIM", 1)


@given(st.text(max_size=60), st.integers())
def test_without_chance_the_text_comes_back(text, seed):
    (plan,) = method(p=0.0).prepare([text])
    assert plan.draw(random.Random(seed)) == (text, 0)


@given(st.text(st.sampled_from([*"abS \n.,-'_1🙂"]), max_size=60), st.integers(0, 99))
def test_untouched_bytes_and_determinism(text, seed):
    (plan,) = method(p=0.5).prepare([text])
    made, changed = plan.draw(random.Random(seed))
    assert plan.draw(random.Random(seed)) == (made, changed)
    assert bool(changed) == (made != text)
    assert changed <= plan.words
    assert gaps(made) == gaps(text)


def gaps(text):
    place, found = 0, []
    for word in find_words(text):
        found.append(text[place : word.start])
        place = word.end
    return [*found, text[place:]]


def test_only_the_seed_and_the_text_decide():
    texts = ["cats see", "bird", "Ann saw dogs"]
    together = [plan.draw(random.Random(3)) for plan in method().prepare(texts)]
    assert together == [method().prepare([text])[0].draw(random.Random(3)) for text in texts]


def test_korean_particles_agree_with_the_new_noun():
    made = PartOfSpeechMethod(KoreanTagger(), p=1.0)
    made.fit(["책이 좋다", "음악을 듣는다", "소설은 길다", "조용한 방", "정말 길다"])
    for text, _ in draws(made, "나는 영화를 보고 노래가 나왔다", 50):
        match = re.fullmatch(r"나는 (책을|음악을|소설을|방을) 보고 (책이|음악이|소설이|방이) 나왔다", text)
        assert match, text
    assert {text for text, _ in draws(made, "그건 영화였다", 50)} == {
        f"그건 {noun}이었다" for noun in ("책", "음악", "소설", "방")
    }


def test_korean_verbs_keep_their_stems():
    made = PartOfSpeechMethod(KoreanTagger(), p=1.0)
    made.fit(["친구를 사랑했다", "영화를 추천합니다", "책을 생각하며"])
    assert {text for text, _ in draws(made, "조용히 공부했다", 80)} == {f"조용히 {verb}했다" for verb in ("사랑", "추천", "생각")}


def test_no_word_of_the_corpus_is_known():
    with pytest.raises(DataError, match="no word"):
        PartOfSpeechMethod(Toy()).fit(["1 2", ""])
    with pytest.raises(DataError, match="no word"):
        PartOfSpeechMethod(Toy()).fit([])


def test_fit_comes_first():
    with pytest.raises(UserError, match="no corpus"):
        PartOfSpeechMethod(Toy()).prepare(["cat"])


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_what_is_no_probability(p):
    with pytest.raises(UserError, match="no probability"):
        PartOfSpeechMethod(Toy(), p=p)


def test_a_plan_can_be_sent_to_a_worker():
    (plan,) = method().prepare(["the bird"])
    assert pickle.loads(pickle.dumps(plan)).draw(random.Random(1)) == plan.draw(random.Random(1))


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(tag_words, "WORDS_PER_TAG", 10)
    corpus = [f"often w{chr(97 + i)}{chr(97 + j)}" for i in range(26) for j in range(26)]
    words = TagWords.of(corpus, Toy())
    assert words.words("NN")[0] == "often"
    assert len(words.words("NN")) == 10


def test_a_reservoir_is_even_and_keeps_the_order():
    assert reservoir(range(5), 9) == [0, 1, 2, 3, 4]
    kept = reservoir(range(10_000), 500)
    assert len(kept) == 500
    assert kept == sorted(set(kept))
    assert 4500 < sum(kept) / 500 < 5500


def test_rewrite():
    edits = [Edit(0, 1, "X"), Edit(4, 6, ""), Edit(8, 9, "YY")]
    assert rewrite("abcdefghij", edits) == "XbcdghYYj"
    assert rewrite("abcdefghij", edits, 3, 8) == "dgh"
    assert rewrite("abc", []) == "abc"
