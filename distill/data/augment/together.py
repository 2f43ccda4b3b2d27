"""The variants of a run's own examples: its processes share the blocks, and what was made survives an interruption."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ...processes import meet, rank, total, world
from ...progress import note, track
from .account import Account
from .base import Example
from .crew import Make, Worker
from .parts import Parts, part_key
from .stream import BLOCK, batched, known_by


def augment_together(
    examples: Sequence[Example], make: Make, seed: int, parts: Parts, *, settings: Any
) -> Iterator[tuple[list[Example], Account]]:
    """Augment examples that every process of a run has, each its share of the blocks, and read back what all have made.

    A block that is among the parts is not made again; without one to make, neither is the augmenter. Every process of the run
    must call it, with the same arguments, and go through all that it yields: then the parts may be removed.

    Args:
        examples: the originals, without labels.
        make: makes the augmenter.
        seed: of the draws.
        parts: where the blocks are kept; on a file system that all processes share.
        settings: JSON value of what decides the variants but the seed.

    Yields:
        The originals of a block, each followed by its variants; and their account.

    Raises:
        RunError: a part is not there after all, or the disk cannot be written.
    """
    known = known_by(settings, seed)
    blocks = list(batched(examples, BLOCK))
    keys = [part_key(known, some) for some in blocks]
    mine = range(rank(), len(keys), world())
    missing = [number for number in mine if parts.find(number, keys[number]) is None]
    there = total(len(mine) - len(missing))
    if there:
        note(f"augmenting: {there:,} of {len(keys):,} parts were there already")
    waiting = [example for number in missing for example in blocks[number]]
    shown = track(waiting, total=len(waiting), description="augmenting", unit="examples")
    worker = Worker(make, seed)
    for number, some in zip(missing, batched(shown, BLOCK), strict=True):
        parts.write(number, keys[number], *worker.work(some, labelled=False))
    meet()
    for number, key in enumerate(keys):
        yield parts.read(number, key)
    meet()
