"""Words are found where prose is, and exchanging them touches nothing else."""

from __future__ import annotations

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from distill.data.augment.stop_words import STOP_WORDS
from distill.data.augment.words import Word, find_words, is_stop_word, match_case, replace_words

CODE = """abc123 3D 2020년에 x² snake_case __init__ x.y U.S. e.g. end.Next https://a.b/c?d=e www.a.com host.org/path/to a@b.com
@user @user-name #tag #a-b #행복#사랑 C# <mask> [MASK] [unused12] <|end|> </b> &amp; f(x) f() a[i] std::sort a->b key=value
C++ a:b R&D COVID-19 GPT-3 19-year 1990's C:\\dir\\file /usr/bin ~/notes ./run a/b/c --verbose `code` {name} %s $HOME
\\alpha getName iPhone -lrb- -RRB- :D :-P xD"""
PIECES = [
    "won't",
    "the ",
    "한국어를 ",
    "https://a.b/c ",
    "x_y",
    " 12",
    "<b>",
    "[MASK]",
    "(",
    ")",
    "'",
    "-",
    ".",
    "\n",
    "é",
    "e\u0301",
    "@",
    "#",
]
TEXTS = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=12).map("".join))


def found(text):
    return [word.text for word in find_words(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Our friends won't buy this!", ["Our", "friends", "won't", "buy", "this"]),
        ("It’s O'Neill’s; ‘quoted’ 'n' roll, dogs' ", ["It’s", "O'Neill’s", "quoted", "n", "roll", "dogs"]),
        ("state-of-the-art", ["state", "of", "the", "art"]),
        ("naïve cafe\u0301, ÉTÉ straße", ["naïve", "cafe\u0301", "ÉTÉ", "straße"]),
        ("wait...what?!and/or (so)", ["wait", "what", "and", "or", "so"]),
        ("한국어를 봤다.그래서 좋아요~ ㅋㅋㅋ", ["한국어를", "봤다", "그래서", "좋아요", "ㅋㅋㅋ"]),
        ('“정말”이라고 (안녕) "왜"라고 ("네") 한국-미국', ["정말", "안녕", "왜", "네", "한국", "미국"]),
        ("인공지능(AI)은 KT와", ["인공지능", "AI", "KT와"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("Привет, 世界", ["Привет", "世界"]),
        ("", []),
        (" \t\n", []),
        ("12 34% ...", []),
    ],
)
def test_words(text, words):
    assert found(text) == words


@pytest.mark.parametrize("code", CODE.split())
def test_what_is_no_prose_is_left_out(code):
    assert found(f"good {code} day") == ["good", "day"]
    assert found(code) == []
    assert found(f"({code}),") == []


def test_spans_with_spaces():
    assert found('see <a href="the page">this link</a> or `let x be y`') == ["see", "this", "link", "or"]
    assert found("the ` first ' and ` second ' part, `` third '' and ``") == [
        "the",
        "first",
        "and",
        "second",
        "part",
        "third",
        "and",
    ]
    assert found("a < b and c > d") == ["a", "b", "and", "c", "d"]


def test_part_of_a_word_with_brackets_is_none():
    assert found("the word(s) here") == ["the", "here"]


@given(TEXTS)
def test_each_word_is_letters_at_its_place(text):
    words = find_words(text)
    end = 0
    for word in words:
        assert word.text == text[word.start : word.end]
        assert word.start >= end
        assert word.start < word.end
        assert regex.fullmatch(r"[\p{L}\p{M}'’\u200c\u200d\u00ad]+", word.text)
        assert regex.match(r"\p{L}", word.text)
        end = word.end


@given(TEXTS, st.data())
def test_every_other_byte_stays(text, data):
    words = find_words(text)
    chosen = data.draw(st.lists(st.integers(0, len(words) - 1), unique=True)) if words else []
    news = data.draw(st.lists(st.text(max_size=8), min_size=len(chosen), max_size=len(chosen)))
    made = replace_words(text, dict(zip(chosen, news, strict=True)))
    assert made == replace_words(text, [(words[index], new) for index, new in zip(chosen, news, strict=True)])
    for index, new in sorted(zip(chosen, news, strict=True)):  # walk both texts: gaps are equal, words are the new ones
        start = words[index].start
        before = sum(len(n) - len(words[i].text) for i, n in zip(chosen, news, strict=True) if i < index)
        assert made[start + before : start + before + len(new)] == new
    kept, at, end = [], 0, 0
    for index, new in sorted(zip(chosen, news, strict=True)):
        gap = text[end : words[index].start]
        assert made[at : at + len(gap)] == gap
        at, end = at + len(gap) + len(new), words[index].end
        kept.append(gap)
    assert made[at:] == text[end:]


@given(TEXTS)
def test_no_change_gives_the_text(text):
    assert replace_words(text, {}) == text
    assert replace_words(text, [(word, word.text) for word in find_words(text)]) == text


def test_changes_that_do_not_fit():
    with pytest.raises(ValueError, match="no word 2 in a text of 2"):
        replace_words("good day", {2: "x"})
    with pytest.raises(ValueError, match="'day' is not at 0 to 3"):
        replace_words("good day", [(Word("day", 0, 3), "night")])
    with pytest.raises(ValueError, match="replaced already"):
        replace_words("good day", [(Word("good", 0, 4), "a"), (Word("oo", 1, 3), "b")])


@pytest.mark.parametrize(
    ("new", "like", "made"),
    [
        ("film", "movie", "film"),
        ("film", "Movie", "Film"),
        ("film", "MOVIE", "FILM"),
        ("Paris", "city", "Paris"),
        ("NASA", "Agency", "NASA"),
        ("the", "A", "The"),
        ("will", "I'M", "WILL"),
        ("film", "Won't", "Film"),
        ("film", "mOVIE", "film"),
        ("영화", "Movie", "영화"),
        ("ßa", "Movie", "ßa"),
        ("", "Movie", ""),
        ("film", "", "film"),
        ("film", "영화", "film"),
    ],
)
def test_case(new, like, made):
    assert match_case(new, like) == made


@given(st.text(max_size=12), st.text(max_size=12))
def test_case_changes_nothing_but_case(new, like):
    made = match_case(new, like)
    assert made.casefold() == new.casefold() or made.upper() == new.upper()
    assert match_case(made, like) == made


def test_stop_words():
    assert is_stop_word("The")
    assert is_stop_word("WON’T")
    assert is_stop_word("ll")
    assert not is_stop_word("movie")
    assert not is_stop_word("영화")
    assert 150 <= len(STOP_WORDS) <= 260
    assert all(word == word.lower() and word.isascii() for word in STOP_WORDS)


def test_time_grows_with_length_alone():
    for piece in ("a.a", "a/", "<", "{a", "-a", "`", "a'", "[M", "&a"):
        assert len(find_words(piece * 20_000)) <= 20_000
