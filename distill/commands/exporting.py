"""`distill export`: any encoder to ONNX files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import exits
from ..errors import UserError
from ..progress import hide_library_bars, set_output
from .app import PRESETS, ForceOption, QuietOption, app, choices


@app.command(short_help="Export any encoder to ONNX, quantize and verify it.")
def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A folder, a hub id, or package:IMPORT_NAME.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    presets: Annotated[str, typer.Option("--presets", help="Among fp32, fast, faithful, fp16, searched.")] = "fp32,fast,faithful",
    budget: Annotated[
        str | None, typer.Option("--budget", help="What 'searched' may lose: min_cosine=0.995.  [default: that]", metavar="RULE")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="UTF-8 text of your domain, one a line, to calibrate and judge by.")
    ] = None,
    opset: Annotated[int, typer.Option("--opset", help="ONNX operator set.", min=18, max=23)] = 20,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Export any encoder to ONNX, quantize it, and prove that the files give what the model gives.

    \b
    $ distill export sentence-transformers/all-MiniLM-L6-v2 --out minilm-onnx
    $ distill export runs/quickstart/student --out small --presets fp32,fast
    $ distill export runs/quickstart/student --out mixed --presets fp32,searched --budget min_cosine=0.999 --calibration my.txt
    """
    set_output(quiet)
    chosen = choices(presets, PRESETS, "--presets")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        if not force:
            raise UserError("something is there already", where=str(out), hint="choose another folder, or add --force")
        if not (out / "parity.json").is_file():
            raise UserError("this was not made by distill export, so --force does not replace it", where=str(out))
    with exits.needs_train("distill export"):
        from ..export.onnx import export_onnx
        from ..export.options import read_budget, read_calibration

        hide_library_bars()
        more = {"budget": read_budget(budget, chosen), "texts": read_calibration(calibration)}
        parity = export_onnx(model, out, chosen, opset, **{name: value for name, value in more.items() if value})  # type: ignore[arg-type]
    failed = [name for name, proof in parity["models"].items() if not proof["passed"]]
    for name, proof in parity["models"].items():
        verdict = "passed" if proof["passed"] else "FAILED"
        finite = proof["max_abs"] is not None
        found = f"max_abs {proof['max_abs']:.1e}, mean_cosine {proof['mean_cosine']:.5f}" if finite else "NaN or infinity"
        typer.echo(f"{name:<9} {verdict}  {proof['gate']}  ({found})")
    typer.echo(str(out))
    if failed:
        raise typer.Exit(1)
