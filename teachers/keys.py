"""The keys of texts, S16: how a store knows a text again. As long as the corpus, so they lie on disk (distill.mapped)."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from distill.mapped import Spool

CHUNK = 65536
"""Keys that are made at once."""

PARTS = 64
"""Parts in which keys are sorted, so that the sorting of a million takes no more memory than that of a few thousand."""


def keys_of(texts: Sequence[str]) -> np.ndarray:
    """blake2b-128 of each text, as S16 [n]."""
    keys = Spool("S16")
    hashed = (hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts)
    while some := b"".join(itertools.islice(hashed, CHUNK)):
        keys.add(np.frombuffer(some, dtype="S16"))
    return keys.array()


def mapped_keys(path: Path) -> np.ndarray:
    """The keys of a shard, S16 [n], on disk."""
    hashes: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return hashes.view("S16").ravel()


def _alike(keys: np.ndarray, part: int) -> np.ndarray:
    """Positions of the keys of one of PARTS parts, by their first byte: each part can be sorted by itself."""
    heads = keys.view(np.uint8)[:: keys.itemsize]
    return np.flatnonzero(heads % PARTS == part)


def first_of_each(keys: np.ndarray) -> np.ndarray:
    """Whether each key is the first of its kind, bool [n]."""
    first = np.zeros(len(keys), dtype=bool)
    for part in range(PARTS):
        places = _alike(keys, part)
        first[places[np.unique(keys[places], return_index=True)[1]]] = True
    return first


def find(stored: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each wanted key is among the stored ones, int [n], and whether it is there, bool [n]."""
    small = len(stored) < 2**31
    found, known = np.zeros(len(wanted), dtype=np.int32 if small else np.int64), np.zeros(len(wanted), dtype=bool)
    for part in range(PARTS):
        here, asked = _alike(stored, part), _alike(wanted, part)
        if len(here) and len(asked):
            keys, some = stored[here], wanted[asked]
            order = np.argsort(keys, kind="stable")
            rows = order[np.minimum(np.searchsorted(keys, some, sorter=order), len(keys) - 1)]
            found[asked], known[asked] = here[rows], keys[rows] == some
    return found, known


def concatenate(keys: Iterable[np.ndarray]) -> np.ndarray:
    """All of them behind each other, on disk."""
    joined = Spool("S16")
    for part in keys:
        joined.add(part)
    return joined.array()
