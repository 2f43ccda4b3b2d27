"""`distill export`: any encoder or task model to ONNX files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import exits
from ..errors import UserError
from ..progress import hide_library_bars, set_output
from .app import PRESETS, ForceOption, QuietOption, app, choices


@app.command(short_help="Export any encoder or task model to ONNX, quantize and verify it.")
def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A folder, a hub id, or package:IMPORT_NAME.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    presets: Annotated[
        str, typer.Option("--presets", help="Among fp32, fast, faithful, portable, fp16, searched.")
    ] = "fp32,fast,faithful",
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            help="What the model is, where its own files leave it open: embedding, classification, multilabel, regression, "
            "tokens, spans.",
        ),
    ] = None,
    budget: Annotated[
        str | None, typer.Option("--budget", help="What 'searched' may lose.  [default: min_cosine=0.995]", metavar="RULE")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="UTF-8 text of your domain, one a line, to calibrate and judge by.")
    ] = None,
    opset: Annotated[int, typer.Option("--opset", help="ONNX operator set.", min=18, max=22)] = 20,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Export a model to ONNX, quantize it, and prove that the files give what the model gives.

    MODEL is a sentence encoder, a classifier, a tagger, a reader of answers or a student of this toolkit; its own files tell
    which.

    \b
    $ distill export sentence-transformers/all-MiniLM-L6-v2 --out minilm-onnx
    $ distill export runs/quickstart/student --out small --presets fp32,fast
    $ distill export runs/quickstart/student --out mixed --presets fp32,searched --budget min_cosine=0.999 --calibration my.txt
    $ distill export my-classifier --out tags --task multilabel
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
        given = {name: value for name, value in more.items() if value}
        parity = export_onnx(model, out, chosen, opset, task, **given)  # type: ignore[arg-type]
    _tell(parity, quiet)
    typer.echo(str(out))
    if not all(proof["passed"] for proof in parity["models"].values()):
        raise typer.Exit(1)


def _tell(parity: Mapping[str, Any], quiet: bool) -> None:
    """What was exported, and how near each file is to its reference."""
    if not quiet and "told_by" in parity:
        typer.echo(f"exported as: {parity['task']} ({parity['told_by']})")
        for note in parity["notes"]:
            typer.echo(f"note: {note}")
    for name, proof in parity["models"].items():
        told = [("max_abs", ".1e"), ("mean_cosine", ".5f"), ("label_agreement", ".4f"), ("correlation", ".5f")]
        found = ", ".join(f"{key} {proof[key]:{form}}" for key, form in told if proof.get(key) is not None)
        verdict = "passed" if proof["passed"] else "FAILED"
        typer.echo(f"{name:<9} {verdict}  {proof['gate']}  ({found or 'NaN or infinity'})")
