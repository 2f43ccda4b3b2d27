"""Prepared text, and its form on disk: one Parquet file per part, and the counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import RunError
from ..files import atomic_folder, read_json, write_json
from ..mapped import MappedTexts
from .augment.account import write_report
from .evaluation import EvaluationSet, load_set, save_set

ROWS = 16384
"""Rows of a group in the Parquet files."""


@dataclass(frozen=True)
class Translations:
    """What is known of texts that are translations of others, one value a text.

    Attributes:
        train_goals, dev_goals: the text whose teacher vector each text shall have; its own where it is no translation.
        train_languages, dev_languages: language tags, empty where nobody said.
    """

    train_goals: list[str]
    train_languages: list[str]
    dev_goals: list[str]
    dev_languages: list[str]


@dataclass(frozen=True)
class PreparedData:
    """The text of a run.

    Attributes:
        train: sentences to learn from, in the order of their sources; on disk where they were loaded.
        dev: held-out sentences, in an order that does not depend on that of the sources.
        evaluate: name -> evaluation set, untouched.
        select: name -> set to choose the best checkpoint by; may be empty.
        counts: what was read, kept and dropped, in sentences (`bad_rows` in rows): see `distill.data.prepare.COUNTED`.
        augmented: the report of the augmentation, where variants were made just now.
        translations: goals and languages of train and dev, where there are translations among them.
        start: further sentences for stages toward the start model.
    """

    train: Sequence[str]
    dev: list[str]
    evaluate: dict[str, EvaluationSet]
    select: dict[str, EvaluationSet]
    counts: dict[str, int]
    augmented: dict[str, Any] | None = None
    translations: Translations | None = None
    start: list[str] = field(default_factory=list)

    @property
    def train_goals(self) -> Sequence[str]:
        """What the teacher reads for each training sentence."""
        return self.train if self.translations is None else self.translations.train_goals

    @property
    def dev_goals(self) -> list[str]:
        """What the teacher reads for each dev sentence."""
        return self.dev if self.translations is None else self.translations.dev_goals


def save(prepared: PreparedData, folder: Path) -> None:
    """Write `prepared` to `folder`, which is replaced as a whole.

    It then holds train.parquet and dev.parquet (text; of translations also goal and language), start.parquet (text),
    evaluate-NAME.parquet and select-NAME.parquet (see `distill.data.evaluation_saved`), and counts.json (the counts, and the
    names of both kinds of sets in order). Where sentences were augmented,
    augmented.json and augmented.md tell what was made.

    Raises:
        RunError: the disk is full, read-only or forbidden.
    """
    with atomic_folder(folder) as work:
        pairs = prepared.translations
        for name, texts in (("train", prepared.train), ("dev", prepared.dev)):
            more = {} if pairs is None else {part: getattr(pairs, f"{name}_{part}s") for part in ("goal", "language")}
            _write(work / f"{name}.parquet", {"text": texts, **more})
        if prepared.start:
            _write(work / "start.parquet", {"text": prepared.start})
        for part, sets in (("evaluate", prepared.evaluate), ("select", prepared.select)):
            for name, rows in sets.items():
                save_set(rows, work / f"{part}-{name}.parquet")
        names = {"evaluate": list(prepared.evaluate), "select": list(prepared.select)}
        write_json(work / "counts.json", {"counts": prepared.counts, **names, "translations": pairs is not None})
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
    start = folder / "start.parquet"
    parts = [_read(folder / f"{name}.parquet", ["goal", "language"]) for name in ("train", "dev") if facts.get("translations")]
    return PreparedData(
        translations=Translations(*parts[0], *parts[1]) if parts else None,
        start=_read(start, ["text"])[0] if start.exists() else [],
        train=MappedTexts(_stream(folder / "train.parquet", "text")),
        dev=_read(folder / "dev.parquet", ["text"])[0],
        evaluate={name: load_set(folder / f"evaluate-{name}.parquet") for name in names["evaluate"]},
        select={name: load_set(folder / f"select-{name}.parquet") for name in names["select"]},
        counts=counts,
    )


def _write(path: Path, columns: dict[str, Any]) -> None:
    import pyarrow
    import pyarrow.parquet

    arrays = [pyarrow.array(values, pyarrow.string()) for values in columns.values()]
    # a reader holds a row group of a column at once
    pyarrow.parquet.write_table(pyarrow.table(arrays, names=list(columns)), path, row_group_size=ROWS)


def _read(path: Path, names: list[str]) -> list[list[Any]]:
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(path).read(columns=names)
        return [table.column(name).to_pylist() for name in names]
    except (OSError, ValueError, KeyError) as error:
        raise _damaged(path, error) from error


def _stream(path: Path, name: str) -> Iterator[str]:
    """The texts of a column, a group of rows at a time: a reader of all groups keeps what it has read."""
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                yield from file.read_row_group(group, columns=[name], use_threads=False).column(0).to_pylist()
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> RunError:
    return RunError(
        "this file is missing or damaged", where=str(path), got=error, hint="delete its folder and run the same command again"
    )
