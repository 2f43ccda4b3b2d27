"""`distill encode` and `distill predict`: an exported folder at work, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..progress import note, set_output
from .app import PRECISIONS, QuietOption, app, choices

ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="An exported folder, such as runs/quickstart/student.")]
PrecisionOption = Annotated[str, typer.Option("--precision", help=f"{', '.join(PRECISIONS)}.")]
BatchOption = Annotated[int | None, typer.Option("--batch-size", help="Rows per run of the model.  [default: 512 tokens]", min=1)]
ThreadsOption = Annotated[int | None, typer.Option("--threads", help="Threads.  [default: one per core]", min=1)]
FormatOption = Annotated[str | None, typer.Option("--format", help="Of FILE: lines, tsv or jsonl.  [default: by its name]")]


@app.command(short_help="Embed the texts of a file, without torch.")
def encode(
    model: ModelArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="UTF-8: a text a line, .tsv or .jsonl; '-' reads stdin.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write: .npy, .jsonl or .parquet.")],
    form: FormatOption = None,
    precision: PrecisionOption = "auto",
    batch_size: BatchOption = None,
    threads: ThreadsOption = None,
    prompt: Annotated[str | None, typer.Option("--prompt", help="A prompt's name, or text put before every text.")] = None,
    on_long: Annotated[str, typer.Option("--on-long", help="A text over the limit: cut (and counted) or error.")] = "cut",
    quiet: QuietOption = False,
) -> None:
    """Embed every text of a file, without torch and in bounded memory. Row i of the result is text i, empty lines too. The
    output is written whole or not at all.

    \b
    $ distill encode runs/quickstart/student sentences.txt -o vectors.npy
    $ cat sentences.txt | distill encode runs/quickstart/student - -o vectors.npy --precision fp32
    $ distill encode runs/quickstart/student rows.jsonl -o vectors.parquet --threads 2 --on-long error
    """
    set_output(quiet)
    from ..encoding import encode_file
    from ..runtime.encoder import load
    from ..writers import VECTORS, check_out

    (chosen,) = choices(precision, PRECISIONS, "--precision")
    (long,) = choices(on_long, ("cut", "error"), "--on-long")
    check_out(out, VECTORS, "vectors.npy")
    encoder = load(model, chosen, threads)  # type: ignore[arg-type]
    rows = encode_file(encoder, file, out, batch_size, form=form, prompt=prompt, on_long=long)  # type: ignore[arg-type]
    typer.echo(f"{out}: float32 [{rows}, {encoder.dim}], precision {encoder.precision}")
    if encoder.truncated:
        note(f"note: {encoder.truncated} sentences were cut at {encoder.max_length} tokens")


@app.command(short_help="Classify, tag or answer the rows of a file, without torch.")
def predict(
    model: ModelArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="UTF-8: a text a line, .tsv or .jsonl; '-' reads stdin.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write: .jsonl or .parquet.")],
    form: FormatOption = None,
    precision: PrecisionOption = "auto",
    batch_size: BatchOption = None,
    threads: ThreadsOption = None,
    on_long: Annotated[
        str, typer.Option("--on-long", help="A text over the limit: cut (and counted), error, or, for tags, windows.")
    ] = "cut",
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", help="Probability from which one of several labels is chosen.  [default: 0.5]", min=0, max=1),
    ] = None,
    unit: Annotated[str | None, typer.Option("--unit", help="What tags are of: word or character.  [default: word]")] = None,
    no_answer: Annotated[bool, typer.Option("--no-answer", help="A context may hold no answer.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Run a classifier, a tagger or a reader of answers over a file, without torch and in bounded memory. The output is
    written whole or not at all.

    Rows are lines of text, or a .tsv whose first line names the columns, or .jsonl: `text` and, for pairs, `text_pair`; for
    tags `text` or `words`; for answers `question`, `context` and `id`.

    \b
    $ distill predict runs/sst2/student reviews.txt -o labels.jsonl
    $ distill predict runs/pairs/student pairs.tsv -o labels.parquet --threads 2
    $ distill predict runs/ner/student texts.jsonl -o entities.jsonl --on-long windows
    $ distill predict runs/squad/student questions.jsonl -o answers.jsonl --no-answer
    """
    set_output(quiet)
    from ..predicting import predict_file
    from ..runtime.kinds import load
    from ..writers import RECORDS, check_out

    (chosen,) = choices(precision, PRECISIONS, "--precision")
    (long,) = choices(on_long, ("cut", "error", "windows"), "--on-long")
    if unit is not None:
        choices(unit, ("word", "character"), "--unit")
    check_out(out, RECORDS, "predictions.jsonl")
    options: dict[str, Any] = {"on_long": long, "threshold": threshold, "unit": unit, "no_answer": no_answer or None}
    given = {name: value for name, value in options.items() if value is not None}
    loaded = load(model, chosen, threads)  # type: ignore[arg-type]
    rows = predict_file(loaded, file, out, batch_size, form=form, options=given)
    typer.echo(f"{out}: {rows} rows, precision {loaded.precision}")
    if loaded.truncated:
        note(f"note: {loaded.truncated} {loaded.noun}s were cut: the model reads {loaded.max_length} tokens")
