"""`distill encode`: the texts of a file to a file of vectors, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

from .progress import track
from .reading import count_lines, find_form, read_rows, text_of
from .runtime.checks import OnLong
from .runtime.encoder import Encoder
from .writers import VECTORS, check_out, open_writer


def encode_file(
    encoder: Encoder,
    file: Path,
    out: Path,
    batch_size: int | None = None,
    *,
    form: str | None = None,
    prompt: str | None = None,
    on_long: OnLong = "cut",
) -> int:
    """Embed every text of `file` and write the vectors to `out`, whole or not at all.

    Args:
        encoder: made by `distill.load`.
        file: UTF-8 text, one sentence a line, empty lines too; TSV or JSON lines with a column `text`; `-` reads stdin.
        out: .npy (float32 [texts, dim]), .jsonl or .parquet (columns text and embedding).
        batch_size: sentences per run of the model; None leaves it to the encoder.
        form: lines, tsv or jsonl; None: by the file's name.
        prompt: as in `Encoder.encode`.
        on_long: what becomes of a text that is too long: `cut` or `error`.

    Returns:
        How many texts there were.

    Raises:
        DataError: the file is missing or not UTF-8, or a row has no text.
        RunError: the disk refuses.
        UserError: the name of `out` tells no format.
    """
    check_out(out, VECTORS, "vectors.npy")
    kind = find_form(file, form)
    waiting: deque[str] = deque()

    def texts() -> Iterator[str]:
        rows = track(read_rows(file, kind), total=count_lines(file), description="encoding", unit="texts")
        for number, row in enumerate(rows, start=1):
            text = text_of(row, f"{file}, row {number}")
            waiting.append(text)
            yield text

    count = 0
    with open_writer(out, dim=encoder.dim, columns={"text": "text"}) as writer:
        for part in encoder.encode_stream(texts(), batch_size, prompt=prompt, on_long=on_long):
            records = [{"text": waiting.popleft()} for _ in range(len(part))]
            writer.add(records, part)
            count += len(part)
    return count
