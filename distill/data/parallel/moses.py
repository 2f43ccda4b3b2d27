"""Moses pairs: two text files, line by line."""

from __future__ import annotations

from pathlib import Path

from ...errors import DataError
from ...files import expand
from ...recipe import ParallelSpec, SourceSpec
from ..lines import byte_blocks, check_encoding
from ..sources import missing_file
from ..tables import file_lines
from .rows import Items, ParallelRow


def moses_rows(spec: ParallelSpec) -> Items:
    """Line i of the one file with line i of the other.

    A blank line is an empty side, so that no line after it moves; lines that are blank in both files are passed over, as
    in any text file.

    Args:
        spec: the source; both files in `spec.encoding`.

    Raises:
        DataError: a file is missing or cannot be read, or the two differ in their number of lines. Lines are counted
            before the first row is handed out.
    """
    paths = [expand(name or "") for name in (spec.source, spec.target)]
    for path, name in zip(paths, (spec.source, spec.target), strict=True):
        if not path.is_file():
            raise missing_file(path, SourceSpec(source=name or ""))
    counts = [count_lines(path, spec.encoding) for path in paths]
    if counts[0] != counts[1]:
        raise DataError(
            "the two files differ in their number of lines, so their rows do not belong together",
            where=f"{paths[0]} and {paths[1]}",
            got=f"{counts[0]} and {counts[1]} lines",
            expected="line i of the second file to translate line i of the first",
            hint="look for a line that was added, lost or broken in two; a blank line keeps its place and is no reason",
        )
    return _rows(spec, paths)


def _rows(spec: ParallelSpec, paths: list[Path]) -> Items:
    pairs = zip(*(file_lines(path, spec.encoding) for path in paths), strict=True)
    for (number, source), (_, translation) in pairs:
        if isinstance(source, DataError) or isinstance(translation, DataError):
            yield source if isinstance(source, DataError) else translation
        elif source.strip() or translation.strip():
            where = f"{paths[0]} and {paths[1]}, row {number}"
            yield ParallelRow(source.rstrip("\r\n"), translation.rstrip("\r\n"), spec.languages, where)
        else:
            yield None


def count_lines(path: Path, encoding: str) -> int:
    """How many lines a text file has; the last need not end.

    Raises:
        DataError: the file or its encoding cannot be read.
    """
    name = check_encoding(encoding, path)
    if "\n".encode(name) != b"\n":
        return sum(1 for _ in file_lines(path, encoding))
    count, last = 0, b"\n"
    for block in byte_blocks(path, 1 << 20):
        count += block.count(b"\n")
        last = block[-1:]
    return count + (last != b"\n")
