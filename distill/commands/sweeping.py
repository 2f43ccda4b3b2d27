"""`distill sweep`: one recipe, many runs, one comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import exits
from ..progress import hide_library_bars, set_output
from .app import QuietOption, RecipeArgument, app


@app.command(short_help="Run a recipe with several values, and compare.")
def sweep(
    recipe: RecipeArgument,
    values: Annotated[list[str], typer.Argument(metavar="a.b=x,y...", help="Values to try; one value is the same in all runs.")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the sweep.  [default: runs/NAME-sweep]")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the runs and what there is of them; run nothing.")] = False,
    max_runs: Annotated[int, typer.Option("--max-runs", help="Refuse more runs than this.", min=1)] = 64,
    force: Annotated[
        bool, typer.Option("--force", help="Go on although the recipe changed; every run looks for what changed.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Run a recipe once for each combination of values, and say which student to ship. The runs share what the teacher said
    of each text. An interrupted sweep goes on where it stopped; a run that fails does not stop the others.

    \b
    $ distill sweep quickstart student.layers=2,3,4
    $ distill sweep my-recipe.yaml student.layers=2,3 stages.0.learning_rate=1e-4,3e-4 seed=1 --dry-run
    """
    exits.resumes()
    set_output(quiet)
    from ..sweeping import state_lines, sweep_runs, sweep_states

    if dry_run:
        planned = sweep_states(recipe, values, out=out, max_runs=max_runs)
        typer.echo("\n".join([*state_lines(planned), f"folder: {planned.folder}"]))
        return
    with exits.needs_train("distill sweep"):
        hide_library_bars()
        made = sweep_runs(recipe, values, out=out, force=force, max_runs=max_runs)
    typer.echo("\n".join(state_lines(made)))
    if any(run.computed is not None for run in made.runs):
        reused = sum(run.reused or 0 for run in made.runs)
        typer.echo(f"teacher: {made.computed:,} texts read for all runs together, {reused:,} times taken from the store")
    if made.comparison is not None:
        typer.echo(made.comparison.advice.sentence)
        typer.echo(f"report: {made.folder / 'compare.html'}")
    made.refuse_failures()
