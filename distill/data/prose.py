"""Plain English sentences out of docstrings and read-me files: markup off, paragraphs, sentences, and what counts as prose."""

from __future__ import annotations

import re
from collections.abc import Iterator

MIN_CHARS = 15
MAX_CHARS = 320
MIN_WORDS = 4
MAX_WORDS = 40

STOP_WORDS = frozenset(
    """a about above after again all also an and any are as at be because been before being between both but by can could did do
    does down during each few for from further had has have having he her here his how i if in into is it its itself just may me
    more most must my no nor not of off on once one only or other our out over own same she should so some such than that the
    their them then there these they this those through to too under until up use used very was we were what when where which
    while who whose why will with would you your""".split()  # noqa: SIM905
)

_FENCE = re.compile(r"^[ \t]*(```|~~~).*?(^[ \t]*\1|\Z)", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_BULLET = re.compile(r"^(?:[-*+•]|\(?[0-9a-z]{1,2}[.)])\s+")
_GOOGLE_FIELD = re.compile(r"^\*{0,2}[`\w., *]+(?:\([^()]*(?:\([^()]*\)[^()]*)*\))?\s*:\s+(?=[A-Z])")
_RST_FIELD = re.compile(r"^:\w+[^:]*:\s+")
_SKIP_LINE = re.compile(r"^(?:>>>|\.\.\.? |\.\. |#|\||\+[-=]|[-=~^*`'\"_+]{3,}|@|\$ |%|<|\[\w+\]:|\.\. _|:\w+:$|[\w*`., ]+ : )")
_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_LINK = re.compile(r"\[([^\]\[]+)\](?:\([^)]*\)|\[[^\]]*\]|_\b)?")
_ROLE_TITLE = re.compile(r":(?:\w+:)?\w+:`([^`<]+?)\s*<[^`>]*>`")
_ROLE = re.compile(r":(?:\w+:)?\w+:`[~!.]?([^`]+)`")
_TITLED = re.compile(r"`([^`<]+?)\s*<[^`>]*>`_{1,2}")
_DOUBLE = re.compile(r"``([^`]+)``")
_SINGLE = re.compile(r"`([^`]+)`_{0,2}")
_STRONG = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1")
_EMPHASIS = re.compile(r"(?<![\w*])([*_])(?=\S)([^*_\n]+?)(?<=\S)\1(?![\w*])")
_FOOTNOTE = re.compile(r"\s*\[[#*\d]*\]_?")
_DASHES = re.compile(r"\s*(?:---?|[–—])\s+")
_PLAIN_QUOTES = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "\xa0": " "})

_END = re.compile(r"[.!?]")
_SPLIT = re.compile(r"(?<=[.!?])[\"')]*\s+(?=[\"'(]?[A-Z])")
ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|vs|etc|al|resp|approx|Dr|Mr|Mrs|Ms|Prof|Fig|Eq|Sec|No|Vol|pp|ed|St|Inc|Ltd|[A-Z])\.)$"
)
"""An abbreviation, or one capital letter, whose full stop ends no sentence; searched up to the stop."""
_ALLOWED = re.compile(r"^[A-Z][A-Za-z0-9 ,;:'\"()%&$-]*(?:\.[A-Za-z0-9 ,;:'\"()%&$-]+)*[.!?]$")
_WORD = re.compile(r"[A-Za-z]+(?:['-][A-Za-z]+)*")
_FRAGMENT = re.compile(r"^(?:(?:If|When|Since|While|Because|Unless|As|Although)\b[^,]*$|Whether\b[^?]*$|Authors?\b)")
_IDENTIFIER = re.compile(r"[a-z][A-Z]|[A-Za-z]\d|\d[A-Za-z]{3}")
_DOTTED = re.compile(r"[A-Za-z0-9_]\.(?=[A-Za-z_])")
_LATIN = re.compile(r"\b(?:e\.g|i\.e)\.")
_PARENTHESES = re.compile(r"\w\(|\)\w|\(\)|\(\s|\s\)")
_STRAY = re.compile(r" [,;:](?: |$)|[:;,.]{2}")
_NOT_PROSE = frozenset({"self", "todo", "fixme", "xxx", "http", "https", "www", "copyright"})


def sentences(text: str) -> Iterator[str]:
    """The prose sentences of a docstring, reStructuredText or Markdown text, in order.

    Args:
        text: the raw text, its indentation kept.

    Yields:
        Sentences of 4 to 40 words without markup, each starting with a capital and ending with a full stop,
        question or exclamation mark.
    """
    for paragraph in paragraphs(text):
        if _END.search(paragraph) is None:
            continue
        for sentence in split_sentences(strip_markup(paragraph)):
            if is_prose(sentence):
                yield sentence


def paragraphs(text: str) -> Iterator[str]:
    """Runs of lines that belong together: a blank line, a new indentation or a list item starts a new run."""
    text = _COMMENT.sub("", _FENCE.sub("\n\n", text)).expandtabs(4)
    block: list[str] = []
    indent: int | None = None  # of the run; None: its second line decides (a docstring's first line, a list item)
    literal: int | None = None  # indentation of the line whose `::` announced a literal block
    for number, raw in enumerate(text.splitlines()):
        line = raw.strip()
        width = len(raw) - len(raw.lstrip())
        if literal is not None and line:
            if width > literal:
                continue
            literal = None
        skipped = not line or _SKIP_LINE.match(line) is not None
        item = _BULLET.match(line) or _GOOGLE_FIELD.match(line) or _RST_FIELD.match(line)
        if block and (skipped or item or (indent is not None and width != indent)):
            yield " ".join(block)
            block = []
        if not skipped:
            first = not block
            block.append(line[item.end() :] if item else line)
            indent = None if first and (item or number == 0) else width
        if line.endswith("::") or line.startswith(".. "):
            literal = width
    if block:
        yield " ".join(block)


def strip_markup(text: str) -> str:
    """`text` without reStructuredText and Markdown inline markup: ``x`` -> x, :class:`Foo` -> Foo, *so* -> so."""
    if not text.isascii():
        text = text.translate(_PLAIN_QUOTES)
    if "`" in text:
        for pattern in (_ROLE_TITLE, _ROLE, _TITLED, _DOUBLE, _SINGLE):
            text = pattern.sub(r"\1", text)
    if "[" in text:
        text = _LINK.sub(r"\1", _FOOTNOTE.sub("", _IMAGE.sub("", text)))
    if "*" in text or "_" in text:
        text = _EMPHASIS.sub(r"\2", _STRONG.sub(r"\2", text))
    return " ".join(_DASHES.sub(" - ", text).split())


def split_sentences(text: str) -> Iterator[str]:
    """Sentences of one paragraph. Abbreviations such as "e.g." do not end a sentence."""
    start = 0
    for found in _SPLIT.finditer(text):
        if ABBREVIATION.search(text, start, found.start()):
            continue
        yield text[start : found.end()].strip()
        start = found.end()
    yield text[start:].strip()


def is_prose(sentence: str) -> bool:
    """Whether this is an English sentence rather than code, a heading, a table row or a list of parameters."""
    if not MIN_CHARS <= len(sentence) <= MAX_CHARS or _ALLOWED.match(sentence) is None or _FRAGMENT.match(sentence):
        return False
    words = _WORD.findall(sentence)
    letters = sum(map(len, words))
    if (
        not MIN_WORDS <= len(words) <= MAX_WORDS
        or letters < 0.8 * (len(sentence) - sentence.count(" "))
        or not 3.0 <= letters / len(words) <= 8.5
    ):
        return False
    lowered = [word.lower() for word in words]
    if sum(word in STOP_WORDS for word in lowered) < max(1, round(0.18 * len(words))) or not _NOT_PROSE.isdisjoint(lowered):
        return False
    if (
        sentence.count("(") != sentence.count(")")
        or sentence.count('"') % 2
        or ("(" in sentence and _PARENTHESES.search(sentence))
    ):
        return False
    return not (_STRAY.search(sentence) or _IDENTIFIER.search(sentence) or _DOTTED.search(_LATIN.sub("", sentence)))
