"""Dotted overrides (`student.layers=2`, `train.epochs=4`) put into a recipe's tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from .errors import DistillError, UserError
from .recipe import normalise
from .recipe_yaml import parse_value

EVERY_STAGE = ("epochs", "max_steps", "batch_size", "learning_rate", "warmup", "schedule")
"""`train.<one of these>` sets it for every stage."""


def read_overrides(overrides: Mapping[str, Any] | Sequence[str]) -> list[tuple[str, Any]]:
    """`["a.b=1"]` or `{"a.b": 1}` as pairs of path and value.

    Raises:
        UserError: an entry has no `=` or an empty path.
    """
    if isinstance(overrides, str):
        overrides = [overrides]
    if isinstance(overrides, Mapping):
        return [(str(path), plain(value)) for path, value in overrides.items()]
    pairs = []
    for text in overrides:
        path, equals, value = text.partition("=")
        if not equals or not all(path.split(".")):
            raise UserError("this is not an override", got=text, expected="path=value, such as student.layers=2")
        pairs.append((path.strip(), parse_value(value, path)))
    return pairs


def apply_overrides(tree: Mapping[str, Any], pairs: Sequence[tuple[str, Any]]) -> tuple[dict[str, Any], list[DistillError]]:
    """A copy of `tree` with every override put in, in order.

    A path may go through a list by number (`stages.0.epochs`), or without one where the list has one entry
    (`data.train.limit`). `train.epochs` and its like are set in every stage. Keys on the way are made when absent:
    the schema judges them afterwards.

    Returns:
        The new tree, and one error for each path that leads nowhere.
    """
    result: dict[str, Any] = normalise(plain(tree))
    problems: list[DistillError] = []
    for path, value in pairs:
        for target in _targets(result, path):
            try:
                _set(result, target, value)
            except UserError as problem:
                problems.append(problem)
        result = normalise(result)
    return result, problems


def plain(value: Any) -> Any:
    """Mappings, sequences and paths from Python as what YAML would give; everything copied."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, PurePath) else value


def _targets(tree: Mapping[str, Any], path: str) -> list[list[str]]:
    parts = path.split(".")
    stages = tree.get("stages")
    if len(parts) == 2 and parts[0] == "train" and parts[1] in EVERY_STAGE and isinstance(stages, list):
        return [["stages", str(number), parts[1]] for number in range(len(stages))]
    return [parts]


def _set(tree: dict[str, Any], parts: list[str], value: Any) -> None:
    owner: Any = tree
    for depth, part in enumerate(parts):
        key: Any = part
        if isinstance(owner, list):
            owner, key = _entry(owner, parts, depth)
        if not isinstance(owner, list if isinstance(key, int) else dict):
            raise UserError("this path goes through a value that has no keys", where=".".join(parts), got=owner)
        if depth == len(parts) - 1:
            owner[key] = value
            return
        if isinstance(owner, dict) and owner.get(key) is None:
            owner[key] = {}
        owner = owner[key]


def _entry(owner: list[Any], parts: list[str], depth: int) -> tuple[Any, str | int]:
    """Where to go on in a list: at a numbered entry, or inside the only one."""
    name, part = ".".join(parts[:depth]), parts[depth]
    if part.isascii() and part.isdigit():
        if len(part) > 9 or int(part) >= len(owner):
            expected = f"a number from 0 to {len(owner) - 1}" if owner else "nothing: the list is empty"
            raise UserError(f"{name} has no entry {part}", where=".".join(parts), got=part, expected=expected)
        return owner, int(part)
    if len(owner) != 1:
        raise UserError(
            f"{name} has {len(owner)} entries", where=".".join(parts), got=part, expected=f"a number, such as {name}.0.{part}"
        )
    return owner[0], part
