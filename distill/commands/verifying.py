"""`distill verify`: is a run what it was?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .app import app


@app.command(short_help="Compare a run with its manifest, file by file.")
def verify(run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, such as runs/quickstart.")]) -> None:
    """Compare every file of a finished run, every model and data set it was made of, and the versions of packages with its
    manifest. What changed is named, and the exit code is 1; other versions are notes.

    \b
    $ distill verify runs/quickstart
    """
    from ..verifying import verify_run

    found = verify_run(run)
    for line in found.changed:
        typer.echo(line)
    for line in found.notes:
        typer.echo(f"note: {line}")
    if not found.passed:
        typer.echo(f"{run}: {len(found.changed)} of {found.files} files and {found.inputs} inputs are not as they were")
        raise typer.Exit(1)
    typer.echo(f"{run}: {found.files} files and {found.inputs} inputs are as they were")
