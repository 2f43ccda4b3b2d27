"""The command line's application, and what its commands share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import __version__, exits
from ..errors import DistillError, UserError, nearest
from ..runtime.precision import FILES

if TYPE_CHECKING:
    from ..report.model import Report

PRESETS = tuple(FILES)
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


def show_result(report: Report, folder: Path) -> None:
    """What a run ends with: its summary, its notes, where the report is."""
    typer.echo(report.summary)
    for text in report.headline.notes:
        typer.echo(f"note: {text}")
    typer.echo(f"report: {folder / 'report.html'}")


@contextlib.contextmanager
def as_options(*arguments: str) -> Iterator[None]:
    """Within the block an error that names one of a function's arguments names the option that it came from."""
    try:
        yield
    except DistillError as error:
        if error.where in arguments:
            error.where = "--" + error.where.replace("_", "-")
        raise


def choices(text: str, allowed: tuple[str, ...], option: str) -> tuple[str, ...]:
    """The names of a comma-separated option, each of which must be among `allowed`."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names or ("",):
        if name not in allowed:
            raise UserError(
                "unknown value", where=option, got=name or "nothing", expected=", ".join(allowed), hint=nearest(name, allowed)
            )
    return names


def numbers(text: str, option: str) -> tuple[int, ...]:
    """The whole numbers of a comma-separated option, from 1."""
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UserError("these are no whole numbers", where=option, got=text, expected="such as 1,32") from error
    if min(found) < 1:
        raise UserError("these numbers begin at 1", where=option, got=text, expected="such as 1,32")
    return found


def decimals(text: str, option: str) -> tuple[float, ...]:
    """The numbers of a comma-separated option; none where it is empty."""
    try:
        return tuple(float(part) for part in text.split(",") if text.strip())
    except ValueError as error:
        raise UserError("these are no numbers", where=option, got=text, expected="such as 0.5,0.8") from error
