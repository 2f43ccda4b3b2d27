"""Trim a vocabulary to a corpus, to languages or to a size: below twenty million parameters the vocabulary is the size."""

from __future__ import annotations

import copy
import itertools
import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from distill.errors import DataError, ModelError

from .vocabulary_json import Pieces, keep_pieces, read_pieces
from .vocabulary_model import trim_model
from .writing import COMMON, letters_by_script, scripts_of, written_in

__all__ = ["Trimmed", "trim", "trim_model", "trimmed_tokenizer", "unknown_rate"]

CHUNK = 2048
"""Texts tokenised at a time."""
UNUSED = re.compile(r"\[unused\d+\]")
"""Rows that BERT left free: written in Latin letters, of no language."""
KEPT_SCRIPT = 0.01
"""A script with at least this share of a corpus's letters is kept whole, letter by letter."""


@dataclass(frozen=True)
class Trimmed:
    """A vocabulary with fewer pieces.

    Attributes:
        tokenizer_json: the tokenizer, as `tokenizers.Tokenizer.from_str` reads it.
        kept_ids: new id -> old id, int64 [new size]; old order, but tokens outside the model's own vocabulary come last.
        old_size: pieces before.
        coverage: share of the corpus's pieces, each counted as often as it occurs, that were kept; 1 where none was cut.
    """

    tokenizer_json: str
    kept_ids: np.ndarray
    old_size: int
    coverage: float

    @property
    def size(self) -> int:
        """Pieces now."""
        return len(self.kept_ids)

    def new_ids(self, rows: int | None = None) -> np.ndarray:
        """Old id -> new id, -1 for a piece that is gone, int64 [rows]; rows defaults to just beyond the last kept id."""
        new = np.full(int(self.kept_ids.max()) + 1 if rows is None else rows, -1, dtype=np.int64)
        new[self.kept_ids] = np.arange(self.size)
        return new


def trim(
    tokenizer: Any,
    texts: Iterable[str] | None,
    *,
    size: int | None = None,
    languages: Sequence[str] | None = None,
    min_count: int = 1,
    keep: Iterable[str] = (),
) -> Trimmed:
    """Choose the pieces that are worth their rows, and write the tokenizer with these alone.

    Without `languages` the pieces stay that occur in the texts, and every single letter of a script that has at least
    1 % of their letters, so that a word not seen here falls to letters instead of to the unknown token. With
    `languages` the pieces stay that are written in their scripts, in digits, punctuation and symbols alone, whether they
    occur or not. Always stay: special and added tokens; ASCII characters; single letters that occur; of byte-level BPE
    all bytes, of any BPE what a kept piece is merged from; of Unigram the scores as they are. So a text whose tokens
    all stay is tokenised as before.

    Args:
        tokenizer: a fast tokenizer of transformers, or one of the `tokenizers` library; left as it is.
        texts: the corpus; None for `languages` or `size` alone, where pieces then rank by their old id.
        size: at most so many pieces, special ones included; the most frequent stay.
        languages: two-letter codes (`en`, `ko`) or Unicode scripts (`Latin`, `Hangul`).
        min_count: without `languages`, how often a piece must occur.
        keep: texts, such as prompts, all of whose pieces stay; the name of a piece counts too.

    Raises:
        ModelError: no fast tokenizer, or one of a kind that cannot be trimmed.
        DataError: nothing to go by, no text, a script that is not known, or `size` below what must stay.
    """
    backend = _backend(tokenizer)
    pieces = read_pieces(backend, getattr(tokenizer, "pad_token", None))
    if texts is None and languages is None and size is None:
        raise DataError("trimming needs something to go by", expected="texts, languages or size")
    if languages is not None and min_count != 1:
        raise DataError(
            "min_count has no use beside languages, whose pieces stay whether they occur or not",
            where="min_count",
            got=min_count,
            hint="leave out one of the two, or give size",
        )
    counts, letters = _count(backend, texts, len(pieces.names))
    scripts = None if languages is None else scripts_of(languages)
    wanted = _needed(pieces, letters, scripts)
    for text in keep:
        wanted.update(backend.encode(text, add_special_tokens=False).ids)
        wanted.update(index for index in (backend.token_to_id(text),) if index is not None)
    kept = set(itertools.chain.from_iterable(pieces.with_parts(index) for index in wanted))
    if size is not None and size < len(kept):
        raise DataError(
            "a vocabulary of this size cannot hold what must stay: special tokens and single characters",
            where="size",
            got=size,
            expected=f"at least {len(kept)}",
        )
    for index in _candidates(pieces, counts, letters, scripts, 0 if texts is None else min_count):
        parts = pieces.with_parts(index) - kept
        if size is None or len(kept) + len(parts) <= size:
            kept |= parts
    text, order = keep_pieces(pieces, kept)
    total = counts.sum()
    return Trimmed(text, order, len(pieces.ids), float(counts[order].sum() / total) if total else 1.0)


def unknown_rate(tokenizer: Any, texts: Iterable[str]) -> float:
    """The share of tokens that are the unknown token; 0 for a tokenizer that has none.

    Args:
        tokenizer: a fast tokenizer of transformers, or one of the `tokenizers` library.
        texts: at best, texts that the vocabulary was not trimmed to.

    Raises:
        DataError: the texts have no token.
    """
    seen, found = _unknown(tokenizer, texts)
    return found / seen


def _unknown(tokenizer: Any, texts: Iterable[str]) -> tuple[int, int]:
    """Tokens of the texts, and how many are the unknown one."""
    backend = _backend(tokenizer)
    model = read_pieces(backend).data["model"]
    unknown = model.get("unk_id") if model["type"] == "Unigram" else backend.token_to_id(model.get("unk_token") or "")
    seen = found = 0
    for batch in _batches(texts):
        for encoding in backend.encode_batch(batch, add_special_tokens=False):
            seen += len(encoding.ids)
            found += sum(index == unknown for index in encoding.ids)
    if not seen:
        raise DataError("there is no text to count unknown tokens in", got="no token")
    return seen, found


def trimming_facts(before: Any, after: Any, texts: Iterable[str]) -> dict[str, Any]:
    """What trimming a vocabulary did to text that it was not trimmed to.

    Args:
        before, after: fast tokenizers of transformers.
        texts: some of that text.

    Returns:
        {"pieces", "of": pieces after and before, "unknown", "unknown_before": share of unknown tokens, "longer": tokens of the
        texts after over those before}.

    Raises:
        DataError: the texts have no token.
    """
    shown = list(texts)
    (old, old_unknown), (new, new_unknown) = (_unknown(one, shown) for one in (before, after))
    return {
        "pieces": len(after),
        "of": len(before),
        "unknown": new_unknown / new,
        "unknown_before": old_unknown / old,
        "longer": new / old,
    }


def trimming_words(facts: Mapping[str, Any]) -> str:
    """What `trimming_facts` gives, as a line."""
    return (
        f"the vocabulary has {facts['pieces']:,} of {facts['of']:,} pieces; of dev tokens {facts['unknown']:.2%} are unknown"
        f" ({facts['unknown_before']:.2%} before), and there are {facts['longer']:.3f} times as many"
    )


def trimmed_tokenizer(tokenizer: Any, trimmed: Trimmed) -> Any:
    """A copy of a transformers tokenizer, of the same class and settings, with the trimmed vocabulary.

    Raises:
        ModelError: it is not a fast tokenizer.
    """
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise ModelError("only a fast tokenizer of transformers can be trimmed", got=type(tokenizer).__name__)
    twin = copy.deepcopy(tokenizer)
    twin._tokenizer = Tokenizer.from_str(trimmed.tokenizer_json)
    return twin


def _backend(tokenizer: Any) -> Tokenizer:
    """A copy of the tokenizer itself, which neither pads nor truncates."""
    inner = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not isinstance(inner, Tokenizer):
        raise ModelError(
            "only a fast tokenizer can be trimmed", got=type(tokenizer).__name__, expected="one that saves tokenizer.json"
        )
    twin = Tokenizer.from_str(inner.to_str())
    twin.no_padding()
    twin.no_truncation()
    return twin


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    if isinstance(texts, str):
        raise DataError("this is one text, not a list of texts", got=texts)
    waiting = iter(texts)
    while batch := list(itertools.islice(waiting, CHUNK)):
        yield batch


def _count(backend: Tokenizer, texts: Iterable[str] | None, rows: int) -> tuple[np.ndarray, Counter[str]]:
    """How often each id, int64 [rows], and each character after normalising, occurs in the texts."""
    counts, letters = np.zeros(rows, dtype=np.int64), Counter[str]()
    if texts is None:
        return counts, letters
    normal = backend.normalizer
    for batch in _batches(texts):
        for encoding in backend.encode_batch(batch, add_special_tokens=False):
            np.add.at(counts, encoding.ids, 1)
        letters.update("".join(batch if normal is None else map(normal.normalize_str, batch)))
    if not counts.any():
        raise DataError("the texts to trim the vocabulary to are empty", where="texts", got="no token")
    return counts, letters


def _needed(pieces: Pieces, letters: Counter[str], scripts: set[str] | None) -> set[int]:
    """Ids that stay whatever the size: the tokenizer's own, ASCII characters, and letters that occur."""
    found = set(pieces.required)
    if not pieces.byte_level:
        seen = {letter for letter in letters if scripts is None or written_in(letter, scripts)} | set(string.printable)
        found.update(index for index in pieces.ids if pieces.bare(index) in seen)
    return found


def _candidates(pieces: Pieces, counts: np.ndarray, letters: Counter[str], scripts: set[str] | None, min_count: int) -> list[int]:
    """Ids that stay where there is room, the most frequent first, then by their old number."""
    if scripts is not None:
        texts = ((index, pieces.text(index)) for index in pieces.ids if not UNUSED.fullmatch(pieces.names[index] or ""))
        found = [index for index, text in texts if text is not None and written_in(text, scripts)]
    else:
        kept = _main_scripts(letters)
        found = [
            index
            for index in pieces.ids
            if counts[index] >= min_count or (len(bare := pieces.bare(index)) == 1 and letters_by_script(bare).keys() <= kept)
        ]
    return sorted(found, key=lambda index: (-counts[index], index))


def _main_scripts(letters: Counter[str]) -> set[str]:
    """The scripts that make up at least a hundredth of a corpus's letters."""
    totals: Counter[str] = Counter()
    for letter, count in letters.items():
        (script,) = letters_by_script(letter)
        if script not in (COMMON, "Other"):
            totals[script] += count
    return {script for script, count in totals.items() if count >= KEPT_SCRIPT * totals.total()}
