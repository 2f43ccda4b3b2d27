"""Sentences of a text in any language: cut at the marks that end one, so that a document can be searched by sentence."""

from __future__ import annotations

import re

_END = re.compile(
    r"""
    [.!?…]+ ["'”’»)\]]* (?=\s)          # marks that a space must follow: 3.14 and example.org stay whole
    | [。！？｡]+ ["'”’»」』）)\]]*        # marks of scripts without spaces
    | \n+
    """,
    re.VERBOSE,
)
_NO_END = re.compile(
    r"(?:^|[\s(\"'])(?:[A-Za-z]|[A-Za-z](?:\.[A-Za-z])+|[Ee]tc|[Cc]f|[Vv]s|[Aa]l|[Rr]esp|[Aa]pprox|Dr|Mr|Mrs|Ms|Prof|Fig|Eq|Sec|No|Nr|Vol|pp|"
    r"St|Inc|Ltd|\d{1,2})\.$"
)


def split_text(text: str) -> list[str]:
    """The sentences of a text, without the white space between them.

    A sentence ends at `.`, `!`, `?` or `…` before a space, at the marks of Chinese and Japanese, and at a line break. An
    initial, a usual abbreviation or an ordinal such as `3.` ends none.

    Args:
        text: any text.

    Returns:
        Its sentences in order; empty for a text of white space alone.
    """
    found, start = [], 0
    for end in _END.finditer(text):
        if end.group() == "." and _NO_END.search(text, start, end.end()):
            continue
        found.append(text[start : end.end()].strip())
        start = end.end()
    found.append(text[start:].strip())
    return [sentence for sentence in found if sentence]
