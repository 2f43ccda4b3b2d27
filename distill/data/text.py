"""One spelling of a text, and when two sentences are the same: they differ in case, spaces and punctuation alone."""

from __future__ import annotations

import hashlib
import re
import unicodedata

_NOT_ALNUM = re.compile("[^a-z0-9]+")


def normalise(text: str) -> str:
    """`text` in Unicode form NFC, every run of white space one space, none at the ends."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def fold(text: str) -> str:
    """The key under which two sentences are the same: letters and digits alone, case folded; all of it if there are none."""
    if text.isascii():
        return _NOT_ALNUM.sub("", text.lower()) or normalise(text)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(letter for letter in folded if unicodedata.category(letter)[0] in "LNM") or normalise(text)


def digest(text: str) -> bytes:
    """16 bytes that decide what part of the data a sentence falls into; equal for sentences that are the same."""
    return hashlib.blake2b(fold(text).encode("utf-8", "surrogatepass"), digest_size=16, person=b"distill-split").digest()
