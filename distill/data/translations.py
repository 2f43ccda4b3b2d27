"""Translations for training: both sides are the student's text, the first one is what the teacher reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..recipe import DataSpec, ParallelSpec
from .parallel.read import read_parallel
from .text import digest, normalise


@dataclass(frozen=True)
class Row:
    """A text that the student reads.

    Attributes:
        text: as the student reads it.
        goal: the text whose teacher vector it shall have.
        goal_key: digest of the folded goal: rows of one goal stay together when dev is held out.
        language: its language tag; empty where nobody said.
    """

    text: str
    goal: str
    goal_key: bytes
    language: str = ""


def read_translations(
    specs: Iterable[ParallelSpec], data: DataSpec, blocked: set[bytes], counts: Counter[str]
) -> dict[bytes, Row]:
    """Digest -> row of both sides of every translation that may be trained on, in order.

    A pair is dropped whole when either side is too short or too long, or occurs in an evaluation set. A text that comes
    again, on its own or as another pair's side, keeps the goal it had first.

    Args:
        specs: the sources, in order.
        data: the limits.
        blocked: digests of what is evaluated on.
        counts: `pairs_read`, `pairs_kept` and, by the first reason that applies, `pairs_length`, `pairs_evaluation`,
            `pairs_repeated` are raised.

    Raises:
        DataError: a source cannot be read.
    """
    kept: dict[bytes, Row] = {}
    for spec in specs:
        for row in read_parallel(spec, on_bad_row=data.on_bad_row, counts=counts):
            counts["pairs_read"] += 1
            source, translation = normalise(row.source), normalise(row.translation)
            if not all(data.min_chars <= len(side) <= data.max_chars for side in (source, translation)):
                counts["pairs_length"] += 1
                continue
            key, other = digest(source), digest(translation)
            if key in blocked or other in blocked:
                counts["pairs_evaluation"] += 1
                continue
            if other in kept:
                counts["pairs_repeated"] += 1
                continue
            counts["pairs_kept"] += 1
            first, second = (language.lower() for language in row.languages)
            goal = kept.setdefault(key, Row(source, source, key, first))
            kept[other] = Row(translation, goal.goal, goal.goal_key, second)
    return kept


def draw_counts(sizes: Mapping[str, int], temperature: float) -> dict[str, int]:
    """How many rows of each language an epoch holds.

    p(l) is in proportion to n(l)^(1/T); the sum stays that of all rows, so that an epoch is as long as before.

    Args:
        sizes: language -> rows.
        temperature: T >= 1.

    Returns:
        Language -> rows an epoch, at least one each.
    """
    total = sum(sizes.values())
    weights = {name: count ** (1 / temperature) for name, count in sizes.items()}
    share = total / sum(weights.values())
    wanted = {name: max(1, int(weight * share)) for name, weight in weights.items()}
    rest = sorted(sizes, key=lambda name: (int(weights[name] * share) - weights[name] * share, name))
    for name in rest[: max(0, total - sum(wanted.values()))]:
        wanted[name] += 1
    return wanted
