"""One spelling of a text."""

from __future__ import annotations

import unicodedata


def normalise(text: str) -> str:
    """`text` in Unicode form NFC, every run of white space one space, none at the ends."""
    return " ".join(unicodedata.normalize("NFC", text).split())
