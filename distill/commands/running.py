"""`distill run`, `distill label` and `distill augment`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import exits
from ..errors import UserError
from ..files import cache_dir
from ..launch import Launch, check_launch, launched
from ..progress import hide_library_bars, set_output
from .app import ForceOption, OverridesArgument, QuietOption, RecipeArgument, app, show_result

if TYPE_CHECKING:
    from ..recipe import Recipe


@app.command(short_help="Do everything a recipe asks for.")
def run(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    out: Annotated[Path | None, typer.Option("--out", help="Run folder.  [default: runs/NAME]")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Go on although the recipe changed: what it touches runs again.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Do everything a recipe asks for, from teacher to report. An interrupted run goes on where it stopped.

    \b
    $ distill run quickstart
    $ distill run sbert-half data.train=sentences.txt student.layers=6
    $ distill run my-recipe.yaml train.epochs=4 --out runs/second-try
    $ torchrun --nproc-per-node 2 -m distill run my-recipe.yaml
    """
    launch, resolved = _checked(recipe, overrides, quiet)
    with exits.needs_train("distill run"):
        from ..pipeline import run as run_recipe

        hide_library_bars()
        report = run_recipe(resolved, out=out, force=force)
    if launch.rank == 0:
        show_result(report, out or Path("runs") / resolved.name)


@app.command(short_help="Go through a recipe as far as the teacher's labels.")
def label(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    out: Annotated[Path | None, typer.Option("--out", help="Run folder.  [default: runs/NAME]")] = None,
    ray: Annotated[
        str | None,
        typer.Option("--ray", metavar="ADDRESS", help="Label on a Ray cluster: auto, HOST:PORT, ray://HOST:PORT or local."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Teachers on Ray.  [default: one a GPU, else one a machine]", min=1)
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Go on although the recipe changed: what it touches runs again.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Prepare a recipe's data and label it with the teacher, here or on a Ray cluster. `distill run` with the same recipe
    finds the labels. An interrupted command goes on where it stopped.

    \b
    $ distill label sbert-half data.train=sentences.txt
    $ distill label my-recipe.yaml --ray auto
    $ distill label my-recipe.yaml --ray local --workers 4
    """
    if workers is not None and ray is None:
        raise UserError(
            "workers are of a Ray cluster, and none is named",
            where="--workers",
            got=workers,
            hint="add --ray local, or use torchrun",
        )
    launch, resolved = _checked(recipe, overrides, quiet)
    with exits.needs_train("distill label"):
        from ..labelling import label as label_recipe

        hide_library_bars()
        counts = label_recipe(resolved, out=out, force=force, ray=ray, workers=workers)
    if launch.rank == 0:
        typer.echo(f"labels: {counts['computed']:,} sentences labelled now, {counts['reused']:,} were there")
        typer.echo(str(cache_dir() / "signals"))


def _checked(recipe: str, overrides: list[str] | None, quiet: bool) -> tuple[Launch, Recipe]:
    """The recipe, all its mistakes told before torch is loaded, and the process that this is."""
    exits.resumes()
    launch = launched()
    if launch.world > 1:  # torch's own remarks would come from each process
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    set_output(quiet or launch.rank > 0)
    from ..recipe_check import check_recipe
    from ..recipe_load import load_recipe

    resolved = load_recipe(recipe, overrides or ())
    check_recipe(resolved)
    check_launch(resolved, launch)
    return launch, resolved


@app.command(short_help="Make more training text out of a recipe's data.")
def augment(
    recipe: RecipeArgument,
    out: Annotated[Path, typer.Option("--out", help="File to write: .parquet or .jsonl.")],
    overrides: OverridesArgument = None,
    form: Annotated[str | None, typer.Option("--format", help="Of --out: parquet or jsonl.  [default: by its name]")] = None,
    ray: Annotated[
        str | None,
        typer.Option("--ray", metavar="ADDRESS", help="Augment on a Ray cluster: auto, HOST:PORT, ray://HOST:PORT or local."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            help="Processes, each with a model of its own.  [default: 1; on Ray one a GPU, else one a machine]",
            min=1,
        ),
    ] = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Augment a recipe's data.train as its data.augment says, into a file of texts with their variants, and report what
    was made. The result does not depend on --workers and --ray. An interrupted command goes on where it stopped.

    \b
    $ distill augment my-recipe.yaml --out more.parquet
    $ distill augment sbert-half data.train=lines.txt data.augment='{method: tang, variants: 5}' --out more.jsonl
    $ distill augment pkd data.train=train.tsv data.augment='{method: masked_lm, model: klue/bert-base}' --out more.parquet
    $ distill augment my-recipe.yaml --out more.parquet --ray local --workers 4
    """
    exits.resumes()
    set_output(quiet)
    from ..recipe_check import check_recipe
    from ..recipe_load import load_recipe

    resolved = load_recipe(recipe, overrides or ())
    check_recipe(resolved, given=["student"])
    with exits.needs_train("distill augment"):
        from ..augmenting import augment_recipe, report_lines

        report = augment_recipe(resolved, out, form=form, workers=workers, ray=ray, force=force)
    typer.echo("\n".join([*report_lines(report), f"report: {out}.report.md", str(out)]))
