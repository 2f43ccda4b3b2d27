"""Label names: out of the data, or given; and which output of a model stands for which label, told by name alone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DataError, ModelError, shorten
from .columns import number
from .examples import LabelSet

_UNNAMED = re.compile(r"label[_ -]?(\d+)", re.IGNORECASE)

SYNONYMS: tuple[frozenset[str], ...] = (
    frozenset({"negative", "neg"}),
    frozenset({"positive", "pos"}),
    frozenset({"neutral", "neu"}),
    frozenset({"entailment", "entail", "entails"}),
    frozenset({"contradiction", "contradict", "contradicts"}),
    frozenset({"not entailment", "non entailment"}),
    frozenset({"acceptable", "grammatical"}),
    frozenset({"unacceptable", "ungrammatical"}),
)
"""Words for one label that models of the same task use. Compared after `_plain`."""


@dataclass(frozen=True)
class LabelMatch:
    """Which output of a model stands for which label.

    Attributes:
        order: int64 [C]; `logits[:, order]` has the data's order of labels.
        notes: names that differ in spelling and were still taken for the same label, in words.
    """

    order: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether the model's order is the data's."""
        return bool((self.order == np.arange(len(self.order))).all())


def sorted_names(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once: by value where all are numbers, else by spelling."""
    found = set(names)
    values = {name: number(name) for name in found}
    return tuple(sorted(found, key=lambda name: (values[name] if None not in values.values() else 0.0, name)))


def label_set(found: Iterable[str], where: str, given: Sequence[str] | None = None) -> LabelSet:
    """The labels of a data set, be they one; `learnable` says whether they are enough.

    Args:
        found: names that occur in it.
        where: what to call it in an error.
        given: all names, in the order that the outputs shall have; None sorts those found.

    Raises:
        DataError: a name is found that is not given.
    """
    names = sorted_names(found)
    if given is not None:
        strange = [name for name in names if name not in given]
        if strange:
            raise DataError(
                "labels that are not among the names given",
                where=where,
                got=", ".join(strange[:10]),
                expected=", ".join(given),
                hint="add them to data.labels, or correct the data",
            )
    return LabelSet(tuple(given) if given is not None else names)


def learnable(found: Iterable[str], where: str) -> None:
    """See that there are labels to tell apart.

    Args:
        found: names that occur in what is learnt from.
        where: what to call it in an error.

    Raises:
        DataError: fewer than two different names are found.
    """
    names = sorted_names(found)
    if len(names) < 2:
        raise DataError(
            "too few different labels to learn from",
            where=where,
            got=f"every label is '{names[0]}'" if names else "no labels",
            expected="two different labels or more",
            hint="check the columns; where the rows are sorted by label, `limit` takes those of one label alone",
        )


def is_unnamed(names: Iterable[str]) -> bool:
    """Whether a model's labels are only LABEL_0, LABEL_1, ...: nobody named them, and maybe nobody trained them."""
    found = list(names)
    return bool(found) and all(_UNNAMED.fullmatch(name) for name in found)


def match_labels(
    data: LabelSet, id2label: Mapping[int, str], *, who: str = "teacher", unnamed: Sequence[str] | None = None
) -> LabelMatch:
    """Match a model's outputs with the data's labels, by name and never by number.

    Spelling counts first; then case, `_` and `-` are passed over; then the words of `SYNONYMS` count as one. A label that
    could be two of the model's, or two that could be one, is an error.

    Args:
        data: labels of the data.
        id2label: the model's names by output number.
        who: what to call the model in an error.
        unnamed: names of the model's outputs, in their order, to use where it has none of its own (LABEL_0, ...).

    Returns:
        The order of the model's outputs, and notes on names that differ in spelling.

    Raises:
        ModelError: the sets of labels differ, or the model has no names and none are given.
    """
    model = [str(id2label[index]) for index in sorted(id2label, key=int)]
    notes: list[str] = []
    if is_unnamed(model) and not is_unnamed(data.names):
        if unnamed is None:
            raise _no_names(data, model, who)
        if len(unnamed) != len(model):
            raise ModelError(
                f"as many names as the {who} has outputs are needed",
                where="data.labels",
                got=f"{len(unnamed)}: {', '.join(unnamed)}",
                expected=f"{len(model)} names, in the order of the {who}'s outputs",
            )
        notes.append(f"the {who} does not name its outputs: they are taken to be {', '.join(unnamed)}, in this order")
        model = list(unnamed)
    order = _pair_up(data.names, model, who, notes)
    if order is None:
        raise _differ(data, model, who)
    return LabelMatch(np.array(order, dtype=np.int64), tuple(notes))


def _pair_up(ours: Sequence[str], theirs: Sequence[str], who: str, notes: list[str]) -> list[int] | None:
    """For each of ours its place in theirs, under the strictest reading of names that pairs them all off; None if none does."""
    for reading, words in ((str, ""), (_plain, "up to case"), (_meaning, "as a synonym")):
        left, right = [reading(name) for name in ours], [reading(name) for name in theirs]
        if len(set(left)) == len(left) and sorted(left) == sorted(right):
            order = [right.index(name) for name in left]
            notes += [
                f"label '{name}' of the data is '{theirs[place]}' of the {who} ({words})"
                for name, place in zip(ours, order, strict=True)
                if name != theirs[place]
            ]
            return order
    return None


def _plain(name: str) -> str:
    return " ".join(re.sub("[_-]", " ", unicodedata.normalize("NFC", name).casefold()).split())


def _meaning(name: str) -> str:
    plain = _plain(name)
    return next((min(group) for group in SYNONYMS if plain in group), plain)


def _no_names(data: LabelSet, model: Sequence[str], who: str) -> ModelError:
    return ModelError(
        f"the labels of the {who} have no names: it was not fine-tuned for this task, or its names were not kept",
        where=who,
        got=_list(model),
        expected=f"the labels of the data: {_list(data.names)}",
        hint=f"fine-tune the {who} on this data first; if it is trained, name its outputs in their order: "
        f"data.labels: [{', '.join(data.names[:6])}{', ...' if len(data) > 6 else ''}]",
    )


def _differ(data: LabelSet, model: Sequence[str], who: str) -> ModelError:
    numbers = all(number(name) is not None for name in data.names)
    return ModelError(
        f"the labels of the data and of the {who} differ",
        where=who,
        got=f"{who}: {_list(model)}",
        expected=f"data: {_list(data.names)}",
        hint="say what the numbers in the data mean, from 0 on: data.labels: [name of 0, name of 1, ...]"
        if numbers and not is_unnamed(model)
        else f"use a {who} that was trained on these labels, or rename them in the data",
    )


def _list(names: Sequence[str]) -> str:
    return shorten(f"{len(names)}: {', '.join(names)}", 160)
