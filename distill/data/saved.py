"""Prepared text, and its form on disk: one Parquet file per part, and the counts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RunError
from ..files import atomic_folder, read_json, write_json
from .augment.account import write_report
from .evaluation import EvaluationSet, load_set, save_set


@dataclass(frozen=True)
class PreparedData:
    """The text of a run.

    Attributes:
        train: sentences to learn from, in the order of their sources.
        dev: held-out sentences, in an order that does not depend on that of the sources.
        evaluate: name -> evaluation set, untouched.
        select: name -> set to choose the best checkpoint by; may be empty.
        counts: what was read, kept and dropped, in sentences (`bad_rows` in rows): see `distill.data.prepare.COUNTED`.
        augmented: the report of the augmentation, where variants were made just now.
    """

    train: list[str]
    dev: list[str]
    evaluate: dict[str, EvaluationSet]
    select: dict[str, EvaluationSet]
    counts: dict[str, int]
    augmented: dict[str, Any] | None = None


def save(prepared: PreparedData, folder: Path) -> None:
    """Write `prepared` to `folder`, which is replaced as a whole.

    It then holds train.parquet and dev.parquet (text), evaluate-NAME.parquet and select-NAME.parquet (see
    `distill.data.evaluation_saved`), and counts.json (the counts, and the names of both kinds of sets in order). Where
    sentences were augmented, augmented.json and augmented.md tell what was made.

    Raises:
        RunError: the disk is full, read-only or forbidden.
    """
    with atomic_folder(folder) as work:
        _write(work / "train.parquet", {"text": prepared.train})
        _write(work / "dev.parquet", {"text": prepared.dev})
        for part, sets in (("evaluate", prepared.evaluate), ("select", prepared.select)):
            for name, rows in sets.items():
                save_set(rows, work / f"{part}-{name}.parquet")
        names = {"evaluate": list(prepared.evaluate), "select": list(prepared.select)}
        write_json(work / "counts.json", {"counts": prepared.counts, **names})
        if prepared.augmented is not None:
            write_report(prepared.augmented, work / "augmented")


def load_prepared(folder: Path) -> PreparedData:
    """What `save` wrote.

    Raises:
        RunError: a file is missing or damaged.
    """
    facts = read_json(folder / "counts.json")
    try:
        counts = {str(name): int(count) for name, count in facts["counts"].items()}
        names = {part: [str(name) for name in facts[part]] for part in ("evaluate", "select")}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(folder / "counts.json", error) from error
    return PreparedData(
        train=_read(folder / "train.parquet", ["text"])[0],
        dev=_read(folder / "dev.parquet", ["text"])[0],
        evaluate={name: load_set(folder / f"evaluate-{name}.parquet") for name in names["evaluate"]},
        select={name: load_set(folder / f"select-{name}.parquet") for name in names["select"]},
        counts=counts,
    )


def _write(path: Path, columns: dict[str, Any]) -> None:
    import pyarrow
    import pyarrow.parquet

    arrays = [pyarrow.array(values, pyarrow.string()) for values in columns.values()]
    pyarrow.parquet.write_table(pyarrow.table(arrays, names=list(columns)), path)


def _read(path: Path, names: list[str]) -> list[list[Any]]:
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(path).read(columns=names)
        return [table.column(name).to_pylist() for name in names]
    except (OSError, ValueError, KeyError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> RunError:
    return RunError(
        "this file is missing or damaged", where=str(path), got=error, hint="delete its folder and run the same command again"
    )
