"""What every kind of model shares: how it is loaded, and how a stream of inputs becomes a stream of results."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
from tokenizers import Encoding

from ..errors import DataError, ModelError
from .batches import Sizes, plan, sizes, windows
from .checks import OnLong, checked_choice
from .engine import Engine, Outputs, cancel
from .opened import Kind, Opened, Precision, open_folder, require_kind
from .text import TextInput

R = TypeVar("R")
Rows = list[Outputs]
"""What the model says of each encoding: its outputs of that row, without padding."""


@dataclass
class Work(Generic[R]):
    """A window of inputs, tokenized.

    Attributes:
        encodings: what runs.
        finish: makes the window's result out of what the model says of each encoding.
        owners: the input that each encoding belongs to; None: encoding i is input i.
        first: number of the window's first input.
    """

    encodings: list[Encoding]
    finish: Callable[[Rows], R]
    owners: list[int] | None = None
    first: int = 0


Prepare = Callable[[list[Any], int], Work[R]]
"""Inputs and the number of the first of them -> a window that can run."""


class Model:
    """An exported folder at work on onnxruntime. May be used from several threads at once, in forked processes, and pickled.

    Attributes:
        precision: which file runs.
        max_length: longest input in tokens, special tokens counted.
        truncated: how many inputs were cut so far.
        allow_nan: give results that are no numbers instead of an error.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ()
    by_token: ClassVar[bool] = False
    noun: ClassVar[str] = "text"

    def __init__(self, opened: Opened) -> None:
        require_kind(opened, self.kinds, type(self).__name__)
        self.folder = opened.folder
        self.precision = opened.precision
        self.max_length = opened.text.max_length
        self.truncated = 0
        self.allow_nan = False
        self._width = opened.width
        self._engine: Engine = opened.engine
        self._text: TextInput = opened.text
        self._begin()

    @classmethod
    def load(
        cls,
        path: str | Path,
        precision: Precision = "auto",
        threads: int | None = None,
        providers: Sequence[str] | None = None,
    ) -> Self:
        """As `distill.load`, but a model of another kind is an error.

        Raises:
            ModelError: the folder is damaged, unsafe or incomplete, or its model is of another kind.
            UserError: `threads` is below 1.
        """
        return cls(open_folder(path, precision, threads, providers))

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r}, precision={self.precision!r})"

    def _begin(self) -> None:
        self._lock = threading.Lock()

    def _sizes(self, batch_size: int | None, batch_tokens: int | None) -> Sizes:
        return sizes(batch_size, batch_tokens, self._engine.default_tokens)

    def _count_cut(self, encodings: Sequence[Encoding], first: int, on_long: OnLong) -> list[bool]:
        """Which encodings were cut; counts them, or refuses the first one."""
        cut = [self._text.is_cut(encoding) for encoding in encodings]
        if on_long == "error" and any(cut):
            row = cut.index(True)
            special = self._text.special_tokens[0]
            rest = sum(len(part) - special for part in encodings[row].overflowing)
            raise self._too_long(first + row, len(encodings[row]) + rest)
        self._add_cut(sum(cut))
        return cut

    def _add_cut(self, count: int) -> None:
        if count:
            with self._lock:
                self.truncated += count

    def _too_long(self, row: int, tokens: int) -> DataError:
        return DataError(
            f"this {self.noun} is too long for the model",
            where=f"{self.noun} {row}",
            got=f"{tokens} tokens",
            expected=f"at most {self.max_length}",
            hint="split it, or have it cut (on_long='cut')",
        )

    def _stream(self, items: Iterable[Any], prepare: Prepare[R], size: Sizes, characters: Callable[[Any], int]) -> Iterator[R]:
        """Results window by window. While one window runs, the next is tokenized; with one worker nothing is done ahead.

        An error of `items` or of an input comes after the results of the windows before it.
        """
        source = windows(items, size.window, characters)
        ahead: _Pending[R] | None = None
        first = 0
        try:
            while True:
                begun, failure = None, None
                try:
                    if (window := next(source, None)) is not None:
                        begun = _Pending(self, prepare(window, first), size)
                        first += len(window)
                except Exception as error:  # told when its turn has come
                    failure = error
                done, ahead = ahead, begun
                if done is not None:
                    yield done.collect()
                if failure is not None:
                    raise failure
                if begun is None:
                    return
                if self._engine.workers == 1:
                    ahead = None
                    yield begun.collect()
        finally:
            if ahead is not None:
                cancel(ahead.futures)

    def _check_finite(self, rows: Rows, work: Work[Any]) -> None:
        for place, row in enumerate(rows):
            if not all(np.isfinite(part).all() for part in row):
                number = work.first + (place if work.owners is None else work.owners[place])
                raise ModelError(
                    "the model's outputs are not finite",
                    where=f"{self.noun} {number}, {self.folder}, precision {self.precision}",
                    got="NaN or infinity",
                    hint="choose another precision, or export the model again",
                )


def check_on_long(on_long: str, *more: str) -> None:
    """Refuse what is neither cut nor error."""
    checked_choice(on_long, ("cut", "error", *more), "on_long")


class _Pending(Generic[R]):
    """A window on its way through the model."""

    def __init__(self, model: Model, work: Work[R], size: Sizes) -> None:
        self.model, self.work = model, work
        self.batches = plan([len(encoding) for encoding in work.encodings], size)
        engine = model._engine
        together = engine.workers > 1 and len(self.batches) >= 2 * engine.workers
        self.futures: list[Future[Outputs]] = engine.start(map(self._feeds, self.batches)) if together else []

    def collect(self) -> R:
        """The window's result; runs what does not run yet."""
        model, encodings = self.model, self.work.encodings
        rows: Rows = [()] * len(encodings)
        finite = True
        try:
            for number, batch in enumerate(self.batches):
                found = self.futures[number].result() if self.futures else model._engine.run(self._feeds(batch))
                finite = finite and all(np.isfinite(part).all() for part in found)
                for place, row in enumerate(batch.tolist()):
                    if model.by_token:
                        real = model._text.real(len(encodings[row]), found[0].shape[1])
                        rows[row] = tuple(part[place, real] for part in found)
                    else:
                        rows[row] = tuple(part[place] for part in found)
        finally:
            cancel(self.futures)
        if not finite and not model.allow_nan:
            model._check_finite(rows, self.work)
        return self.work.finish(rows)

    def _feeds(self, batch: np.ndarray) -> dict[str, Any]:
        arrays = self.model._text.pad([self.work.encodings[row] for row in batch.tolist()])
        return {name: arrays[name] for name in self.model._engine.inputs}
