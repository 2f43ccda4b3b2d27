"""`distill push`: a student to the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import exits
from ..progress import set_output
from .app import QuietOption, app


@app.command(short_help="Show what of a run would go to the hub, or upload it.")
def push(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder.")],
    repo_id: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Repository of the hub; made where it is not there.")],
    upload: Annotated[bool, typer.Option("--upload", help="Upload; without it files are listed and nothing is sent.")] = False,
    public: Annotated[bool, typer.Option("--public", help="Everyone may read it.  [default: private]")] = False,
    even_if_gates_failed: Annotated[
        bool, typer.Option("--even-if-gates-failed", help="Upload although a file failed its parity gate.")
    ] = False,
    message: Annotated[str | None, typer.Option("--message", help="Message of the commit.")] = None,
    quiet: QuietOption = False,
) -> None:
    """Upload the student folder, with the model card at its top, and the report. Without --upload it lists files and sizes
    and sends nothing. A run that is not what it was when it ended, or of which a file failed its parity gate, is refused.
    The token is that of `hf auth login` or HF_TOKEN; it is never shown.

    \b
    $ distill push runs/quickstart me/minilm-half
    $ distill push runs/quickstart me/minilm-half --upload
    """
    set_output(quiet)
    from ..pushing import push_run

    with exits.needs_train("distill push"):
        made = push_run(run, repo_id, upload=upload, public=public, even_if_gates_failed=even_if_gates_failed, message=message)
    if not quiet:
        for file in made.files:
            typer.echo(f"{file.size / 1e6:10.3f} MB  {file.name}")
    who = "public" if made.public else "private"
    total = f"{len(made.files)} files, {made.size / 1e6:.1f} MB"
    if made.url is None:
        typer.echo(f"{total} would go to {made.repo_id} ({who}); nothing was sent: add --upload")
    else:
        typer.echo(f"{total} uploaded to {made.repo_id} ({who}): {made.url}")
