"""The output of an augmentation while it is made: parts, each whole or absent, joined at the end."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from ...errors import DataError, MissingExtra, RunError
from ...files import atomic_file, atomic_write, write_json
from .account import Account
from .base import Example

Format = Literal["parquet", "jsonl"]
ROW_GROUP = 20_000
"""Rows of a row group of the Parquet file: the file has the same bytes whatever the size of the parts."""


class Parts:
    """The parts of one output, in a folder beside it.

    Args:
        out: the output, which need not be made: then the parts are what is used.
    """

    def __init__(self, out: Path) -> None:
        self.folder = out.with_name(f"{out.name}.parts")

    def find(self, number: int, key: str) -> Account | None:
        """The account of a part, if it is there, whole, and made of what `key` stands for."""
        found = self._read(number, key)
        return None if found is None else found[1]

    def read(self, number: int, key: str) -> tuple[list[Example], Account]:
        """The examples of a part, as far as its rows tell of them, and its account.

        Raises:
            RunError: it is missing or damaged, or made of something else than `key` stands for.
        """
        found = self._read(number, key)
        if found is None:
            raise RunError(
                "a part of the augmentation is missing, damaged, or was made of other text or with other settings",
                where=str(self._rows(number)),
                got="a file that does not fit" if self._rows(number).exists() else "no such file",
                expected="what a process of this run has written there",
                hint="give all machines of this run one file system for its folder, and the same data and packages; "
                "the same command makes anew what is missing",
            )
        rows = (json.loads(line) for line in found[0].decode("utf-8").split("\n")[:-1])
        return [Example(**row) for row in rows], found[1]

    def _read(self, number: int, key: str) -> tuple[bytes, Account] | None:
        try:
            facts = json.loads(self._facts(number).read_text("utf-8"))
            data = self._rows(number).read_bytes()
            if facts["key"] != key or facts["sha256"] != hashlib.sha256(data).hexdigest():
                return None
            return data, Account.from_dict(facts["account"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, number: int, key: str, data: bytes, account: Account) -> None:
        """Keep a part."""
        atomic_write(self._rows(number), data)
        facts = {"key": key, "sha256": hashlib.sha256(data).hexdigest(), "account": account.to_dict()}
        write_json(self._facts(number), facts)

    def join(self, count: int, out: Path, form: Format) -> None:
        """Make the output of the first `count` parts."""
        files = [self._rows(number) for number in range(count)]
        with atomic_file(out) as target:
            if form == "parquet":
                _write_parquet(files, target)
            else:
                with open(target, "wb") as stream:
                    for file in files:
                        with open(file, "rb") as part:
                            shutil.copyfileobj(part, stream)

    def remove(self) -> None:
        """Forget all parts."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def remove_empty(self) -> None:
        """Take the folder away if no part is in it."""
        if not any(self.folder.glob("*.json")):
            self.remove()

    def _rows(self, number: int) -> Path:
        return self.folder / f"{number:08d}.jsonl"

    def _facts(self, number: int) -> Path:
        return self.folder / f"{number:08d}.json"


def part_key(settings: str, examples: Sequence[Example]) -> str:
    """A hash of everything that decides a part.

    Args:
        settings: of the augmentation, its seed among them.
        examples: what the part is made of.
    """
    digest = hashlib.sha256(settings.encode())
    for example in examples:
        digest.update(repr((example.text, example.text_pair, example.label, example.row)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def rows_of(made: Sequence[Example], *, labelled: bool) -> bytes:
    """Examples as lines of JSON.

    Args:
        made: originals and variants.
        labelled: whether there is a column of labels.
    """
    lines = []
    for example in made:
        row: dict[str, Any] = {"text": example.text}
        if example.text_pair is not None:
            row["text_pair"] = example.text_pair
        if labelled:
            row["label"] = example.label
        lines.append(json.dumps({**row, "row": example.row, "variant": example.variant}, ensure_ascii=False) + "\n")
    return "".join(lines).encode("utf-8")


def output_format(out: Path, asked: str | None) -> Format:
    """The format asked for, or what the ending of the output says.

    Raises:
        DataError: neither tells, or the one asked for is not written.
    """
    found = asked or {".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}.get(out.suffix.lower())
    if found not in ("parquet", "jsonl"):
        raise DataError(
            "this format is not written" if asked else "the ending of this name does not tell the format",
            where=str(out),
            got=asked or out.suffix or "no ending",
            expected="parquet or jsonl",
            hint="--format parquet, or a name that ends in .parquet or .jsonl",
        )
    return found  # type: ignore[return-value]


def _write_parquet(files: Sequence[Path], target: Path) -> None:
    """Rows of JSON as one Parquet file."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra("train", "pyarrow", "writing .parquet files") from error
    schema = None
    writer = None
    try:
        for rows in _row_groups(files):
            if schema is None:
                schema = pa.schema([(name, _type(name, rows, pa)) for name in rows[0]])
                writer = pq.ParquetWriter(target, schema)
            assert writer is not None, "made with the schema"
            writer.write_table(_table(rows, schema, pa))
    finally:
        if writer is not None:
            writer.close()


def _row_groups(files: Sequence[Path]) -> Iterator[list[dict[str, Any]]]:
    """The rows of all files, so many at a time as go into one row group."""
    rows: list[dict[str, Any]] = []
    for file in files:
        with open(file, encoding="utf-8", newline="\n") as stream:
            for line in stream:
                rows.append(json.loads(line))
                if len(rows) == ROW_GROUP:
                    yield rows
                    rows = []
    if rows:
        yield rows


def _table(rows: Sequence[dict[str, Any]], schema: Any, pa: Any) -> Any:
    """Rows as a table of Arrow."""
    try:
        return pa.Table.from_pylist(list(rows), schema=schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(
            "the labels are not all of one kind",
            got=error,
            expected="names, lists of names, or numbers",
            hint="write jsonl, which takes any label",
        ) from error


def _type(name: str, rows: Sequence[dict[str, Any]], pa: Any) -> Any:
    """The type of a column: that of labels is told by the first label."""
    if name in ("row", "variant"):
        return pa.int64()
    if name != "label":
        return pa.string()
    first = next((row["label"] for row in rows if row["label"] is not None), "")
    return pa.array([first]).type if first != [] else pa.list_(pa.string())
