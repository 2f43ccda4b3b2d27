"""Korean nouns and adverbs, by kiwipiepy (Apache-2.0, its model comes with it); stems and endings are left alone.

What is replaced is the whole noun of an eojeol, compounds and all, and the particle after it agrees with the new one:

- Touching nouns are one (심리공포물), with a prefix; derivations such as 감동적 are one with their suffix and take the place of
  the same derivation only, plural 들 stays.
- Nouns and roots before 하다, 되다, 스럽다 ... are a class for each: 추억하는 may become 기억하는, never 영화하는.
- 안 and 못 stand for each other, 왜 for its like: no other adverb fits where they stand.
- Nouns that do the work of a postposition (때, 앞, 중, 이상) stay. A word that the analyser does not know counts as a noun only
  before a particle: the rest is slang and missing spaces.
- What is put in comes from eojeol that are a known, single noun with its particles: text of the web is full of others.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...errors import MissingExtra
from .taggers import TaggedWord
from .words import Word, find_words

ADVERBS = {"안": "MAG/not", "못": "MAG/not", "왜": "MAG/why", "어찌": "MAG/why", "어째서": "MAG/why"}
"""Adverbs that are a class apart; the tag of the others is MAG."""
RELATIONAL = frozenset(
    (
        *("앞", "뒤", "위", "밑", "아래", "옆", "곁", "안", "밖", "속", "겉", "끝", "쪽", "편", "곳", "가운데", "사이"),
        *("때", "전", "후", "중", "간", "동안", "이후", "이전", "이번", "저번", "지난번", "다음", "날"),
        *("이상", "이하", "이내", "이외", "정도", "자체", "경우", "점", "하나", "대신", "덕분", "때문", "관련", "위주", "해당"),
    )
)
"""Nouns that do the work of a postposition or a determiner."""
_BEFORE = ("J", "E", "MAG", "MM", "S", "W", "NNB")
_BEHIND = ("J", "VCP", "XS", "VV", "VA", "VX", "VCN", "NNB", "S", "W")
_AFTER_ADVERB = ("VV", "VA", "VX", "MAG", "NN", "XR", "S", "W")
"""Tags, or how they start, that a noun or adverb may touch in its eojeol; next to others it is likely part of an unknown word."""
NOUNS = ("NNG", "NNP")


class KoreanTagger:
    """Nouns (NNG, NNP), roots before 하다 and its like, and adverbs (MAG) of Korean text."""

    name = "korean"

    def __init__(self) -> None:
        _need_kiwi()

    def tag(self, texts: Sequence[str]) -> list[list[TaggedWord]]:
        """See `Tagger.tag`. Words in decomposed Hangul (NFD) are left out."""
        kiwi = analyser()
        return [_tag(text, kiwi) for text in texts]


def _tag(text: str, kiwi: Any) -> list[TaggedWord]:
    if not any("가" <= char <= "힣" for char in text):
        return []
    found: list[TaggedWord] = []
    tokens = kiwi.tokenize(text)
    first = 0
    for word in find_words(text):
        while first < len(tokens) and tokens[first].start < word.start:
            first += 1
        last = first
        while last < len(tokens) and tokens[last].start < word.end:
            last += 1
        inside = tokens[first:last]
        if inside and inside[0].start == word.start and all(token.end <= word.end for token in inside):
            found += _of_eojeol(text, word, inside)
        first = last
    return found


def _of_eojeol(text: str, word: Word, tokens: Sequence[Any]) -> list[TaggedWord]:
    """The nouns and adverbs of one eojeol; one in a string of words without spaces is never put elsewhere."""
    found = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        if token.tag == "MAG" and (adverb := _adverb(text, word, tokens[index:])) is not None:
            found.append(adverb)
        elif token.tag in (*NOUNS, "XPN", "XR"):
            count = _noun_length(text, tokens[index:])
            noun = _noun(text, tokens[index : index + count], tokens[index + count :])
            if noun is not None and (index == 0 or tokens[index - 1].tag.startswith(_BEFORE)):
                whole = noun.start == word.start and (noun.end + len(noun.tail) == word.end or "/XS" in noun.tag)
                found.append(noun if whole else replace(noun, drawn=False))
            index += max(count, 1)
            continue
        index += 1
    return found


def _adverb(text: str, word: Word, tokens: Sequence[Any]) -> TaggedWord | None:
    """The adverb that comes first here, if it may be replaced: not in 정말로, 별로다, 잘하다."""
    start, end = tokens[0].start, tokens[0].end
    next_tag = tokens[1].tag.split("-")[0] if len(tokens) > 1 else ""
    if not _plain(text, tokens[0]) or (next_tag not in ("", "JX", "XSA") and not next_tag.startswith(_AFTER_ADVERB)):
        return None
    if next_tag == "XSA":
        return TaggedWord(tokens[0].form, start, end, f"{tokens[1].form}/XSA", drawn=start == word.start)
    stop = _tail_end(text, end, tokens[1:], next_tag)
    tag = ADVERBS.get(tokens[0].form, "MAG")
    return TaggedWord(
        tokens[0].form, start, end, tag, text[end:stop], next_tag if stop > end else "", drawn=end - start == len(word.text)
    )


def _noun_length(text: str, tokens: Sequence[Any]) -> int:
    """How many morphemes from the first on are one noun; 0 if none."""
    count = nouns = 0
    place = tokens[0].start
    for token in tokens:
        suffix = token.tag == "XSN" and nouns and token.form != "들"
        fits = token.tag in NOUNS or suffix or (count == 0 and token.tag in ("XPN", "XR"))
        if not fits or token.start != place or not _plain(text, token):
            break
        count += 1
        nouns += token.tag != "XPN"
        place = token.end
        if token.tag == "XR":
            break
    return count if nouns else 0


def _noun(text: str, noun: Sequence[Any], after: Sequence[Any]) -> TaggedWord | None:
    """The noun made of these morphemes, if it is one that may be replaced."""
    if noun and noun[-1].form in RELATIONAL and noun[-1].tag != "XSN":
        noun, after = noun[:-1], [noun[-1], *after]
    if not noun or noun[-1].tag == "XPN":
        return None
    start, end = noun[0].start, noun[-1].end
    next_tag = after[0].tag.split("-")[0] if after and after[0].start == end else ""
    unknown = any(token.oov for token in noun)
    if (unknown and not next_tag.startswith("J")) or (next_tag and not next_tag.startswith(_BEHIND)):
        return None
    tag = noun[-1].tag
    if next_tag in ("XSV", "XSA"):
        tag = f"{after[0].form}/{next_tag}"
    elif tag == "XR" or next_tag == "XSM":
        return None
    elif tag == "XSN":
        tag = f"{noun[-1].form}/XSN"
    stop = _tail_end(text, end, after, next_tag)
    known = not unknown and sum(token.tag in NOUNS for token in noun) <= 1
    return TaggedWord(text[start:end], start, end, tag, text[end:stop], next_tag if stop > end else "", drawn=known)


def _tail_end(text: str, end: int, after: Sequence[Any], next_tag: str) -> int:
    """Where the particles, or the copula with its endings, end that follow a noun at `end`."""
    if next_tag.startswith("J"):
        for token in after:
            if not token.tag.startswith("J") or token.start != end or not _plain(text, token):
                break
            end = token.end
    elif next_tag == "VCP":
        for token in after:
            if token.tag.split("-")[0] not in ("VCP", "EP", "EC", "EF", "ETM", "ETN"):
                break
            end = max(end, token.end)
    return end


def _plain(text: str, token: Any) -> bool:
    """Whether a morpheme is written as it is: not fused with the next one, as in 건 for 거 and ㄴ."""
    return bool(text[token.start : token.end] == token.form)


def _need_kiwi() -> None:
    try:
        import kiwipiepy  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra("augment", "kiwipiepy", "the Korean tagger") from error


@functools.cache
def analyser() -> Any:
    """One analyser a process; it takes seconds to load, and is no part of a tagger so that taggers can be sent to workers."""
    from kiwipiepy import Kiwi

    return Kiwi(num_workers=1)
