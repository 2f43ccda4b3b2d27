"""`distill compare`: many runs side by side, and the limits that make it a gate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import exits
from ..errors import GateError, UserError
from ..progress import set_output
from .app import QuietOption, app, as_options


@app.command(short_help="Compare runs side by side; fail where one is too much worse.")
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders; the first is the baseline.")],
    baseline: Annotated[Path | None, typer.Option("--baseline", help="Run that the others are compared with.")] = None,
    max_quality_drop: Annotated[
        float | None, typer.Option("--max-quality-drop", help="Fail above this drop, in the metric's own unit: 0.01.")
    ] = None,
    max_latency_increase: Annotated[
        str | None, typer.Option("--max-latency-increase", help="Fail above this increase of the median: 10%.")
    ] = None,
    bound: Annotated[bool, typer.Option("--bound", help="Judge the worse end of the 95% interval, not the estimate.")] = False,
    task: Annotated[str | None, typer.Option("--task", help="Evaluation set to judge.  [default: the baseline's first]")] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Model that stands for each run, such as fast.  [default: the best]")
    ] = None,
    at: Annotated[str, typer.Option("--at", help="Batch x tokens (x threads) of the latency.  [default: 1x32]")] = "",
    allow_different_hardware: Annotated[
        bool, typer.Option("--allow-different-hardware", help="Compare timings of different machines.")
    ] = False,
    no_latency: Annotated[bool, typer.Option("--no-latency", help="Leave timings out.")] = False,
    out: Annotated[Path, typer.Option("--out", help="Folder of compare.html, .md and .json.")] = Path("compare"),
    quiet: QuietOption = False,
) -> None:
    """Compare runs side by side: quality on the same examples, latency, size, memory, recipes, and which file to ship.

    \b
    $ distill compare runs/three-layers runs/four-layers
    $ distill compare runs/new --baseline runs/released --max-quality-drop 0.01 --max-latency-increase 10%
    """
    set_output(quiet)
    with exits.needs_train("distill compare"), as_options("max_quality_drop", "max_latency_increase"):
        from ..comparing.compare import compare_runs

        found = compare_runs(
            runs,
            baseline=baseline,
            task=task,
            model=model,
            cell=_cell(at) if at else None,
            max_quality_drop=max_quality_drop,
            max_latency_increase=max_latency_increase,
            decide="bound" if bound else "estimate",
            allow_different_hardware=allow_different_hardware,
            latency=not no_latency,
        )
        found.save(out)
    if not quiet:
        for text in found.notes:
            typer.echo(f"note: {text}")
        for run in found.runs:
            if run.reason:
                typer.echo(f"note: {run.label}: {run.reason}")
    typer.echo(found.advice.sentence)
    failed = [rule.sentence for rule in found.rules if not rule.passed]
    for rule in found.rules:
        if rule.passed and not quiet:
            typer.echo(f"passed: {rule.sentence}")
    typer.echo(f"report: {out / 'compare.html'}")
    if failed:
        raise GateError("failed: " + "; ".join(" ".join(reason.split()) for reason in failed))


def _cell(text: str) -> tuple[int, int, int]:
    """`1x32` or `8x128x2` as batch, tokens and threads."""
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) not in (2, 3) or not all(part.strip().isascii() and part.strip().isdigit() for part in parts):
        raise UserError("this is no cell of the measuring grid", where="--at", got=text, expected="such as 1x32 or 8x128x2")
    batch, tokens, *threads = (int(part) for part in parts)
    return batch, tokens, threads[0] if threads else 1
