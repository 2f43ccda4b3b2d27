"""`distill encode`: an exported folder at work, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..progress import note, set_output
from .app import PRECISIONS, QuietOption, app, choices


@app.command(short_help="Embed the lines of a text file, without torch.")
def encode(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="An exported folder, such as runs/quickstart/student.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="UTF-8 text, one sentence a line; '-' reads stdin.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="NumPy file to write: float32 [lines, dim].")],
    precision: Annotated[str, typer.Option("--precision", help="auto, fp32, fast or faithful.")] = "auto",
    batch_size: Annotated[int, typer.Option("--batch-size", help="Sentences per run of the model.", min=1)] = 32,
    threads: Annotated[int | None, typer.Option("--threads", help="Threads per run.  [default: one per core]", min=1)] = None,
    quiet: QuietOption = False,
) -> None:
    """Embed every line of a text file, without torch. Row i of the result is line i, empty lines too.

    \b
    $ distill encode runs/quickstart/student sentences.txt -o vectors.npy
    $ cat sentences.txt | distill encode runs/quickstart/student - -o vectors.npy --precision fp32
    """
    set_output(quiet)
    from ..encoding import encode_file
    from ..runtime.encoder import load

    (chosen,) = choices(precision, PRECISIONS, "--precision")
    encoder = load(model, chosen, threads)  # type: ignore[arg-type]
    rows = encode_file(encoder, file, out, batch_size)
    typer.echo(f"{out}: float32 [{rows}, {encoder.dim}], precision {encoder.precision}")
    if encoder.truncated:
        note(f"note: {encoder.truncated} sentences were cut at {encoder.max_length} tokens")
