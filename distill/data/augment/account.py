"""What was made: counts that add up over blocks and processes, and some samples for a person to read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from ...files import atomic_write, write_json
from .base import Example
from .pairs import Tally

SAMPLES = 20
"""So many samples are kept."""


@dataclass(frozen=True)
class Sample:
    """An example and one of its variants.

    Attributes:
        key: decides whether it is among the samples: a hash of the seed and the example.
        row: of the example.
        original: its text, or its two texts.
        variant: the texts of the variant.
    """

    key: str
    row: int
    original: tuple[str, ...]
    variant: tuple[str, ...]


@dataclass(frozen=True)
class Account:
    """Counts over examples and their variants. Accounts of parts add up to that of the whole, in any order.

    Attributes:
        tally: what became of the draws.
        least: fewest variants of an example; None where there is no example.
        most: most variants of an example.
        without: examples that have none.
        words: over all variants, the words that their originals have.
        changed: how many of these are replaced, hidden or cut away.
        samples: the examples with the smallest keys, a variant of each.
    """

    tally: Tally = field(default_factory=Tally)
    least: int | None = None
    most: int = 0
    without: int = 0
    words: int = 0
    changed: int = 0
    samples: tuple[Sample, ...] = field(default=())

    @classmethod
    def of(cls, made: Sequence[Example], tally: Tally, seed: int) -> Account:
        """The account of what one call of `Augmenter.augment_counted` gave.

        Args:
            made: examples, each with its variants behind it.
            tally: what became of the draws.
            seed: of the run.
        """
        groups = list(_groups(made))
        counts = [len(group) - 1 for group in groups]
        variants = [variant for group in groups for variant in group[1:]]
        samples = _first([_sample(group, seed) for group in groups if len(group) > 1])
        return cls(
            tally=tally,
            least=min(counts, default=None),
            most=max(counts, default=0),
            without=counts.count(0),
            words=sum(variant.words for variant in variants),
            changed=sum(variant.changed for variant in variants),
            samples=samples,
        )

    def __add__(self, other: Account) -> Account:
        return Account(
            tally=self.tally + other.tally,
            least=min((least for least in (self.least, other.least) if least is not None), default=None),
            most=max(self.most, other.most),
            without=self.without + other.without,
            words=self.words + other.words,
            changed=self.changed + other.changed,
            samples=_first((*self.samples, *other.samples)),
        )

    @property
    def rows(self) -> int:
        """How many examples and variants there are."""
        return self.tally.examples + self.tally.kept

    def to_dict(self) -> dict[str, Any]:
        """As JSON values that `from_dict` reads back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Account:
        """What `to_dict` gave, also after a way through JSON."""
        samples = [Sample(row["key"], row["row"], tuple(row["original"]), tuple(row["variant"])) for row in values["samples"]]
        return cls(**{**values, "tally": Tally(**values["tally"]), "samples": tuple(samples)})

    def report(self) -> dict[str, Any]:
        """The facts of the report, as JSON values."""
        tally = self.tally
        return {
            "examples": tally.examples,
            "variants": tally.kept,
            "rows": self.rows,
            "variants_per_example": {"mean": _share(tally.kept, tally.examples), "min": self.least or 0, "max": self.most},
            "examples_without_variants": _share(self.without, tally.examples),
            "words_changed": _share(self.changed, self.words),
            "draws": tally.draws,
            "dropped": {"duplicates": tally.duplicates, "unchanged": tally.unchanged, "empty": tally.empty},
            "samples": [{"row": s.row, "original": list(s.original), "variant": list(s.variant)} for s in self.samples],
        }


def report_lines(report: Mapping[str, Any]) -> list[str]:
    """A report in a few lines for the terminal."""
    each, dropped, speed = report["variants_per_example"], report["dropped"], report.get("speed")
    lines = [
        f"{report['examples']:,} examples, {report['variants']:,} variants: {each['mean']:.1f} each ({each['min']} to "
        f"{each['max']}), {_percent(report['examples_without_variants'])} of the examples have none",
        f"{_percent(report['words_changed'])} of the words of a variant are changed; of {report['draws']:,} draws "
        f"{dropped['duplicates']:,} had been made before, {dropped['unchanged']:,} were the original, {dropped['empty']:,} empty",
    ]
    if speed and speed["per_second"] is not None:
        lines.append(f"{speed['per_second']:,.0f} sentences a second")
    return lines


def report_markdown(report: Mapping[str, Any], title: str) -> str:
    """A report as a page to read."""
    lines = [f"# {title}", "", *(f"- {line}" for line in report_lines(report))]
    if report["samples"]:
        lines += ["", "## Samples", "", "| row | original | variant |", "| ---: | --- | --- |"]
    for sample in report["samples"]:
        lines.append(f"| {sample['row']} | {_cell(sample['original'])} | {_cell(sample['variant'])} |")
    return "\n".join(lines) + "\n"


def write_report(report: Mapping[str, Any], place: Path) -> None:
    """Write a report as `place`.json and `place`.md."""
    write_json(place.with_name(f"{place.name}.json"), dict(report))
    atomic_write(place.with_name(f"{place.name}.md"), report_markdown(report, "What the augmentation made"))


def _groups(made: Iterable[Example]) -> Iterator[list[Example]]:
    """Each example with its variants."""
    number = 0

    def place(example: Example) -> int:
        nonlocal number
        number += example.variant == 0
        return number

    for _, group in groupby(made, place):
        yield list(group)


def _sample(group: Sequence[Example], seed: int) -> Sample:
    """An example and one of its variants, chosen by a hash."""
    original = group[0]
    digest = hashlib.blake2b(repr((seed, *original.texts)).encode("utf-8", "surrogatepass"), digest_size=8)
    chosen = group[1 + int.from_bytes(digest.digest(), "big") % (len(group) - 1)]
    return Sample(digest.hexdigest(), original.row, original.texts, chosen.texts)


def _first(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """The samples with the smallest keys; of equal examples the first row."""
    kept: dict[str, Sample] = {}
    for sample in sorted(samples, key=lambda sample: (sample.key, sample.row)):
        kept.setdefault(sample.key, sample)
    return tuple(kept.values())[:SAMPLES]


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _cell(texts: Sequence[str]) -> str:
    """Texts in a cell of a table: no line break, no bar, at most 300 characters each."""
    flat = (" ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|") for text in texts)
    return "<br>".join(text if len(text) <= 300 else text[:299] + "…" for text in flat)
