"""Korean particles after a replaced noun: 영화를 -> 책을, 배우였다 -> 학생이었다.

Many particles, and the copula 이다, have two forms: one after a consonant, one after a vowel. Who puts another noun into an
eojeol has to choose again. Nothing here needs a tagger; with the tag of the first morpheme after the noun the choice is sure,
without it a reading is taken that fits most text.
"""

from __future__ import annotations

_FIRST, _LAST = 0xAC00, 0xD7A3
_RIEUL = 8
"""Number of the final consonant ㄹ within a syllable; 0 is none."""

_BARE = (("은", "는"), ("이", "가"), ("을", "를"), ("과", "와"), ("아", "야"))
"""Particles that stand last or before one of `_AFTER`: the form after a consonant, the form after a vowel."""
_AFTER = ("", "요", "도", "은", "는", "만", "의", "커녕", "야", "나", "까지")
_WITH_I = ("랑", "나마", "나", "며", "든지", "든", "라도", "라고", "라는", "라든지", "란", "라", "야말로", "야", "여", "시여")
"""Particles that start with 이 after a consonant: 이랑, 이나마, ..."""
_DROPS_I = ("다", "라", "네", "지", "죠", "냐", "며", "면", "니", "고", "거든", "잖", "구나", "군", "야", "란", "든")
"""Endings before which the copula's 이 is left out after a vowel: 배우다, 배우라면."""
_COPULA = ("이었", "이였", "이에요", "이어서", "였", "여서", "예", *("이" + ending for ending in _DROPS_I), *_DROPS_I)
"""How a copula starts, where no tag says that it is one."""
_FUSED = (("이었", "였"), ("이어", "여"), ("이에", "예"))

_DIGITS = {"0": 21, "1": _RIEUL, "2": 0, "3": 16, "4": 0, "5": 0, "6": 1, "7": _RIEUL, "8": _RIEUL, "9": 0}
_LETTERS = {"L": _RIEUL, "M": 16, "N": 4, "R": _RIEUL}
_SPOKEN = {"l": _RIEUL, "m": 16, "n": 4, "a": 0, "i": 0, "o": 0, "u": 0, "y": 0}


def final_consonant(word: str) -> int | None:
    """The consonant a word ends in when read aloud in Korean.

    Args:
        word: Hangul; digits (7 is 칠) and Latin capitals (TV is 티브이) are read out too, other Latin words only where their
            last letter leaves no doubt.

    Returns:
        Unicode's number of the final consonant of the last syllable (8 is ㄹ), 0 for a vowel, None for what cannot be told.
    """
    last = word[-1:]
    if last and _FIRST <= ord(last) <= _LAST:
        return (ord(last) - _FIRST) % 28
    if last in _DIGITS:
        return _DIGITS[last]
    if word.isascii() and word.isalpha():
        return _LETTERS.get(last, 0) if word.isupper() else _SPOKEN.get(last)
    return None


def agree(noun: str, rest: str, tag: str = "") -> str:
    """What follows a noun in its eojeol, in the form that this noun asks for.

    Args:
        noun: the noun that stands there now.
        rest: what followed the noun that stood there before, from the particle or copula on: "를", "으로는", "였다". Anything
            else, such as 들 or the verb of a compound, comes back as it is.
        tag: the Sejong tag of its first morpheme if a tagger knows it: "JX", "JKS", ..., "VCP" for the copula, "JKV" for the
            vocative. It settles what letters alone leave open: 배우야 is "Actor!" (학생아) or "it is an actor" (학생이야).

    Returns:
        `rest` with its first particle or its copula mended: agree("책", "를") is "을".
    """
    final = final_consonant(noun)
    if not rest or final is None or (tag and tag != "VCP" and not tag.startswith("J")):
        return rest
    if tag == "VCP":
        return _copula(final, rest)
    mended = _particle(final, rest, tag)
    if mended is None and not tag and rest.startswith(_COPULA):
        return _copula(final, rest)
    return rest if mended is None else mended


def _particle(final: int, rest: str, tag: str) -> str | None:
    """`rest` with its first particle in the form after `final`; None if no particle of two forms is there."""
    for form in ("으로", "로"):
        if rest.startswith(form):
            return ("로" if final in (0, _RIEUL) else "으로") + rest[len(form) :]
    for closed, open_ in _BARE:
        if open_ == "야" and tag != "JKV" and not (rest == "아" and not tag):
            continue
        for form in (closed, open_):
            if rest.startswith(form) and rest[len(form) :] in _AFTER and rest not in ("이나", "이야"):
                return (closed if final else open_) + rest[len(form) :]
    for ending in _WITH_I:
        for form in ("이" + ending, ending):
            if rest.startswith(form) and (tag or rest[len(form) :] in _AFTER):
                return ("이" if final else "") + ending + rest[len(form) :]
    return None


def _copula(final: int, rest: str) -> str:
    """A copula with its endings, after `final`."""
    if final:
        for closed, open_ in _FUSED:
            if rest.startswith(open_):
                return closed + rest[1:]
        return rest if "이" <= rest[0] <= "잏" else "이" + rest
    if rest.startswith("이였"):  # a common spelling mistake of 이었
        return rest[1:]
    for closed, open_ in _FUSED:
        if rest.startswith(closed):
            return open_ + rest[2:]
    return rest[1:] if rest[0] == "이" and rest[1:].startswith(_DROPS_I) else rest
