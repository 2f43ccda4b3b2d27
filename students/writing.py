"""Which writing systems a piece of text is in, and which a language is written in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import regex  # type: ignore[import-untyped]

from distill.errors import DataError, nearest

COMMON = "Common"
"""Digits, punctuation, symbols and marks: what every writing system shares."""

# fmt: off
_LATIN = (
    "ca", "cs", "cy", "da", "de", "en", "es", "et", "eu", "fi", "fr", "ga", "gl", "hr", "hu", "id", "is", "it", "lt", "lv", "ms",
    "nl", "no", "pl", "pt", "ro", "sk", "sl", "sq", "sv", "sw", "tl", "tr", "vi",
)
# fmt: on

LANGUAGES: dict[str, tuple[str, ...]] = {
    "ar": ("Arabic",),
    "el": ("Greek",),
    "he": ("Hebrew",),
    "hi": ("Devanagari",),
    "ja": ("Hiragana", "Katakana", "Han"),
    "ko": ("Hangul",),
    "th": ("Thai",),
    "zh": ("Han",),
    **dict.fromkeys(("bg", "mk", "ru", "uk"), ("Cyrillic",)),
    **dict.fromkeys(_LATIN, ("Latin",)),
}
"""ISO 639-1 code -> Unicode scripts."""

# fmt: off
SCRIPTS = (
    "Latin", "Cyrillic", "Greek", "Arabic", "Hebrew", "Devanagari", "Bengali", "Gurmukhi", "Gujarati", "Oriya", "Tamil", "Telugu",
    "Kannada", "Malayalam", "Sinhala", "Thai", "Lao", "Myanmar", "Khmer", "Tibetan", "Mongolian", "Georgian", "Armenian",
    "Ethiopic", "Hangul", "Hiragana", "Katakana", "Han",
)
# fmt: on
"""The scripts told apart; a letter of any other is `Other`."""

# The scripts before Common: a mark such as the long vowel sign of Katakana is a letter to its script.
_GROUPS = [*((name, rf"\p{{Script={name}}}") for name in SCRIPTS), (COMMON, r"[\p{Script=Common}\p{Script=Inherited}]")]
_PATTERN = regex.compile("|".join(f"(?P<{name}>{pattern}+)" for name, pattern in _GROUPS) + "|(?P<Other>.)", regex.DOTALL)


def scripts_of(languages: Iterable[str]) -> set[str]:
    """The scripts of some languages.

    Args:
        languages: ISO 639-1 codes such as `ko`, or Unicode script names such as `Hangul`.

    Raises:
        DataError: a language or script that is not known here.
    """
    found: set[str] = set()
    for language in languages:
        if language in SCRIPTS:
            found.add(language)
        elif language in LANGUAGES:
            found.update(LANGUAGES[language])
        else:
            names = [*LANGUAGES, *SCRIPTS]
            raise DataError(
                "the writing of this language is not known",
                where="languages",
                got=language,
                expected="a two-letter code such as en, or a Unicode script such as Latin",
                hint=nearest(language, names),
            )
    return found


def letters_by_script(text: str) -> Counter[str]:
    """How many characters of each script, `Common` and `Other` included, a text has."""
    counts: Counter[str] = Counter()
    for run in _PATTERN.finditer(text):
        counts[str(run.lastgroup)] += len(run[0])
    return counts


def written_in(text: str, scripts: set[str]) -> bool:
    """Whether a text has characters of these scripts and common ones alone."""
    return letters_by_script(text).keys() <= scripts | {COMMON}
