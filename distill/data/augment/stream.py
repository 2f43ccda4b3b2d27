"""Examples in, examples and their variants out: block by block, in one process or several, and resumable.

What is made of an example depends on it and on the seed alone, so blocks and processes change no byte of the output.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ... import __version__
from ...errors import DataError, UserError
from ...files import lock
from ...progress import track
from ..sources import UNREADABLE
from .account import Account, write_report
from .base import Example, Rng
from .crew import Crew, Make, Processes, Task
from .pairs import Augmenter
from .parts import Parts, output_format, part_key

__all__ = ["BLOCK", "Make", "augment_in_blocks", "batched", "known_by", "write_augmented"]

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
    for some in batched(shown, block):
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
    workers: int | Crew = 1,
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
        workers: processes, each with a model of its own; or who else augments the blocks, and is closed at the end.
        block: examples per part.
        total: how many examples there are, if that is known, for the progress.

    Returns:
        The report, as in `OUT.report.json`.

    Raises:
        DataError: there are no examples, or one of them cannot be augmented or written.
        RunError: the disk cannot be written, another process writes this output, or a worker died.
    """
    out = Path(out)
    chosen = output_format(out, form)
    if isinstance(workers, int) and workers < 1:
        raise UserError("there must be at least one process", where="workers", got=workers, expected="1 or more")
    shape = _Shape()
    start = time.perf_counter()
    known = known_by(settings, seed)
    parts = Parts(out)
    with lock(parts.folder / ".lock", "this output", wait=False):
        try:
            account, count, fresh = Account(), 0, 0
            with _closing(Processes(make, seed, workers) if isinstance(workers, int) else workers) as crew:
                shown = track(shape.checked(examples), total=total, description="augmenting", unit="examples")
                for number, found, is_new in _parts(batched(shown, block), parts, known, crew, shape):
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
    blocks: Iterable[list[Example]], parts: Parts, settings: str, crew: Crew, shape: _Shape
) -> Iterator[tuple[int, Account, bool]]:
    """Every part's number and account, in order, and whether it was made now; a few are under way at a time."""
    waiting: deque[tuple[int, str, Account | Task]] = deque()
    for number, examples in enumerate(blocks):
        key = part_key(settings, examples)
        waiting.append((number, key, parts.find(number, key) or crew.start(examples, shape.labelled)))
        if len(waiting) > crew.ahead:
            yield _finished(parts, *waiting.popleft())
    while waiting:
        yield _finished(parts, *waiting.popleft())


def _finished(parts: Parts, number: int, key: str, task: Account | Task) -> tuple[int, Account, bool]:
    if isinstance(task, Account):
        return number, task, False
    data, account = task()
    parts.write(number, key, data, account)
    return number, account, True


@contextlib.contextmanager
def _closing(crew: Crew) -> Iterator[Crew]:
    """A crew for the block; where that fails, nobody waits for what was begun."""
    try:
        yield crew
    except BaseException:
        crew.close(wait=False)
        raise
    crew.close(wait=True)


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


def known_by(settings: Any, seed: int) -> str:
    """What tells an augmentation from others, for `part_key`.

    Args:
        settings: JSON value of all that decides it but the seed.
        seed: of the draws.
    """
    return json.dumps({"settings": settings, "seed": seed, "toolkit": __version__}, sort_keys=True, ensure_ascii=False)


def batched(examples: Iterable[Example], size: int) -> Iterator[list[Example]]:
    """Blocks of `size` examples, the last one may be smaller."""
    source = iter(examples)
    while block := list(itertools.islice(source, size)):
        yield block
