"""From tags of tokens to tags of words or characters, and to whole entities. Evaluations and the runtime share it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Entity = tuple[str, int, int]
"""Type, first word, last word (both counted)."""


def entities(tags: Sequence[str]) -> set[Entity]:
    """The entities of one sentence.

    B-x begins one; I-x goes on with an entity of type x that reaches up to it, and begins one otherwise, as conlleval and
    seqeval (its default mode) read it. Any other tag ends it.

    Args:
        tags: O, B-x or I-x for each word.

    Reference:
        Tjong Kim Sang and De Meulder, "Introduction to the CoNLL-2003 shared task", 2003 (conlleval).
    """
    found: set[Entity] = set()
    kind, start = "", 0
    for place, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        if kind and not (prefix == "I" and name == kind):
            found.add((kind, start, place - 1))
            kind = ""
        if not kind and prefix in ("B", "I") and name:
            kind, start = name, place
    return found


def outside(names: Sequence[str]) -> int:
    """The number of the tag O, of which a word without a token is; 0 where there is none."""
    return list(names).index("O") if "O" in names else 0


def insides(names: Sequence[str]) -> list[int]:
    """For each tag the one that goes on with its entity: B-x and I-x -> I-x, O -> O."""
    place = {name: index for index, name in enumerate(names)}
    return [place.get("I-" + name[2:], index) if name[:2] in ("B-", "I-") else index for index, name in enumerate(names)]


def word_tokens(encoding: Any, count: int) -> np.ndarray:
    """int32 [words]: the first token of each word, -1 where it has none."""
    found = np.full(count, -1, dtype=np.int32)
    for token, word in enumerate(encoding.word_ids):
        if word is not None and found[word] < 0:
            found[word] = token
    return found


def character_tokens(encoding: Any, characters: Sequence[str]) -> np.ndarray:
    """int32 [characters]: the token that each character, if it is no space, is in; -1 where there is none.

    The first token counts where a character is in several.
    """
    found = np.full(len(characters), -1, dtype=np.int32)
    for token, ((start, end), special) in enumerate(zip(encoding.offsets, encoding.special_tokens_mask, strict=True)):
        for place in range(start, end) if not special else ():
            if found[place] < 0 and not characters[place].isspace():
                found[place] = token
    return found


def word_tags(tokens: Sequence[int] | np.ndarray, tags: Sequence[int] | np.ndarray, none: int) -> list[int]:
    """A tag for each word: that of its token, or `none` where it has no token.

    Args:
        tokens: the token of each word, -1 for none.
        tags: a tag number for each token.
        none: the number of the tag O.
    """
    return [none if token < 0 else int(tags[token]) for token in tokens]


def character_tags(
    tokens: Sequence[int] | np.ndarray, tags: Sequence[int] | np.ndarray, none: int, inside: Sequence[int]
) -> list[int]:
    """A tag for each character: characters after the first of a token go on with its entity, and a space goes on with an
    entity that goes on behind it.

    Args:
        tokens: the token of each character, -1 for none.
        tags: a tag number for each token.
        none: the number of the tag O.
        inside: see `insides`.
    """
    found = word_tags(tokens, tags, none)
    for place in range(1, len(found)):
        if tokens[place] >= 0 and tokens[place] == tokens[place - 1]:
            found[place] = inside[found[place - 1]]
    for place in range(len(found) - 2, 0, -1):
        # From the right, so that of several spaces each sees what the next one has become.
        if tokens[place] < 0 and found[place + 1] == inside[found[place + 1]] != none:
            before = next((found[back] for back in range(place - 1, -1, -1) if tokens[back] >= 0), none)
            if inside[before] == found[place + 1]:
                found[place] = found[place + 1]
    return found
