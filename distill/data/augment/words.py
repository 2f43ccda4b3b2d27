"""The words of a text that may be replaced, where they lie, and how to put others in their place.

Nothing is joined from tokens: a variant is the text itself with some spans exchanged, so every byte between them stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import regex  # type: ignore[import-untyped]

from .stop_words import STOP_WORDS

_JOINTS = "'’\u200c\u200d\u00ad"
"""Inside a word: apostrophes, the joiners of Persian and Indic scripts, the soft hyphen."""
_RUN = regex.compile(rf"\p{{L}}[\p{{L}}\p{{M}}]*(?:[{_JOINTS}]\p{{L}}[\p{{L}}\p{{M}}]*)*")
_CHUNK = regex.compile(r"\S+")
_SPANS = regex.compile(
    r"""<[/!]?\p{L}[^<>\n]{0,200}>      # <b>, <a href="...">
    | <[^<>\s]{1,60}>                   # <mask>, <|end|>
    | \[(?:[A-Z_]{2,20}\d*|unused\d+)\] # [MASK]
    | `[^`\s](?:[^`\n]{0,200}[^`\s])?`  # `code`, not `` the quotes '' of treebanks
    | \{[^{}\s]{1,60}\}                 # {name}
    | &\#?\w{1,20};                     # &amp;
    | (?<![\p{L}\p{N}])-[LRlr][RSCrsc][Bb]-(?![\p{L}\p{N}]) # -lrb-, as treebanks write a bracket
    | (?<![\p{L}\p{N}])(?:[:;=][-']?[DPOSdpos]|[xX]D)(?![\p{L}\p{N}])  # :D
    """,
    regex.VERBOSE,
)
_CODE_CHUNK = regex.compile(
    r"""://|www\.|@|\\|::|->        # addresses, @user, C:\, a::b, a->b
    | \#\w                          # #tag
    | ^[("'\[]*(?:~|\.{1,2})?/\w    # /usr/bin, ~/x, ./x
    | ^[("'\[]*(?:--[A-Za-z]|-[A-Za-z-]+=)  # --option
    | \w/\w[\w.-]*/\w               # a/b/c
    """,
    regex.VERBOSE,
)
_HOST = regex.compile(r"[A-Za-z0-9]\.[A-Za-z0-9]")
_CAMEL = regex.compile(r"[a-z]+[A-Z]")
_NO_NEIGHBOUR = frozenset("_@#=+\\$")
_CLOSING = frozenset(")]}”’»」』》")
_OPENING = frozenset("([{“‘«「『《")


@dataclass(frozen=True, slots=True)
class Word:
    """A word and its place: `text` is `sentence[start:end]`."""

    text: str
    start: int
    end: int


def find_words(text: str) -> list[Word]:
    """The words of a text that may be replaced, from left to right.

    A word is the longest run of letters and their combining marks, with apostrophes inside: "won't" is one. The parts of a
    hyphenated compound are words of their own; a Korean eojeol is one, particle and all. What stands in an address, a path, a
    tag or code, or touches a digit or an underscore, is none: abc123, snake_case, x.y, f(x), #tag, @user, <mask>, [MASK].

    Args:
        text: any text.

    Returns:
        Words that do not overlap.
    """
    if text.isspace() or not text:
        return []
    closed = [match.span() for match in _SPANS.finditer(text)]
    found: list[Word] = []
    for chunk in _CHUNK.finditer(text):
        if _CODE_CHUNK.search(chunk[0]) or ("/" in chunk[0] and _HOST.search(chunk[0])):
            continue
        for run in _RUN.finditer(text, chunk.start(), chunk.end()):
            start, end = run.span()
            while closed and closed[0][1] <= start:
                del closed[0]
            if closed and closed[0][0] < end:
                continue
            if _is_free(text, start, end):
                found.append(Word(run[0], start, end))
    return found


def replace_words(text: str, changes: Mapping[int, str] | Iterable[tuple[Word, str]]) -> str:
    """The text with some of its words replaced and every other character as it was.

    Args:
        text: the text.
        changes: new words by the index of the old one in `find_words(text)`, or by the old word itself.

    Returns:
        The new text.

    Raises:
        ValueError: a word is not where it claims to be, two overlap, or an index is out of range.
    """
    if isinstance(changes, Mapping):
        words = find_words(text)
        if wrong := [index for index in changes if not 0 <= index < len(words)]:
            raise ValueError(f"no word {wrong[0]} in a text of {len(words)}")
        changes = [(words[index], new) for index, new in changes.items()]
    pieces: list[str] = []
    done = 0
    for word, new in sorted(changes, key=lambda change: change[0].start):
        if word.start < done or text[word.start : word.end] != word.text:
            raise ValueError(f"'{word.text}' is not at {word.start} to {word.end}, or that place has been replaced already")
        pieces += (text[done : word.start], new)
        done = word.end
    return "".join([*pieces, text[done:]])


def match_case(new: str, like: str) -> str:
    """`new` in capitals or with a capital if `like` is written so, otherwise as it is.

    One capital letter alone ("A", "I") counts as a capital at the beginning, not as capitals throughout.
    """
    if not new or not like[:1].isupper():
        return new
    if like.isupper() and sum(letter.isalpha() for letter in like) > 1:
        return new.upper()
    first = new[0].upper()
    return first + new[1:] if len(first) == 1 else new


def split_possessive(word: str) -> tuple[str, str]:
    """A word and the 's behind it, "" where there is none."""
    return (word[:-2], word[-2:]) if word[-2:] in ("'s", "’s") else (word, "")


def is_stop_word(word: str) -> bool:
    """Whether an English word, or a piece of one such as "ll", carries grammar rather than meaning; case does not matter."""
    return word.lower().replace("’", "'") in STOP_WORDS


def _is_free(text: str, start: int, end: int) -> bool:
    """Whether the characters around a run of letters leave it a word."""
    if _CAMEL.match(text, start, end):
        return False
    if (start == 0 or text[start - 1] == " ") and (end == len(text) or text[end] == " "):
        return True
    if text[max(0, start - 1) : start] == "%":
        return False
    before, after = text[max(0, start - 2) : start][::-1], text[end : end + 2]
    first, last = text[start], text[end - 1]
    if _binds(before, first) or _binds(after, last):
        return False
    if _is_ascii_word(before[1:]) and before[0] in "([" and first.isascii():  # x of "f(x)", s of "word(s)"
        return False
    if (
        last.isascii() and after[:1] in ("(", "[") and (_is_ascii_word(after[1:]) or after[1:] in (")", "]"))
    ):  # f of "f(x)", "f()"
        return False
    return not _is_tail(before, first)


def _binds(around: str, edge: str) -> bool:
    """Whether the two characters next to a run, nearest first, make it part of something that is no prose.

    Args:
        around: at most two characters, the nearest first.
        edge: the letter of the run on that side.
    """
    if not around:
        return False
    if around[0].isnumeric() or around[0] in _NO_NEIGHBOUR:
        return True
    if around[0] in ".:&":  # "x.y", "a:b", "R&D"; a Korean sentence may go on without a space after its full stop
        return edge.isascii() and _is_ascii_word(around[1:])
    return around[0] in "-'’" and around[1:].isnumeric()  # "GPT-3", "1990's"


def _is_ascii_word(character: str) -> bool:
    """Whether this is one ASCII letter or digit, not the empty string."""
    return character.isascii() and character.isalnum()


def _is_tail(before: str, first: str) -> bool:
    """Whether a Korean run is the particle of what stands in quotes or brackets before it: 은 of "지능(AI)은"."""
    if not ("가" <= first <= "힣") or len(before) < 2:
        return False
    return before[0] in _CLOSING or (before[0] in "\"'" and not before[1].isspace() and before[1] not in _OPENING)
