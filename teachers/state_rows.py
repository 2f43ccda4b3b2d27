"""Inner states of rows of tokens as they lie on disk: what is kept of a row, where it lies, and how a batch is read."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .store import OPEN_MAPS


@dataclass(frozen=True)
class Part:
    """One state of a row.

    Attributes:
        name: of the state.
        heads: of attention; None for a state that has none.
        width: numbers a token; None for scores between tokens.
    """

    name: str
    heads: int | None
    width: int | None

    def shape(self, tokens: int) -> tuple[int, ...]:
        """Of a row of so many tokens: [tokens, width], [heads, tokens, width] or [heads, tokens, tokens]."""
        heads = () if self.heads is None else (self.heads,)
        return (*heads, tokens, tokens if self.width is None else self.width)

    def size(self, lengths: np.ndarray) -> np.ndarray:
        """Numbers of rows of so many tokens each, int64."""
        tokens = np.asarray(lengths, dtype=np.int64)
        return tokens * (self.heads or 1) * (tokens if self.width is None else self.width)


@dataclass(frozen=True)
class Estimate:
    """What storing will take, known before it begins.

    Attributes:
        new: different rows that the teacher still has to read.
        reused: different rows whose states are there.
        bytes_new: exact size of the files to be written.
        bytes_reused: size of the shards that are read again.
        bytes_free: on the disk of the store.
    """

    new: int
    reused: int
    bytes_new: int
    bytes_reused: int
    bytes_free: int


@dataclass(frozen=True)
class Shard:
    """A file of rows: its folder, their keys as S16 [n] and their tokens as int32 [n]."""

    folder: Path
    keys: np.ndarray
    lengths: np.ndarray


def row_key(ids: np.ndarray, types: np.ndarray | None = None) -> bytes:
    """The name of a row of tokens: 16 bytes.

    Args:
        ids: the teacher's token ids, int [tokens].
        types: which text each token is of, where the teacher is told so.
    """
    digest = hashlib.blake2b(np.ascontiguousarray(ids, dtype=np.int32).tobytes(), digest_size=16)
    if types is not None:
        digest.update(b"|" + np.ascontiguousarray(types, dtype=np.int32).tobytes())
    return digest.digest()


class StoredStates:
    """The states of a list of rows, read from memory maps when they are asked for.

    Attributes:
        estimate: what was there, and what was added.
    """

    def __init__(self, parts: Sequence[Part], shards: Sequence[Shard], keys: np.ndarray, estimate: Estimate) -> None:
        self.parts = tuple(parts)
        self.estimate = estimate
        self._files = [shard.folder / "values.npy" for shard in shards]
        lengths = [shard.lengths for shard in shards]
        counts = [sizes(self.parts, of_shard) for of_shard in lengths]
        place = _places(np.concatenate([shard.keys for shard in shards]), keys)
        self._owners = np.repeat(np.arange(len(shards)), [len(of_shard) for of_shard in lengths])[place]
        self._offsets = np.concatenate([np.cumsum(count) - count for count in counts])[place]
        self._lengths = np.concatenate(lengths)[place]
        self._maps: OrderedDict[int, np.ndarray] = OrderedDict()

    def __len__(self) -> int:
        return len(self._lengths)

    def batch(self, rows: Sequence[int] | np.ndarray, width: int) -> dict[str, np.ndarray]:
        """The states of some rows, each padded with zeros.

        Args:
            rows: positions in the list, B of them.
            width: tokens to pad to.

        Returns:
            Name of a state -> float32 [B, width, d], [B, heads, width, d] or [B, heads, width, width].
        """
        out = {part.name: np.zeros((len(rows), *part.shape(width)), dtype=np.float32) for part in self.parts}
        for line, row in enumerate(rows):
            tokens, start = int(self._lengths[row]), int(self._offsets[row])
            values = self._map(int(self._owners[row]))
            for part in self.parts:
                shape = part.shape(tokens)
                end = start + int(np.prod(shape))
                out[part.name][line][real(part, tokens)] = values[start:end].reshape(shape)
                start = end
        return out

    def _map(self, shard: int) -> np.ndarray:
        if shard not in self._maps:
            self._maps[shard] = np.load(self._files[shard], mmap_mode="r", allow_pickle=False).view(np.ndarray)
        self._maps.move_to_end(shard)
        if len(self._maps) > OPEN_MAPS:
            self._maps.popitem(last=False)
        return self._maps[shard]


def real(part: Part, tokens: int) -> tuple[slice, ...]:
    """Where the real tokens of a padded row are."""
    heads = () if part.heads is None else (slice(None),)
    return (*heads, slice(tokens), slice(tokens) if part.width is None else slice(None))


def sizes(parts: Sequence[Part], lengths: np.ndarray) -> np.ndarray:
    """Numbers that are kept of rows of so many tokens each, int64."""
    return np.sum([part.size(lengths) for part in parts], axis=0, dtype=np.int64).reshape(len(lengths))


def _places(have: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where each wanted key is among those that are there, int64."""
    order = np.argsort(have, kind="stable")
    return order[np.searchsorted(have, wanted, sorter=order)]
