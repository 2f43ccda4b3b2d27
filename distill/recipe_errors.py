"""What pydantic found wrong with a recipe, in our words: path, got, expected, nearest name."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from .errors import DistillError, UserError, nearest
from .recipe import Recipe
from .recipe_overrides import EVERY_STAGE

Path = tuple[str | int, ...]

TAGS = ("name", "kind", "method")
"""Keys that tell the branches of a union apart."""

_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "string": "text",
    "bool": "true or false",
    "tuple": "a list",
    "list": "a list",
    "dict": "a mapping",
    "model": "a mapping",
}
"""First word of a pydantic error type -> what would have been right."""

_LIMITS = {
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "too_short": "a list of at least {min_length}",
    "string_too_short": "text that is not empty",
    "string_too_long": "text of at most {max_length} characters",
    "string_pattern_mismatch": "text that matches {pattern}",
    "finite_number": "a finite number",
    "none_required": "null: this version offers no choice here",
    "missing": "a value for it",
}


@dataclass(frozen=True)
class _Finding:
    """One pydantic error: where it is in the recipe as written, and the branch of a union that it speaks for."""

    path: Path
    branch: tuple[Path, str] | None
    error: Mapping[str, Any]

    @property
    def structural(self) -> bool:
        return self.error["type"] in ("missing", "extra_forbidden")


def translate(error: ValidationError, tree: Mapping[str, Any]) -> list[DistillError]:
    """One error per mistake, in the order of the recipe's schema.

    Args:
        error: raised by `Recipe.model_validate(tree)`.
        tree: what was validated.
    """
    findings = [_finding(item, tree) for item in error.errors(include_url=False, include_input=True) if not _echo(item)]
    merged: dict[Path, list[_Finding]] = {}
    for finding in _best_branches(findings):
        merged.setdefault(finding.path, []).append(finding)
    return [_problem(path, group, tree) for path, group in merged.items()]


def _echo(error: Any) -> bool:
    """Whether a list is called too short only because an entry of it was refused, which has an error of its own."""
    return error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]


def _finding(error: Any, tree: Any) -> _Finding:
    """Drop the names of union branches from pydantic's location: they are no part of the recipe."""
    here: Any = tree
    path: list[str | int] = []
    branch: tuple[Path, str] | None = None
    tagged: Path | None = None
    for position, part in enumerate(error["loc"]):
        if tagged != tuple(path) and _is_tagged(tuple(path), tree):
            tagged = tuple(path)  # the part is the branch's tag, even where a key of the branch is called alike
            continue
        last_missing = error["type"] == "missing" and position == len(error["loc"]) - 1
        if isinstance(here, Mapping) and (part in here or last_missing):
            here = here.get(part)
        elif isinstance(here, (list, tuple)) and isinstance(part, int) and part < len(here):
            here = here[part]
        else:
            branch = branch or (tuple(path), str(part))
            continue
        path.append(part)
    return _Finding(tuple(path), branch, error)


def _best_branches(findings: Sequence[_Finding]) -> list[_Finding]:
    """Of a union's branches keep the one that the value comes closest to."""
    branches: dict[Path, dict[str, list[_Finding]]] = {}
    for finding in findings:
        if finding.branch:
            branches.setdefault(finding.branch[0], {}).setdefault(finding.branch[1], []).append(finding)
    kept: set[tuple[Path, str]] = set()
    for point, by_name in branches.items():
        scores = {
            name: (sum(item.structural for item in group), len(group), -max(len(item.path) for item in group))
            for name, group in by_name.items()
        }
        kept.update((point, name) for name, score in scores.items() if score == min(scores.values()))
    return [finding for finding in findings if finding.branch is None or finding.branch in kept]


def _problem(path: Path, group: Sequence[_Finding], tree: Mapping[str, Any]) -> DistillError:
    error = group[0].error
    kind, context, got = error["type"], error.get("ctx", {}), error.get("input")
    where = ".".join(map(str, path)) or None
    if kind == "extra_forbidden":
        return UserError(f"unknown key '{path[-1]}'", where=where, hint=_key_hint(path, tree))
    if kind == "missing":
        return UserError(
            f"the key '{path[-1]}' is missing", where=where, expected=_type_words(path, tree), hint=_sibling_hint(path, tree)
        )
    if kind == "union_tag_not_found":
        word = str(context.get("discriminator", "name")).strip("'")
        return UserError(f"the key '{word}' is missing", where=where, expected="one of: " + ", ".join(_tags(path, tree)))
    if kind == "union_tag_invalid":
        tag, tags = str(context.get("tag")), _tags(path, tree)
        word = str(context.get("discriminator", "name")).strip("'")
        return UserError(
            f"unknown {word} '{tag}'", where=f"{where}.{word}", hint=nearest(tag, tags), expected="one of: " + ", ".join(tags)
        )
    if kind == "literal_error":
        choices = _choices(path, tree)
        return UserError(
            "unknown value", where=where, got=got, expected="one of: " + ", ".join(choices), hint=_close(got, choices)
        )
    if kind == "value_error":
        return UserError(str(context.get("error", error["msg"])), where=where, got=got if path else None)
    expected = " or ".join(dict.fromkeys(expected_of(finding.error) for finding in group))
    return UserError("this value does not fit", where=where, got=repr(got) if got in (None, "") else got, expected=expected)


def expected_of(error: Mapping[str, Any]) -> str:
    """What a pydantic error would have taken, in words."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in _LIMITS:
        return _LIMITS[kind].format(**context)
    return _EXPECTED.get(kind.split("_")[0], error["msg"])


def _key_hint(path: Path, tree: Mapping[str, Any]) -> str | None:
    if path[0] == "train" and len(path) == 2 and path[1] in EVERY_STAGE:
        return f"it belongs to a stage: stages.0.{path[1]}, or the override train.{path[1]}=... for every stage"
    keys = {key for model in _models_at(path[:-1], tree) for key in _fields(model)}
    close = nearest(str(path[-1]), keys)
    return close if close and "did you mean" in close else "known keys: " + ", ".join(sorted(keys))


def _sibling_hint(path: Path, tree: Mapping[str, Any]) -> str | None:
    """Names a present key that may be a misspelling of the missing one."""
    here = _value_at(path[:-1], tree)
    keys = {key for model in _models_at(path[:-1], tree) for key in _fields(model)}
    unknown = [key for key in here if key not in keys] if isinstance(here, Mapping) else []
    return f"is it what '{unknown[0]}' should be?" if len(unknown) == 1 and nearest(unknown[0], [str(path[-1]), "-"]) else None


def _close(got: Any, choices: Sequence[str]) -> str | None:
    close = nearest(str(got), choices)
    return close if close and "did you mean" in close else None


# What the schema says about a path.


def _types_at(path: Path, tree: Any) -> list[Any]:
    """Every type that the schema allows at `path`, unions opened; losses narrowed by their name."""
    found: list[Any] = [Recipe]
    here: Any = tree
    for part in path:
        found = [inner for kind in found for inner in _step(kind, part)]
        here = _value_at((part,), here)
        if isinstance(here, Mapping):
            tags = {here[word] for word in TAGS if isinstance(here.get(word), str)}
            found = [kind for kind in found if tags & set(_names(kind))] or found
    return found


def _is_tagged(path: Path, tree: Any) -> bool:
    """Whether the schema has a union at `path` whose branches are told apart by a tag."""
    owners = _types_at(path[:-1], tree) if path else []
    return sum(bool(_names(kind)) for owner in owners for kind in _step(owner, path[-1])) > 1


def _step(kind: Any, part: str | int) -> list[Any]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = _fields(kind).get(str(part))
        return [] if field is None else _open(field)
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is dict:
        return _open(arguments[1])
    if typing.get_origin(kind) is tuple and isinstance(part, int):
        return _open(arguments[0])
    return []


def _open(kind: Any) -> list[Any]:
    """A type's alternatives, without Annotated and unions around them."""
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        return _open(typing.get_args(kind)[0])
    if origin in (typing.Union, types.UnionType):
        return [inner for argument in typing.get_args(kind) for inner in _open(argument)]
    return [kind]


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """Key as written in a recipe -> type."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _models_at(path: Path, tree: Any) -> list[type[BaseModel]]:
    return [kind for kind in _types_at(path, tree) if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _names(kind: Any) -> Sequence[Any]:
    """The tags that a branch of a discriminated union answers to."""
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return ()
    fields = _fields(kind)
    return [
        tag for word in TAGS for tag in typing.get_args(fields.get(word)) if typing.get_origin(fields[word]) is typing.Literal
    ]


def _tags(path: Path, tree: Any) -> list[str]:
    return [str(name) for kind in _types_at(path, tree) for name in _names(kind)]


def _choices(path: Path, tree: Any) -> list[str]:
    kinds = [kind for kind in _types_at(path, tree) if typing.get_origin(kind) is typing.Literal]
    return [str(choice) for kind in kinds for choice in typing.get_args(kind)]


def _type_words(path: Path, tree: Any) -> str | None:
    words = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    kinds = _types_at(path, tree)
    if any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in kinds):
        return "a mapping with the keys " + ", ".join(key for model in _models_at(path, tree)[:1] for key in _fields(model))
    if any(typing.get_origin(kind) is tuple for kind in kinds):
        return "a list"
    return next((words[kind] for kind in kinds if kind in words), None)


def _value_at(path: Path, tree: Any) -> Any:
    here = tree
    for part in path:
        if isinstance(here, Mapping):
            here = here.get(part)
        elif isinstance(here, (list, tuple)) and isinstance(part, int) and part < len(here):
            here = here[part]
        else:
            return None
    return here
