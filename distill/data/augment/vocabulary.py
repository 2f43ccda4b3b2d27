"""Sentences with words of the teacher's vocabulary put in: a narrow corpus spread over everything a teacher knows.

A teacher is a function that can be asked about any text. A corpus of one domain asks it about few words; a student trained
on that corpus alone drifts on all others. Putting random words of the tokenizer's vocabulary into the corpus's sentence
frames asks about all of them, at no cost but the labelling. LEAF (arXiv 2509.12539) trains on the plain list of words, which
is here too.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

FRAME_WORDS = 150
"""So many of the corpus's most frequent words make the frame of a sentence and stay, in a small corpus a tenth of them."""
EDGES = ".,;:!?()[]\"'“”‘’"


def whole_words(tokenizer: Any) -> list[str]:
    """Words of a tokenizer's vocabulary that are one piece: letters alone, at least three (two outside ASCII), by id.

    Args:
        tokenizer: a Hugging Face fast tokenizer: WordPiece (continuations marked ##), or a byte-level or SentencePiece
            one (beginnings marked Ġ or ▁).
    """
    pieces = sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1])
    marks = Counter(piece[0] for piece, _ in pieces if piece[:1] in ("▁", "Ġ"))
    mark = marks.most_common(1)[0][0] if marks and marks.most_common(1)[0][1] > len(pieces) / 10 else ""
    special = set(tokenizer.all_special_tokens)
    plain = (piece for piece, _ in pieces if piece not in special and not piece.startswith("##"))
    found = dict.fromkeys(piece[len(mark) :] for piece in plain if piece.startswith(mark))
    return [word for word in found if word.isalpha() and len(word) >= (3 if word.isascii() else 2)]


def mix_vocabulary(
    sentences: Sequence[str], words: Sequence[str], *, count: int, share: float, max_words: int, seed: int
) -> list[str]:
    """New sentences: frames of the corpus, with random words in place of some of their own.

    A word of the corpus is replaced with probability `share` by a word drawn evenly from `words`, unless it is among the
    150 most frequent of the corpus (a tenth of them, if that is less) or holds anything but letters. Punctuation around
    it and a capital stay.

    Args:
        sentences: the corpus.
        words: what to put in.
        count: how many sentences to make; frames are used in random order, again and again if they are few.
        share: probability per word, 0 to 1.
        max_words: only sentences of at most so many words are frames.
        seed: of the draw; equal arguments give equal sentences.

    Returns:
        `count` sentences, fewer where the corpus has no frame. Some may be equal to one another or to a frame.
    """
    rng = random.Random(seed)
    seen = Counter(word.strip(EDGES).lower() for sentence in sentences for word in sentence.split())
    frame = {word for word, _ in sorted(seen.items(), key=lambda pair: (-pair[1], pair[0]))[: min(FRAME_WORDS, len(seen) // 10)]}
    frames = [split for split in (sentence.split() for sentence in sentences) if len(split) <= max_words]
    if not frames or not words:
        return []
    made: list[str] = []
    while len(made) < count:
        rng.shuffle(frames)
        made += [_fill(split, words, frame, share, rng) for split in frames[: count - len(made)]]
    return made


def _fill(split: Sequence[str], words: Sequence[str], frame: set[str], share: float, rng: random.Random) -> str:
    """One sentence, some of its words replaced."""
    result = []
    for word in split:
        core = word.strip(EDGES)
        if core.isalpha() and core.lower() not in frame and rng.random() < share:
            new = words[rng.randrange(len(words))]
            start = word.index(core)
            word = word[:start] + (new.capitalize() if core[0].isupper() else new) + word[start + len(core) :]
        result.append(word)
    return " ".join(result)
