"""The runs of a sweep: values of some places of a recipe, every combination of them, a label each. Imports no torch."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import DistillError, RecipeError, UserError
from .recipe import Recipe
from .recipe_check import check_recipe
from .recipe_load import RecipeLike, load_recipe
from .recipe_overrides import plain
from .recipe_yaml import parse_value

Axes = Mapping[str, Any] | Sequence[str]
NAME_LENGTH = 80
"""Longest name of a recipe."""
LABEL_LENGTH = 60
PAIRS = {"[": "]", "{": "}"}


@dataclass(frozen=True)
class Planned:
    """A run that shall be made.

    Attributes:
        label: of its folder, unique in the sweep.
        values: dotted path -> its value, those that vary.
        recipe: resolved.
    """

    label: str
    values: dict[str, Any]
    recipe: Recipe


def plan_sweep(recipe: RecipeLike, axes: Axes, max_runs: int) -> tuple[Recipe, list[Planned]]:
    """The recipe of the first combination, and every combination, the last place varying fastest.

    Raises:
        UserError: a place is malformed, named twice or without values, nothing varies, or there are too many combinations.
        RecipeError: a combination is no recipe; those of all combinations are told at once.
    """
    places = read_axes(axes)
    fixed = {path: values[0] for path, values in places.items() if len(values) == 1}
    varying = {path: values for path, values in places.items() if len(values) > 1}
    count = 1
    for values in varying.values():
        count *= len(values)
    if not varying:
        got = ", ".join(places) or "nothing"
        raise UserError("nothing varies in this sweep", got=got, expected="a path with two values or more: student.layers=2,3,4")
    if count > max_runs:
        told = " x ".join(f"{len(values)} of {path}" for path, values in varying.items())
        raise UserError(
            f"this sweep has {count:,} runs",
            got=told,
            expected=f"at most {max_runs}",
            hint="fewer values, or a higher --max-runs",
        )
    base = load_recipe(recipe, {path: values[0] for path, values in places.items()})  # without them it need not be a recipe
    planned: list[Planned] = []
    problems: list[DistillError] = []
    labels = _labels(varying)
    for label, chosen in zip(labels, itertools.product(*varying.values()), strict=True):
        here = dict(zip(varying, chosen, strict=True))
        name = f"{base.name}-{label}"[:NAME_LENGTH].rstrip("-._")
        try:
            planned.append(Planned(label, here, load_recipe(recipe, {**fixed, **here, "name": name})))
        except RecipeError as error:
            problems += [_of_run(label, problem) for problem in error.problems]
    if problems:
        raise RecipeError(problems, f"sweep of {base.name}")
    return base, planned


def check_plan(planned: Sequence[Planned]) -> None:
    """Look at the local files that every run names.

    Raises:
        RecipeError: a run cannot be made; the problems of all runs are told at once.
    """
    problems: list[DistillError] = []
    for plan in planned:
        try:
            check_recipe(plan.recipe)
        except RecipeError as error:
            problems += [_of_run(plan.label, problem) for problem in error.problems]
    if problems:
        raise RecipeError(problems, "this sweep")


def _of_run(label: str, problem: DistillError) -> DistillError:
    where = label if problem.where is None else f"{label}, {problem.where}"
    return DistillError(problem.message, where=where, got=problem.got, expected=problem.expected, hint=problem.hint)


def read_axes(axes: Axes) -> dict[str, list[Any]]:
    """Dotted path -> its values.

    Text is cut at commas, but not inside quotes, brackets or braces: `stages.0.batch_size=16,32` has two values,
    `measure.batch=[1,32]` one, `measure.batch=[1],[1,32]` two, and `teacher.prompt="a, b"` one.

    Raises:
        UserError: a text has no `=`, a path is empty or stands twice, a value is empty or stands twice.
    """
    found: dict[str, list[Any]] = {}
    pairs: list[tuple[str, list[Any]]]
    if isinstance(axes, Mapping):
        pairs = [
            (str(path), [plain(value) for value in values] if isinstance(values, list | tuple | range) else [plain(values)])
            for path, values in axes.items()
        ]
    else:
        pairs = [_read(text) for text in ([axes] if isinstance(axes, str) else axes)]
    for path, values in pairs:
        if path in found:
            raise UserError("this path stands twice in the sweep", where=path, hint=f"give all its values at once: {path}=a,b")
        if path == "name":
            raise UserError("the runs of a sweep are named by their values", where="name", hint="give the folder with --out")
        if not values:
            raise UserError("this path has no value", where=path)
        known = [json.dumps(value, sort_keys=True, default=str) for value in values]
        twice = next((value for value, text in zip(values, known, strict=True) if known.count(text) > 1), None)
        if len(set(known)) < len(known):
            raise UserError("this value stands twice", where=path, got=twice)
        found[path] = values
    return found


def _read(text: str) -> tuple[str, list[Any]]:
    path, equals, rest = text.partition("=")
    if not equals or not all(path.split(".")):
        raise UserError("this is not a sweep over values", got=text, expected="path=value,value such as student.layers=2,3,4")
    parts = split_values(rest, path)
    if any(not part.strip() for part in parts):
        raise UserError("a value is empty", where=path.strip(), got=rest or "nothing", expected="values with commas between them")
    return path.strip(), [parse_value(part.strip() if len(parts) > 1 else part, path) for part in parts]


def split_values(text: str, where: str) -> list[str]:
    """Cut at commas outside quotes, brackets and braces.

    A quote counts where a value begins with it, or inside brackets; elsewhere it is a letter, as in `it's`.

    Raises:
        UserError: a quote or a bracket is not closed.
    """
    parts: list[str] = []
    closing: list[str] = []
    start, quote = 0, ""
    for place, sign in enumerate(text):
        if quote:
            if sign == quote and text[place - 1] != "\\":
                quote = ""
        elif sign in "\"'" and (closing or not text[start:place].strip()):
            quote = sign
        elif sign in PAIRS and (closing or not text[start:place].strip()):
            closing.append(PAIRS[sign])
        elif closing:
            if sign == closing[-1]:
                closing.pop()
        elif sign == ",":
            parts.append(text[start:place])
            start = place + 1
    if quote or closing:
        raise UserError("this is not closed", where=where, got=text, expected=f"a {quote or closing[-1]} at its end")
    return [*parts, text[start:]]


def _labels(varying: Mapping[str, Sequence[Any]]) -> list[str]:
    """A folder's name for each combination: the last part of each path and the value, told apart by numbers where equal."""
    ends = [path.rpartition(".")[2] for path in varying]
    names = ends if len(set(ends)) == len(ends) else [path.replace(".", "-") for path in varying]
    found: list[str] = []
    for chosen in itertools.product(*varying.values()):
        parts = [f"{name}-{_slug(value)}" for name, value in zip(names, chosen, strict=True)]
        label = _slug("_".join(parts))[:LABEL_LENGTH].rstrip("-._")
        number, unique = 2, label
        while unique in found:
            unique, number = f"{label}-{number}", number + 1
        found.append(unique)
    return found


def _slug(value: Any) -> str:
    """A value as part of a folder's name."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=True)
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.") or "value"
