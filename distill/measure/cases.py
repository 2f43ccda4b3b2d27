"""What is run: cells of the grid, the user's text, or synthetic text, as groups of rows that run together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..errors import DataError, ModelError
from ..files import expand
from ..foreign import check_regular
from ..runtime.text import TextInput
from .inputs import SEED

MOST_SENTENCES = 1000
"""Of a longer text so many lines are taken, spread evenly."""
MOST_SINGLE = 256
SYNTHETIC_ROWS = 256
SHORTEST = 4
EDGES = (8, 16, 32, 64, 128, 256, 512)
Scenario = Literal["single_stream", "offline", "server"]
Scope = Literal["model", "end_to_end"]


@dataclass(frozen=True)
class Case:
    """One thing that every model runs, at one number of threads.

    Attributes:
        scenario: single_stream, offline or server.
        kind: `full`: rows of `sequence` tokens each; `lengths`: rows of several lengths; `texts`: numbers of texts.
        batch: rows of a group.
        sequence: tokens of the longest row; None: the user's text, of its own lengths.
        groups: what runs together: of `full` its one shape [sequence] * batch, of `lengths` tokens a row, of `texts` numbers.
    """

    scenario: Scenario
    kind: Literal["full", "lengths", "texts"]
    batch: int
    sequence: int | None
    groups: tuple[tuple[int, ...], ...]

    @property
    def key(self) -> str:
        """A name of its own."""
        return f"{self.scenario} {self.batch} {'text' if self.sequence is None else self.sequence}"

    @property
    def fixed(self) -> bool:
        """Whether a block is a list of groups, each run once; else one group, as often as there is time."""
        return len(self.groups) > 1 or self.sequence is None

    def spec(self) -> dict[str, Any]:
        """What the worker is told."""
        return {"key": self.key, "kind": self.kind, "groups": self.groups}


def read_texts(path: Path) -> list[str]:
    """The lines of a UTF-8 file that are not blank, at most 1,000, spread evenly.

    Raises:
        DataError: the file is missing, is not UTF-8, or holds nothing but blank lines.
    """
    place = expand(path)
    try:
        if place.exists():
            check_regular(place, str(path))
        text = place.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError("this file cannot be read", where=str(path), got=error.strerror, expected="a text file") from error
    except UnicodeDecodeError as error:
        raise DataError("this text is not UTF-8", where=str(path), got=f"byte {error.start}", expected="UTF-8") from error
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if not lines:
        raise DataError(
            "this text is empty", where=str(path), expected="a sentence a line", hint="leave it out for synthetic text"
        )
    if len(lines) <= MOST_SENTENCES:
        return lines
    return [lines[place] for place in np.linspace(0, len(lines) - 1, MOST_SENTENCES).astype(int)]


def text_facts(path: Path, texts: Sequence[str], lengths: Sequence[int], cut: int) -> dict[str, Any]:
    """What measure.json says of the user's text; never a sentence of it.

    Args:
        path: the file.
        texts: those that are used.
        lengths: in tokens of the reference's tokenizer, special tokens included.
        cut: how many of them are longer than the reference takes.
    """
    counts = np.histogram(np.asarray(lengths), bins=[1, *(edge + 1 for edge in EDGES), 1 << 30])[0]
    names = [f"{low + 1}-{high}" for low, high in zip((0, *EDGES[:-1]), EDGES, strict=True)] + [f"over {EDGES[-1]}"]
    return {
        "file": path.name,
        "sentences": len(texts),
        "sha256": hashlib.sha256("\n".join(texts).encode("utf-8", "surrogatepass")).hexdigest(),
        "tokens": {
            "mean": round(float(np.mean(lengths)), 2),
            "p50": float(np.percentile(lengths, 50)),
            "p90": float(np.percentile(lengths, 90)),
            "most": int(max(lengths)),
            "cut": cut,
            "histogram": {name: int(count) for name, count in zip(names, counts, strict=True) if count},
        },
    }


def text_cases(scenarios: Sequence[Scenario], batch: Sequence[int], lengths: Sequence[int]) -> list[Case]:
    """The cases of the user's text.

    Args:
        scenarios: which of them.
        batch: sizes for the offline scenario.
        lengths: of each text in tokens, by which the offline scenario sorts.
    """
    found = []
    singles = tuple((int(place),) for place in _spread(len(lengths), MOST_SINGLE))
    for scenario in scenarios:
        if scenario == "offline":
            order = sorted(range(len(lengths)), key=lambda place: (lengths[place], place))
            for size in batch:
                groups = tuple(tuple(order[at : at + size]) for at in range(0, len(order), size))
                found.append(Case("offline", "texts", size, None, groups))
        else:
            found.append(Case(scenario, "texts", 1, None, singles))
    return found


def synthetic_cases(
    scenarios: Sequence[Scenario], batch: Sequence[int], sequence: Sequence[int], *, text_given: bool
) -> list[Case]:
    """The cases of synthetic lengths: full rows, and for the offline scenario rows of 4 tokens up to the longest, evenly drawn.

    Args:
        scenarios, batch, sequence: which of them.
        text_given: offline and server are then run on the text alone.
    """
    found = []
    if "single_stream" in scenarios:
        found += [Case("single_stream", "full", size, length, ((length,) * size,)) for size in batch for length in sequence]
    if text_given:
        return found
    for length in sequence:
        drawn = np.random.default_rng(SEED).integers(min(SHORTEST, length), length + 1, SYNTHETIC_ROWS)
        order = sorted(int(tokens) for tokens in drawn)
        if "offline" in scenarios:
            for size in batch:
                groups = tuple(tuple(order[at : at + size]) for at in range(0, len(order), size))
                found.append(Case("offline", "lengths", size, length, groups))
        if "server" in scenarios:
            found.append(Case("server", "full", 1, length, ((length,),)))
    return found


def as_texts(cases: Sequence[Case], source: TextInput, first: int, where: str) -> tuple[list[Case], list[str]]:
    """Synthetic cases as texts, for a scope that tokenizes.

    Args:
        cases: of the kinds `full` and `lengths`; those of the kind `texts` stay as they are.
        source: the tokenizer that counts.
        first: number of the first new text.
        where: whose tokenizer it is, for the error.

    Returns:
        The cases, and the new texts.
    """
    words = _single_words(source, where)
    rng = np.random.default_rng(SEED)
    special = len(source.tokenize([""])[0].ids)
    texts: list[str] = []
    found = []
    for case in cases:
        if case.kind == "texts":
            found.append(case)
            continue
        groups = []
        for lengths in case.groups:
            groups.append(tuple(range(first + len(texts), first + len(texts) + len(lengths))))
            texts += [" ".join(rng.choice(words, max(1, tokens - special))) for tokens in lengths]
        found.append(Case(case.scenario, "texts", case.batch, case.sequence, tuple(groups)))
    return found, texts


def blocks_of(case: Case, rounds: int) -> list[list[int]]:
    """Which groups each round runs: all of them once over the rounds, or in turn where there are fewer than rounds."""
    if not case.fixed:
        return [[0]] * rounds
    number = len(case.groups)
    return [list(range(turn, number, rounds)) or [turn % number] for turn in range(rounds)]


def _single_words(source: TextInput, where: str) -> list[str]:
    """Words of the vocabulary that are one token each in a running text."""
    names = [name.lstrip("Ġ▁") for name in sorted(source.tokenizer.get_vocab(with_added_tokens=False))]
    names = [name for name in dict.fromkeys(names) if name.isalpha() and len(name) > 1]
    names = [names[place] for place in _spread(len(names), 4000)] if names else []
    rows = source.tokenize([f"{name} {name}" for name in names])
    empty = len(source.tokenize([""])[0].ids)
    words = [name for name, row in zip(names, rows, strict=True) if len(row.ids) == empty + 2]
    if not words:
        raise ModelError(
            "this tokenizer has no words of one token to make synthetic text of",
            where=where,
            hint="give text of your own (--text, measure.text), or measure the model alone",
        )
    return words


def _spread(number: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, number - 1, min(number, most)).astype(int))
