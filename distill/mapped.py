"""Large arrays and lists of texts that lie in files without a name: the system keeps in memory what is in use, and no more.

A corpus that is held as Python strings takes some two hundred bytes a sentence, and cannot leave memory. Here it is written
once, to `$DISTILL_CACHE/scratch`, and read through a memory map. The files have no name and are gone with the process.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import tempfile
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np

from .files import cache_dir, disk_errors

CHUNK = 4096
"""Texts that are decoded at once when all are gone through."""


def give_back() -> None:
    """Return to the system what was freed and allocators still hold: after work that had a whole corpus in memory."""
    gc.collect()
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None  # glibc alone has it
    if trim is not None:
        trim(0)


class Spool:
    """Numbers written one after the other, then read as one array.

    Args:
        dtype: of the numbers.
    """

    def __init__(self, dtype: Any) -> None:
        self._dtype = np.dtype(dtype)
        place = cache_dir() / "scratch"
        with disk_errors(place):
            place.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=place)  # noqa: SIM115 - closed by `array`
        self._place, self._count = place, 0

    def add(self, values: np.ndarray) -> None:
        """Append some.

        Raises:
            RunError: the disk is full, read-only or forbidden.
        """
        data = np.ascontiguousarray(values, dtype=self._dtype)
        with disk_errors(self._place):
            self._file.write(data.tobytes())
        self._count += len(data)

    def array(self) -> np.ndarray:
        """All of them, [n], read-only, mapped from disk; the end of the spool."""
        with disk_errors(self._place), self._file:
            if not self._count:
                return np.zeros(0, dtype=self._dtype)
            self._file.flush()
            return np.memmap(self._file, dtype=self._dtype, mode="r", shape=(self._count,))


class Texts(Sequence[str]):
    """A sequence of texts that are made when they are asked for; equal to any sequence of the same texts."""

    @abstractmethod
    def _text(self, index: int) -> str:
        """Text `index`, which is in range."""

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self._text(number) for number in range(*index.indices(len(self)))]
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(f"no text {index} among {len(self)}")
        return self._text(number)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str) or len(self) != len(other):
            return False
        return all(ours == theirs for ours, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


class MappedTexts(Texts):
    """Texts on disk.

    Args:
        texts: read once, so that they may be a stream.

    Raises:
        RunError: the disk is full, read-only or forbidden.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        letters, ends, end = Spool(np.uint8), Spool(np.int64), 0
        block: list[bytes] = []
        for text in texts:
            block.append(text.encode("utf-8", "surrogatepass"))
            if len(block) == CHUNK:
                end = _spool(block, letters, ends, end)
                block = []
        _spool(block, letters, ends, end)
        self._letters, self._ends = letters.array(), ends.array()

    def __len__(self) -> int:
        return len(self._ends)

    def _text(self, index: int) -> str:
        start = int(self._ends[index - 1]) if index else 0
        return self._letters[start : int(self._ends[index])].tobytes().decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        start = 0
        for first in range(0, len(self), CHUNK):
            ends = self._ends[first : first + CHUNK].tolist()
            letters = self._letters[start : ends[-1]].tobytes()
            before = start
            for end in ends:
                yield letters[start - before : end - before].decode("utf-8", "surrogatepass")
                start = end


def _spool(block: list[bytes], letters: Spool, ends: Spool, start: int) -> int:
    """Write some texts; where they end."""
    places = start + np.cumsum([len(text) for text in block], dtype=np.int64)
    letters.add(np.frombuffer(b"".join(block), dtype=np.uint8))
    ends.add(places)
    return int(places[-1]) if block else start


class Prompted(Texts):
    """Texts with a prompt in front of each."""

    def __init__(self, prompt: str, texts: Sequence[str]) -> None:
        self._prompt, self._texts = prompt, texts

    def __len__(self) -> int:
        return len(self._texts)

    def _text(self, index: int) -> str:
        return self._prompt + self._texts[index]

    def __iter__(self) -> Iterator[str]:
        return (self._prompt + text for text in self._texts)


class Joined(Texts):
    """Some texts, and others behind them."""

    def __init__(self, first: Sequence[str], second: Sequence[str]) -> None:
        self._first, self._second = first, second

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    def _text(self, index: int) -> str:
        return self._first[index] if index < len(self._first) else self._second[index - len(self._first)]
