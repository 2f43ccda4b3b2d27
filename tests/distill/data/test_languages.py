"""Language codes: those there are, those that are meant, and when two tags agree."""

import pytest
from babel import Locale
from babel.core import get_global

from distill.data.languages import LANGUAGES, SLIPS, canonical, check_language, contradicts, language_name, matches


def message(tag):
    return "\n".join(str(problem) for problem in check_language(tag))


def test_every_code_of_iso_639_1_is_known_and_no_other_of_two_letters():
    cldr = {code for code in Locale("en").languages if len(code) == 2} - {"sh"}  # withdrawn: Serbo-Croatian
    assert {code for code in LANGUAGES if len(code) == 2} == cldr


def test_codes_of_three_letters_name_the_language_that_cldr_names():
    aliases = get_global("language_aliases")
    own = {code: canonical(code) for code in LANGUAGES if len(code) == 3 and canonical(code) != code}
    assert len(own) == 183 + 20, "every language of two letters has one of three, twenty have two"
    differ = {code: two for code, two in own.items() if aliases.get(code, two) != two}
    assert differ == {"twi": "tw", "tgl": "tl"}, "CLDR reads Twi as Akan and Tagalog as Filipino"
    names = Locale("en").languages
    assert all(LANGUAGES[code] == names[code] for code in ("en", "ko", "de", "zh", "ceb", "yue", "ckb", "hsb"))


@pytest.mark.parametrize("tag", ["en", "ko", "KO", "pt-BR", "zh-Hant", "zh-Hant-TW", "yue", "kor", "ger", "kau", "twi", "ceb"])
def test_good_codes(tag):
    assert check_language(tag) == []


@pytest.mark.parametrize(
    ("tag", "meant"),
    [
        ("kr", "Korean is 'ko'; Kanuri is written 'kau' here"),
        ("jp", "Japanese is 'ja'"),
        ("cn", "Chinese is 'zh'"),
        ("CN", "Chinese is 'zh'"),
        ("ua-UA", "Ukrainian is 'uk'"),
        ("iw", "Hebrew is 'he'"),
        ("xx", "did you mean"),
        ("jap", "did you mean 'ja' (Japanese)?"),
        ("english", "did you mean 'en' (English)?"),
        ("", "expected: a code of ISO 639"),
        ("e", "expected: a code of ISO 639"),
        ("en_US", "expected: a code of ISO 639"),
        ("en-", "expected: a code of ISO 639"),
    ],
)
def test_wrong_codes_name_the_one_that_is_meant(tag, meant):
    assert meant in message(tag)
    assert check_language(tag, "here")[0].where == "here"


def test_every_slip_leads_to_a_good_code():
    for slip, meant in SLIPS.items():
        assert check_language(meant) == []
        assert f"'{meant}'" in message(slip)


def test_tags_in_one_spelling():
    assert [canonical(tag) for tag in ("EN_us", "eng-US", "sr@latin", " ger ", "x1")] == ["en-us", "en-us", "sr", "de", "x1"]
    assert [language_name(tag) for tag in ("ko-KR", "ger", "qqq")] == ["Korean", "German", "qqq"]


def test_a_tag_matches_itself_and_what_is_wider():
    assert matches("en-US", "en")
    assert matches("EN_US", "en-us")
    assert matches("eng", "en")
    assert not matches("en", "en-US")
    assert not matches("eno", "en")
    assert not matches("", "en")


@pytest.mark.parametrize(("tag", "asked"), [("de", "ko"), ("pt_PT", "pt-BR"), ("kr", "ko"), ("zh_TW", "zh-Hans-CN")])
def test_tags_that_contradict(tag, asked):
    assert contradicts(tag, asked)


@pytest.mark.parametrize(
    ("tag", "asked"), [("ko_KR", "ko"), ("pt", "pt-BR"), ("sr@latin", "sr"), ("zh_Hant", "zh-TW"), ("LANGUAGE", "ko"), ("", "ko")]
)
def test_tags_that_may_agree(tag, asked):
    assert not contradicts(tag, asked)
