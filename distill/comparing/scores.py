"""Paired differences of two runs, on the predictions that they stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import RunError
from ..files import fingerprint
from ..report.predictions import KINDS, TOLERANCE, Judged, damaged, examples_of, judged, read_predictions
from ..report.schema import Model, Quality
from .paired import paired_statistic
from .schema import Candidate, PairedScore
from .sides import Side


@dataclass(frozen=True)
class Scored:
    """What a model gave on one evaluation set.

    Attributes:
        judged: its metric.
        examples: a hash of the rows without what the model says of them: equal where two models saw the same examples.
    """

    judged: Judged
    examples: str


def read_scored(run: Path, task: str, model: str, kind: str) -> Scored | None:
    """The predictions of one model on one evaluation set.

    Args:
        run: the run folder.
        task: name of the set.
        model: teacher, student or an exported file.
        kind: of the set.

    Returns:
        None where this kind keeps no predictions that can be compared, and of an agreement of vectors of two widths.

    Raises:
        RunError: the file is missing or damaged.
        MissingExtra: pyarrow is not installed.
    """
    path = run / "predictions" / task / f"{model}.parquet"
    if kind not in KINDS or (kind == "agreement" and not path.is_file()):
        return None
    columns, needed = read_predictions(path), KINDS[kind].numbers
    if kind == "agreement" and needed[0] not in columns:
        return None
    found = judged(kind, columns)
    if found is None:
        missing = [name for name in needed if name not in columns]
        rows = len(next(iter(columns.values()), ()))
        got = f"no column {missing[0]}" if missing else "something else" if rows else "no rows"
        raise damaged(path, got, f"numbers in {', '.join(needed)}")
    return Scored(found, fingerprint(examples_of(kind, columns)))


class Scores:
    """The stored predictions of the runs' models, read when they are asked for.

    Args:
        usable: the runs.
        models: the model that stands for each.
    """

    def __init__(self, usable: Sequence[Side], models: Mapping[str, Model | None]) -> None:
        self._sides = {side.label: side for side in usable}
        self._models = models
        self._read: dict[tuple[str, str, str], Scored | None] = {}

    def of(self, side: Side, model: Model, task: str) -> Scored | None:
        """What a model gave on a set; None where its kind keeps no predictions."""
        key = (side.label, model.name, task)
        if key not in self._read:
            kind = "agreement" if task == "agreement" else model.quality[task].kind
            self._read[key] = read_scored(side.path, task, model.name, kind)
        return self._read[key]

    def compare(self, side: Side, task: str, base: Side) -> PairedScore:
        """A run against the baseline on one set."""
        ours, theirs = self._models[side.label], self._models[base.label]
        assert ours is not None
        assert theirs is not None
        return self._pair((side, ours), (base, theirs), task)

    def between(self, one: Candidate, other: Candidate, task: str) -> PairedScore:
        """Two candidates on one set."""
        pairs = []
        for candidate in (one, other):
            side = self._sides[candidate.run]
            model = side.model(candidate.model)
            assert model is not None
            pairs.append((side, model))
        return self._pair(pairs[0], pairs[1], task)

    def _pair(self, one: tuple[Side, Model], other: tuple[Side, Model], task: str) -> PairedScore:
        found = [self.of(side, model, task) for side, model in (one, other)]
        metric, label = one[1].quality[task].metric, one[0].label
        if found[0] is None or found[1] is None:
            note = "this kind of evaluation keeps no predictions that can be compared one by one"
            return PairedScore(run=label, task=task, metric=metric, note=note)
        ours, theirs = found[0].judged, found[1].judged
        if found[0].examples != found[1].examples or ours.n != theirs.n:
            note = f"the runs were judged on different examples of {task} (n = {ours.n:,} and {theirs.n:,})"
            return PairedScore(run=label, task=task, metric=ours.metric, note=note)
        values = paired_statistic(ours.statistic(), theirs.statistic(), ours.n)
        for (side, model), value in ((one, values["a"]), (other, values["b"])):
            _agrees(side, model.quality[task], value, task, ours.metric)
        undefined = None if values["difference"] is not None else f"{ours.metric} is undefined for one of the two models"
        kept = {key: values[key] for key in ("difference", "ci95", "p", "n")}
        return PairedScore(run=label, task=task, metric=ours.metric, note=undefined, **kept)


def _agrees(side: Side, quality: Quality, value: float | None, task: str, metric: str) -> None:
    """The stored predictions are those that quality.json speaks of."""
    told = quality.value if quality.metric == metric else None
    if told is not None and (value is None or abs(told - value) > TOLERANCE):
        raise RunError(
            f"the predictions on {task} do not give the quality that the run notes",
            where=f"{side.label}/predictions/{task}",
            got=value,
            expected=f"{told} ({metric}, quality.json)",
            hint="run its recipe again with --force",
        )
