"""A recipe by name, path or mapping, with overrides -> a validated `Recipe`. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from . import recipe_yaml
from .errors import DistillError, RecipeError, UserError, nearest
from .files import expand
from .recipe import Recipe
from .recipe_errors import translate
from .recipe_overrides import apply_overrides, read_overrides
from .recipe_textbrewer import read_losses

RecipeLike = str | Path | Mapping[str, Any] | Recipe
Overrides = Mapping[str, Any] | Sequence[str]


def load_recipe(recipe: RecipeLike, overrides: Overrides = ()) -> Recipe:
    """Read a recipe and check its form. Files and models that it names are not looked at: `check_recipe` does that.

    Args:
        recipe: the name of a shipped recipe ("quickstart"), a YAML file, or the values themselves.
        overrides: `["student.layers=2", "train.epochs=4"]`, or `{"student.layers": 2}`.

    Returns:
        The resolved recipe: every default is filled in.

    Raises:
        RecipeError: everything that is wrong with it, at once.
        UserError: no such recipe, or an override that is none.

    Example:
        >>> load_recipe("quickstart", {"student.layers": 2}).student.layers
        2
    """
    tree, where = _read(recipe)
    try:
        pairs = read_overrides(overrides)
    except DistillError as problem:
        raise RecipeError([problem], where) from problem
    tree, problems = apply_overrides(tree, pairs)
    unread = read_losses(tree)
    if unread:  # the stage has no losses then: what the schema says of that helps nobody
        raise RecipeError([*problems, *unread], where)
    try:
        resolved = Recipe.model_validate(tree)
    except ValidationError as error:
        raise RecipeError([*problems, *translate(error, tree)], where) from error
    if problems:
        raise RecipeError(problems, where)
    return resolved


def recipe_names() -> list[str]:
    """Names of the shipped recipes."""
    folder = resources.files("distill") / "recipes"
    return sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))


def recipe_text(name: str) -> str:
    """The YAML of a shipped recipe, comments and all.

    Raises:
        UserError: no recipe is called so.
    """
    names = recipe_names()
    if name not in names:
        raise UserError(
            f"no recipe is called '{shown(name)}', and no file either",
            expected="a shipped recipe (" + ", ".join(names) + ") or a .yaml file",
            hint=_close(name, names) or "distill ls",
        )
    return (resources.files("distill") / "recipes" / f"{name}.yaml").read_text("utf-8")


def to_yaml(recipe: Recipe) -> str:
    """The resolved recipe as YAML that `load_recipe` reads back equal."""
    return recipe_yaml.dump(recipe.to_dict())


def shown(name: object) -> str:
    """`name` fit for one line of a message."""
    return " ".join(str(name).split())[:100]


def _read(recipe: RecipeLike) -> tuple[Mapping[str, Any], str]:
    """The recipe's tree as written, and what errors call it."""
    if isinstance(recipe, Recipe):
        return recipe.to_dict(), f"recipe '{recipe.name}'"
    if isinstance(recipe, Mapping):
        return recipe, "recipe"
    path = expand(recipe)
    if isinstance(recipe, str) and recipe in recipe_names() and not path.is_file():
        text, where = recipe_text(recipe), f"recipe '{recipe}'"
    else:
        text, where = _file_text(path, recipe), str(path)
    try:
        tree = recipe_yaml.parse(text, where)
        if not isinstance(tree, Mapping):
            raise UserError(
                "a recipe is a mapping", where=where, got=tree if tree is not None else "nothing", hint="distill show quickstart"
            )
    except UserError as problem:
        raise RecipeError([problem], where) from problem
    return tree, where


def _file_text(path: Path, name: str | Path) -> str:
    looks_like_a_file = isinstance(name, Path) or path.suffix in (".yaml", ".yml") or len(path.parts) > 1
    if path.is_dir():
        inside = path / "recipe.yaml"
        hint = f"did you mean '{inside}'?" if inside.is_file() else "give the .yaml file"
        raise UserError("this is a folder, not a recipe", where=str(path), hint=hint)
    if not path.exists():
        if not looks_like_a_file:
            return recipe_text(str(name))
        names = [file.name for file in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise UserError(
            "no such recipe file", where=str(path), hint=_close(path.name, names) or "distill ls lists the shipped recipes"
        )
    try:
        with open(path, "rb") as stream:
            return stream.read(recipe_yaml.MAX_BYTES + 1).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError("this recipe is not UTF-8 text", where=str(path), got=error.reason, hint=f"byte {error.start}") from error
    except OSError as error:
        raise UserError("this recipe cannot be read", where=str(path), got=error.strerror) from error


def _close(name: str, names: Sequence[str]) -> str | None:
    close = nearest(name, names)
    return close if close and "did you mean" in close else None
