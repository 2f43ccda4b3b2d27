"""Variants of labelled examples: labelled rows, or more rows that the teacher alone labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..data.augment.account import Account
from ..data.augment.base import Example
from ..data.augment.make import maker_for
from ..data.augment.parts import Parts
from ..data.augment.together import augment_together
from ..data.examples import TextExamples
from ..errors import DataError, RunError
from ..recipe import DataSpec
from ..recipe_augment import TextSpec
from .data import TaskData, example_keys, joined, unlabelled


def add_variants(data: TaskData, spec: TextSpec, mask: str | None, seed: int, parts: Parts) -> tuple[TaskData, dict[str, Any]]:
    """The examples of a run with variants of its labelled training rows, and the report of what was made.

    Variants with copied labels stand behind the labelled rows, others at the end. What is evaluated on and dev stay out:
    a variant that equals a row of theirs, or another training row, is dropped.

    Args:
        data: the examples as read.
        spec: the method and what becomes of labels.
        mask: the mask token of teacher and student, where the method needs one.
        seed: of the draws.
        parts: where variants are kept while they are made.

    Raises:
        DataError: the examples are no texts.
    """
    train = data.train
    if not isinstance(train, TextExamples):
        raise DataError("words and labels would part", where="data.augment", expected="a task on whole texts")
    own = train.select(np.arange(data.labelled))
    pairs: Sequence[str | None] = own.text_pair if own.text_pair is not None else [None] * len(own)
    examples = [Example(text, pair, None, row) for row, (text, pair) in enumerate(zip(own.text, pairs, strict=True))]
    maker = maker_for(spec, lambda: (text for example in examples for text in example.texts), mask)
    seen = {key for part in (train, data.dev, *data.evaluate.values()) for key in example_keys(part)}
    account, found = Account(), []
    for made, part in augment_together(examples, maker, seed, parts, settings=maker.key()):
        account += part
        variants = [example for example in made if example.variant]
        for example, key in zip(variants, example_keys(_texts(variants)), strict=True):
            if key not in seen:
                seen.add(key)
                found.append(example)
    counts = {**data.counts, "augmented": len(found)}
    if not found:
        return replace(data, counts=counts), account.report()
    new = _texts(found)
    labelled = data.labelled
    if spec.labels == "copy":
        assert own.labels is not None, "training rows are labelled"
        new = replace(new, labels=own.labels[[example.row for example in found]])
        rest = train.select(np.arange(data.labelled, len(train)))
        train, labelled = joined([own, new, rest]), labelled + len(new)
    else:
        train = joined([train, unlabelled(new, train)])
    counts |= {"train": len(train), "labelled": labelled}
    return replace(data, train=train, labelled=labelled, counts=counts), account.report()


def restore_variants(data: TaskData, folder: Path) -> TaskData:
    """The examples with the training rows that an earlier run has written, variants among them.

    Args:
        data: the examples as read.
        folder: where `save_task_data` wrote.

    Raises:
        RunError: a file is missing or damaged.
    """
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(folder / "train.parquet").read().to_pydict()
        counts = {str(name): int(count) for name, count in json.loads((folder / "counts.json").read_text("utf-8")).items()}
        like = data.train.labels if isinstance(data.train, TextExamples) else None
        labels = None if like is None else np.array(table["label"], dtype=like.dtype)
        train = TextExamples(table["text"], table.get("text_pair"), labels)
        return replace(data, train=train, labelled=counts["labelled"], counts=counts)
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise RunError(
            "these files are missing or damaged", where=str(folder), got=error, hint="delete the folder and run the same again"
        ) from error


def has_variants(spec: DataSpec) -> TextSpec | None:
    """The augmentation of a recipe's data that makes variants of each example, if it has one."""
    return spec.augment if isinstance(spec.augment, TextSpec) else None


def _texts(examples: Sequence[Example]) -> TextExamples:
    pairs = [example.text_pair or "" for example in examples] if any(e.text_pair is not None for e in examples) else None
    return TextExamples([example.text for example in examples], pairs)
