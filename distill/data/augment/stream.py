"""Examples in, examples and their variants out: block by block, in one process or several, and resumable.

What is made of an example depends on it and on the seed alone, so blocks and processes change no byte of the output.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import DataError, DistillError, RunError, UserError
from ...files import lock
from ...progress import track
from ..sources import UNREADABLE
from .account import Account, write_report
from .base import Example, Rng
from .pairs import Augmenter
from .parts import Parts, output_format, part_key, rows_of

__all__ = ["BLOCK", "Make", "augment_in_blocks", "write_augmented"]

Make = Callable[[], Augmenter]
"""Makes an augmenter, in whichever process it is called: picklable where there are several."""
BLOCK = 256
"""Examples per block: what is in memory at once, and what an interrupted run loses."""


def augment_in_blocks(
    examples: Sequence[Example], augmenter: Augmenter, seed: int, *, block: int = BLOCK
) -> Iterator[tuple[list[Example], Account]]:
    """Augment examples that are in memory and show how far it is.

    Args:
        examples: the originals.
        augmenter: makes the variants.
        seed: of the draws.
        block: examples at a time.

    Yields:
        The originals of a block, each followed by its variants; and their account.
    """
    rng = Rng(seed)
    shown = track(examples, total=len(examples), description=f"augmenting ({augmenter.name})", unit="examples")
    for some in _batched(shown, block):
        made, tally = augmenter.augment_counted(some, rng)
        yield made, Account.of(made, tally, seed)


def write_augmented(
    examples: Iterable[Example],
    make: Make,
    out: Path | str,
    *,
    seed: int,
    settings: Any = None,
    form: str | None = None,
    workers: int = 1,
    block: int = BLOCK,
    total: int | None = None,
) -> dict[str, Any]:
    """Augment a stream of examples into a file, with its report beside it.

    Parts are kept in `OUT.parts` until the file is whole: the same call goes on where it was interrupted.

    Args:
        examples: the originals, all with one text or all with two.
        make: makes the augmenter; called in every process.
        out: file to write.
        seed: of the draws.
        settings: JSON value that tells `make` from others: parts that were made with other settings are made again.
        form: parquet or jsonl; None goes by the ending of `out`.
        workers: processes. Each holds a model of its own.
        block: examples per part.
        total: how many examples there are, if that is known, for the progress.

    Returns:
        The report, as in `OUT.report.json`.

    Raises:
        DataError: there are no examples, or one of them cannot be augmented or written.
        RunError: the disk cannot be written, another process writes this output, or a worker process died.
    """
    out = Path(out)
    chosen = output_format(out, form)
    if workers < 1:
        raise UserError("there must be at least one process", where="workers", got=workers, expected="1 or more")
    shape = _Shape()
    start = time.perf_counter()
    known = json.dumps({"settings": settings, "seed": seed}, sort_keys=True, ensure_ascii=False)
    parts = Parts(out)
    with lock(parts.folder / ".lock", "this output", wait=False):
        try:
            account, count, fresh = Account(), 0, 0
            with _Crew(make, seed, workers) as crew:
                shown = track(shape.checked(examples), total=total, description="augmenting", unit="examples")
                for number, found, is_new in _parts(_batched(shown, block), parts, known, crew, shape):
                    account, count = account + found, number + 1
                    fresh += found.tally.examples if is_new else 0
            if not count:
                raise DataError("there is nothing to augment", where=str(out), got="no examples")
            seconds = time.perf_counter() - start
            speed = {"examples": fresh, "seconds": round(seconds, 2), "per_second": round(fresh / seconds, 2) if fresh else None}
            report = {"output": out.name, "seed": seed, "settings": settings or {}, **account.report(), "speed": speed}
            parts.join(count, out, chosen)
            write_report(report, out.with_name(f"{out.name}.report"))
            parts.remove()
        finally:
            parts.remove_empty()
    return report


def _parts(
    blocks: Iterable[list[Example]], parts: Parts, settings: str, crew: _Crew, shape: _Shape
) -> Iterator[tuple[int, Account, bool]]:
    """Every part's number and account, in order, and whether it was made now; a few are under way at a time."""
    waiting: deque[tuple[int, str, Account | _Task]] = deque()
    for number, examples in enumerate(blocks):
        key = part_key(settings, examples)
        waiting.append((number, key, parts.find(number, key) or crew.start(examples, shape.labelled)))
        if len(waiting) > crew.ahead:
            yield _finished(parts, *waiting.popleft())
    while waiting:
        yield _finished(parts, *waiting.popleft())


def _finished(parts: Parts, number: int, key: str, task: Account | _Task) -> tuple[int, Account, bool]:
    if isinstance(task, Account):
        return number, task, False
    data, account = task()
    parts.write(number, key, data, account)
    return number, account, True


_Task = Callable[[], tuple[bytes, Account]]


class _Crew:
    """One process, which is this one, or several others.

    Args:
        make: makes the augmenter.
        seed: of the draws.
        workers: number of processes.

    Attributes:
        ahead: blocks that may wait for others to be finished.
    """

    def __init__(self, make: Make, seed: int, workers: int) -> None:
        self._make, self._seed, self._workers = make, seed, workers
        self.ahead = 0 if workers == 1 else 2 * workers
        self._pool: ProcessPoolExecutor | None = None
        self._own: _Worker | None = None

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=kind is None, cancel_futures=True)

    def start(self, examples: list[Example], labelled: bool) -> _Task:
        """Begin with a block; the task gives what it became."""
        if self._workers == 1:
            own = self._own = self._own or _Worker(self._make, self._seed)
            return lambda: own.work(examples, labelled)
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            threads = max(1, (os.cpu_count() or 1) // self._workers)
            self._pool = ProcessPoolExecutor(self._workers, context, _begin, (self._make, self._seed, threads))
        future = self._pool.submit(_work, examples, labelled)
        return lambda: _result(future)


@dataclass
class _Worker:
    """Augments blocks; the augmenter is made with the first of them."""

    make: Make
    seed: int
    augmenter: Augmenter | None = None

    def work(self, examples: list[Example], labelled: bool) -> tuple[bytes, Account]:
        """The lines of a part and its account."""
        self.augmenter = self.augmenter or self.make()
        made, tally = self.augmenter.augment_counted(examples, Rng(self.seed))
        return rows_of(made, labelled=labelled), Account.of(made, tally, self.seed)


_mine: _Worker | None = None
"""Of a worker process."""


def _begin(make: Make, seed: int, threads: int) -> None:
    """Runs first in every worker process."""
    global _mine
    from ...progress import set_quiet

    set_quiet(True)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # torch, if it is used, is imported after this
        os.environ[name] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    _mine = _Worker(make, seed)


def _work(examples: list[Example], labelled: bool) -> tuple[bytes, Account] | tuple[type[DistillError], dict[str, Any]]:
    """Runs in a worker process. Errors travel as their parts: not every class of them can be pickled."""
    assert _mine is not None, "begun"
    try:
        return _mine.work(examples, labelled)
    except DistillError as error:
        facts = {name: getattr(error, name) for name in ("message", "where", "expected", "hint")}
        return UserError if isinstance(error, UserError) else DistillError, {**facts, "got": str(error.got or "") or None}


def _result(future: Future[Any]) -> tuple[bytes, Account]:
    try:
        first, second = future.result()
    except BrokenProcessPool as error:
        raise RunError(
            "a worker process died", where="workers", got=error, hint="it may be short of memory: use fewer workers"
        ) from error
    if isinstance(first, type):
        raise first(second.pop("message"), **second)
    return first, second


class _Shape:
    """What all examples of a stream have in common, told by the first.

    Attributes:
        labelled: whether there are labels.
    """

    def __init__(self) -> None:
        self.labelled = False

    def checked(self, examples: Iterable[Example]) -> Iterator[Example]:
        """The examples, as long as they are alike and can be written."""
        texts = None
        for number, example in enumerate(examples):
            if texts is None:
                texts, self.labelled = len(example.texts), example.label is not None
            bad = [text for text in example.texts if not isinstance(text, str) or UNREADABLE.search(text)]
            if bad:
                expected = "text without null bytes or lone surrogates"
                raise DataError("this cannot be augmented", where=f"example {number}", got=repr(bad[0]), expected=expected)
            if len(example.texts) != texts or (example.label is not None and not self.labelled):
                raise DataError(
                    "this example is unlike the first one",
                    where=f"example {number}",
                    got=f"{len(example.texts)} texts, label {example.label!r}",
                    expected=f"{texts} texts and {'a label' if self.labelled else 'no label'}",
                )
            yield example


def _batched(examples: Iterable[Example], size: int) -> Iterator[list[Example]]:
    """Blocks of `size` examples, the last one may be smaller."""
    source = iter(examples)
    while block := list(itertools.islice(source, size)):
        yield block
