"""Entailed and contradicting sentences of a premise as (anchor, positive, hard negative), as the SBERT and SimCSE scripts do."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from distill.errors import DataError, nearest

from .rows import NLI_LABELS


@dataclass(frozen=True)
class Triplets:
    """Rows to rank by.

    Attributes:
        anchors, positives, negatives: n sentences each.
        premises: different premises that were read.
        without_entailment: premises left out, since nothing follows from them.
        without_contradiction: premises that nothing contradicts: left out, or given another premise's sentence.
    """

    anchors: list[str]
    positives: list[str]
    negatives: list[str]
    premises: int
    without_entailment: int
    without_contradiction: int


@dataclass
class _Group:
    """What is told of one premise: sentences by label, in the order of the rows, each once."""

    entailment: dict[str, None]
    contradiction: dict[str, None]
    forward: bool = False


def nli_triplets(
    premises: Sequence[str], hypotheses: Sequence[str], labels: Sequence[str], *, both: bool, fill: bool, seed: int
) -> Triplets:
    """Triplets out of NLI rows, grouped by premise; of several sentences of one label one is drawn.

    Args:
        premises, hypotheses, labels: rows; labels by name.
        both: as SBERT's script: rows are read in both directions, and each group gives (premise, entailed, contradicting)
            and (entailed, premise, contradicting). Else as SimCSE's data: one triplet a premise.
        fill: give a premise that nothing contradicts a sentence of another premise, an easy negative like those of the
            batch; else it is left out.
        seed: of what is drawn; equal rows and seeds give equal triplets.

    Raises:
        DataError: a label is none of NLI's, or no triplet can be made.
    """
    unknown = next((label for label in labels if label not in NLI_LABELS), None)
    if unknown is not None:
        raise DataError(
            "this is no label of natural language inference",
            got=unknown,
            expected="one of " + ", ".join(NLI_LABELS),
            hint=nearest(unknown, NLI_LABELS),
        )
    groups: dict[str, _Group] = {}
    for premise, hypothesis, label in zip(premises, hypotheses, labels, strict=True):
        _add(groups, premise, hypothesis, label).forward = True
        if both:
            _add(groups, hypothesis, premise, label)
    chance = random.Random(seed)
    others = list(dict.fromkeys(hypotheses))
    found: list[tuple[str, str, str]] = []
    counts = {"premises": 0, "without_entailment": 0, "without_contradiction": 0}
    for premise, group in groups.items():
        counts["premises"] += group.forward
        if not group.entailment:
            counts["without_entailment"] += group.forward
            continue
        negatives: Iterable[str] = group.contradiction
        if not group.contradiction:
            counts["without_contradiction"] += group.forward
            negatives = _elsewhere(premise, group, others, chance) if fill and group.forward else ()
        choices = list(negatives)
        if not choices:
            continue
        entailed = list(group.entailment)
        found.append((premise, chance.choice(entailed), chance.choice(choices)))
        if both:
            found.append((chance.choice(entailed), premise, chance.choice(choices)))
    if not found:
        raise DataError(
            "no triplet can be made of these rows",
            got=f"{counts['premises']} premises: {counts['without_entailment']} without an entailed sentence, "
            f"{counts['without_contradiction']} without a contradicting one",
            expected="premises that have both",
            hint="nli_softmax needs no such pairs",
        )
    anchors, positives, negatives_ = (list(column) for column in zip(*found, strict=True))
    return Triplets(anchors, positives, negatives_, **counts)


def _add(groups: dict[str, _Group], premise: str, hypothesis: str, label: str) -> _Group:
    """Put a row into its group; a sentence does not follow from itself."""
    group = groups.setdefault(premise, _Group({}, {}))
    if label != "neutral" and premise != hypothesis:
        getattr(group, label)[hypothesis] = None
    return group


def _elsewhere(premise: str, group: _Group, others: Sequence[str], chance: random.Random) -> list[str]:
    """One sentence of another premise; none where there is no other."""
    own = {premise, *group.entailment}
    for _ in range(20):
        other = chance.choice(others)
        if other not in own:
            return [other]
    return [other for other in others if other not in own][:1]
