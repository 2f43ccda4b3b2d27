"""Taggers: which words, which class, what is left alone; which tagger for which text."""

from __future__ import annotations

import builtins
import pickle
import sys
import types
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.data.augment.english import EnglishTagger, SpacyTagger, _spacy
from distill.data.augment.kiwi import KoreanTagger
from distill.data.augment.taggers import ByScript, TaggedWord, letters, load_tagger, shares
from distill.errors import DataError, MissingExtra, ModelError, UserError

ENGLISH = "Our teacher slowly reads an old book to the children, and they like John's voice."
KOREAN = "우리 선생님은 저녁마다 아이들에게 오래된 책을 천천히 읽어 주신다."
GERMAN = "Der Lehrer liest den Kindern jeden Abend aus einem alten Buch vor und alle hören ihm gerne zu."


def tags(tagger, text):
    return {word.text: word.tag for word in tagger.tag([text])[0]}


def test_english_parts_of_speech():
    found = tags(EnglishTagger(), ENGLISH)
    assert found["teacher"] == found["book"] == found["voice"] == "NN1"
    assert (found["slowly"], found["reads"], found["old"], found["children"]) == ("AV0", "VVZ", "AJ0", "NN2")
    assert (found["they"], found["John"]) == ("PNP/subject", "NP0")


def test_english_words_that_stay():
    text = "An owl won't see a mouse_1 at https://a.b or say 안녕 café's x."
    assert "An" not in (found := tags(EnglishTagger(), text))
    assert not {"a", "wo", "won", "won't", "mouse_1", "mouse", "https", "안녕", "x", "s"} & set(found)
    assert {"owl", "see"} <= set(found)


def test_a_sentence_may_start_anywhere():
    found = tags(EnglishTagger(), "We went home. Houses are old.")
    assert found["Houses"] == "NN2"


@pytest.mark.parametrize("text", ["", " ", "123 !!", "..", "'s", "안녕하세요", "日本語です"])
def test_english_passes_over_what_it_cannot_do(text):
    assert EnglishTagger().tag([text]) == [[]]


def test_very_long_words_take_no_time():
    text = f"{'ab' * 5000} {'안녕' * 5000} {'9' * 5000} good book"
    assert tags(EnglishTagger(), text) == {"good": "AJ0", "book": "NN1"}


@given(st.lists(st.text(max_size=40), max_size=3))
@settings(deadline=None, max_examples=60)
def test_english_words_lie_where_they_say(texts):
    check(EnglishTagger(), texts)


jamo = st.text(st.sampled_from([*"영화책배우가는을이다하고정말못 .!?ㅋ🙂a1", "\u1100", "\u1161"]), max_size=30)


@given(st.lists(jamo, max_size=3))
@settings(deadline=None, max_examples=60)
def test_korean_words_lie_where_they_say(texts):
    check(KoreanTagger(), texts)


def check(tagger, texts):
    for text, words in zip(texts, tagger.tag(texts), strict=True):
        place = 0
        for word in words:
            assert place <= word.start < word.end
            assert text[word.start : word.end] == word.text
            place = word.end + len(word.tail)
            assert text[word.end : place] == word.tail


def test_korean_nouns_come_with_what_has_to_agree():
    (words,) = KoreanTagger().tag(["그 가수는 학생이었지만 지금은 유명한 감독이다"])
    found = {word.text: (word.tail, word.tail_tag, word.tag) for word in words}
    assert found["가수"] == ("는", "JX", "NNG")
    assert found["학생"] == ("이었지만", "VCP", "NNG")
    assert found["감독"] == ("이다", "VCP", "NNG")
    assert found["유명"] == ("", "", "하/XSA")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("노래를 정말 못 부른다", {"노래": "NNG", "정말": "MAG", "못": "MAG/not"}),
        ("친구들이랑 도서관에서 공부했다", {"친구": "NNG", "도서관": "NNG", "공부": "하/XSV"}),
        ("감동적인 음악", {"감동적": "적/XSN", "음악": "NNG"}),
        ("겨울왕국이 재미있다", {"겨울왕국": "NNG"}),
        ("밥 먹기 전에 손을 씻는다", {"밥": "NNG", "손": "NNG"}),
        ("그것은 세 개였다", {}),
        ("아주 꼼꼼하게", {"아주": "MAG", "꼼꼼": "하/XSA"}),
        ("노래를 잘했지만 별로다", {"노래": "NNG"}),
        ("Netflix에서 봤다 abc영화1", {}),
    ],
)
def test_korean_classes(text, expected):
    assert tags(KoreanTagger(), text) == expected


@pytest.mark.parametrize(
    "text", ["", "  ", "no Korean here", "ㅋㅋㅋ", unicodedata.normalize("NFD", "노래를 부른다"), "これは本です"]
)
def test_korean_passes_over_what_it_cannot_do(text):
    assert KoreanTagger().tag([text]) == [[]]


def test_a_noun_fused_with_what_follows_stays():
    assert "영화" not in tags(KoreanTagger(), "그 영환 별로였다")


def test_nouns_that_are_put_elsewhere_stand_alone_with_their_particles():
    drawn = {word.text: word.drawn for word in KoreanTagger().tag(["음악이 좋고 여름음악은 더좋고 음악감상하고"])[0]}
    assert drawn["음악"]
    assert not drawn["여름음악"]


def test_a_replacement_agrees_and_keeps_the_case():
    assert TaggedWord("영화", 3, 5, "NNG", "를", "JKO").replaced("책") == (3, 6, "책을")
    assert TaggedWord("영화", 0, 2, "NNG", "다", "VCP").replaced("책") == (0, 3, "책이다")
    assert TaggedWord("House", 0, 5, "NN1").replaced("tree") == (0, 5, "Tree")
    assert TaggedWord("I", 4, 5, "PNP").replaced("they").new == "they"
    assert TaggedWord("I", 0, 1, "PNP").replaced("they").new == "They"
    assert TaggedWord("아직", 0, 2, "MAG", "은", "JX").replaced("여태").new == "여태는"


def test_a_slot_is_the_noun_and_its_particle():
    word, candidates = TaggedWord("영화", 3, 5, "NNG", "가", "JKS").slot(["음악", "노래"])
    assert (word.text, word.start, word.end, candidates) == ("영화가", 3, 6, ["음악이", "노래가"])


def test_auto_looks_at_the_scripts():
    assert isinstance(load_tagger("auto", [ENGLISH]), EnglishTagger)
    assert isinstance(load_tagger("auto", [KOREAN, "오늘 TV를 본다"] * 9), KoreanTagger | ByScript)
    assert isinstance(load_tagger("auto", [KOREAN]), KoreanTagger)
    assert isinstance(load_tagger("auto", [KOREAN, ENGLISH]), ByScript)
    assert isinstance(load_tagger("auto", ["1 2 3"]), ByScript)
    assert isinstance(load_tagger("auto", []), ByScript)


def test_each_text_goes_to_the_tagger_of_its_script():
    mixed = load_tagger("auto", [KOREAN, ENGLISH])
    texts = [ENGLISH, "", KOREAN, "12", "BTS의 노래는 정말 좋다"]
    english, korean = EnglishTagger(), KoreanTagger()
    assert mixed.tag(texts) == [*english.tag(texts[:1]), [], *korean.tag(texts[2:3]), [], *korean.tag(texts[4:])]


@pytest.mark.parametrize(
    ("name", "sample", "error"),
    [
        ("auto", ["これは本です", "日本語の文"], DataError),
        ("auto", ["Это не английский текст"], DataError),
        ("auto", [GERMAN] * 10, DataError),
        ("english", [KOREAN], DataError),
        ("korean", [ENGLISH], DataError),
        ("englisch", [ENGLISH], UserError),
    ],
)
def test_a_language_that_no_tagger_can_do(name, sample, error):
    with pytest.raises(error) as caught:
        load_tagger(name, sample)
    assert "try:" in str(caught.value)


def test_a_few_words_are_taken_for_english():
    assert isinstance(load_tagger("auto", ["great movie"]), EnglishTagger)


def test_letters_and_shares():
    assert letters("abc 가나 é ж 1") == {"HANGUL": 2, "LATIN": 4, "OTHER": 1}
    assert shares(["one two", "하나 둘"]) == {"LATIN": 0.5, "HANGUL": 0.5}


@pytest.mark.parametrize(("tagger", "package"), [(EnglishTagger, "HanTa"), (KoreanTagger, "kiwipiepy")])
def test_a_missing_package_names_the_extra(tagger, package, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named '{package}'", name=package)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"distill-toolkit\[augment\]"):
        tagger()


def test_taggers_can_be_sent_to_workers():
    for tagger in (EnglishTagger(), KoreanTagger()):
        before = tagger.tag([ENGLISH, KOREAN])
        again = pickle.loads(pickle.dumps(tagger))
        assert len(pickle.dumps(tagger)) < 200
        assert again.tag([ENGLISH, KOREAN]) == before


@pytest.fixture
def spacy(monkeypatch):
    """A spaCy that splits at spaces, and has one model."""

    def load(name, exclude):
        if name != "xx_toy":
            raise OSError(f"[E050] Can't find model '{name}'.")
        return types.SimpleNamespace(pipe=lambda texts: map(doc, texts))

    def doc(text):
        place = 0
        for word in text.split(" "):
            yield types.SimpleNamespace(text=word, lower_=word.lower(), idx=place, tag_="N" if word[:1].isupper() else "X")
            place += len(word) + 1

    _spacy.cache_clear()
    monkeypatch.setitem(sys.modules, "spacy", types.SimpleNamespace(load=load))
    yield
    _spacy.cache_clear()


@pytest.mark.usefixtures("spacy")
def test_a_spacy_model():
    tagger = load_tagger("spacy:xx_toy", [GERMAN])
    assert isinstance(tagger, SpacyTagger)
    assert tagger.name == "spacy:xx_toy"
    assert tagger.tag(["Das Haus a b.c brennt"]) == [
        [TaggedWord("Das", 0, 3, "N"), TaggedWord("Haus", 4, 8, "N"), TaggedWord("brennt", 15, 21, "X")]
    ]


@pytest.mark.usefixtures("spacy")
def test_a_spacy_model_that_is_not_there():
    with pytest.raises(ModelError, match="spaCy has no such model"):
        load_tagger("spacy:nothing", [GERMAN])


def test_without_spacy(monkeypatch):
    _spacy.cache_clear()
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(MissingExtra, match="pip install"):
        load_tagger("spacy:xx_toy", [GERMAN])
