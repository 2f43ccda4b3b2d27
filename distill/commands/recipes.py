"""`distill check`, `ls`, `cp` and `show`: recipes, without running them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import UserError
from .app import ForceOption, OverridesArgument, RecipeArgument, app


@app.command(short_help="Check a recipe and the local files it names.")
def check(recipe: RecipeArgument, overrides: OverridesArgument = None) -> None:
    """Check a recipe, and that the local files it names are there and readable. Every mistake is told at once.

    \b
    $ distill check quickstart
    $ distill check my-recipe.yaml data.train=sentences.csv
    """
    from ..recipe_check import check_recipe
    from ..recipe_load import load_recipe

    resolved = load_recipe(recipe, overrides or ())
    for text in check_recipe(resolved):
        typer.echo(f"note: {text}")
    typer.echo(f"{resolved.name}: this recipe can run")


@app.command("ls")
def list_recipes() -> None:
    """List the shipped recipes.

    \b
    $ distill ls
    """
    from ..recipe_load import recipe_names, recipe_text

    names = recipe_names()
    width = max(map(len, names))
    for name in names:
        typer.echo(f"{name:<{width}}  {recipe_text(name).splitlines()[0].lstrip('# ')}")


@app.command("cp")
def copy(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A shipped recipe.")],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="File to write, or a folder.")],
    force: ForceOption = False,
) -> None:
    """Copy a shipped recipe, to make it your own.

    \b
    $ distill cp quickstart my-recipe.yaml
    """
    from ..files import atomic_write
    from ..recipe_load import recipe_text

    text = recipe_text(name)
    target = path / f"{name}.yaml" if path.is_dir() else path
    if target.exists() and not force:
        raise UserError("this file exists", where=str(target), hint="choose another name, or add --force")
    atomic_write(target, text)
    typer.echo(f"{target}  (run it: distill run {target})")


@app.command(short_help="Print the resolved recipe as YAML.")
def show(recipe: RecipeArgument, overrides: OverridesArgument = None) -> None:
    """Print the resolved recipe: every value that a run would use, as YAML that runs again as it is.

    \b
    $ distill show quickstart student.layers=2
    $ distill show sbert-half > my-recipe.yaml
    """
    from ..recipe_load import load_recipe, to_yaml

    typer.echo(to_yaml(load_recipe(recipe, overrides or ())), nl=False)
