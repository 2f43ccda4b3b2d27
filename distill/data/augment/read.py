"""The training sources of a recipe as a stream of examples, whatever their format and task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ...errors import UserError
from ...recipe import BY_TOKEN, DataSpec
from ..labelled import text_rows
from ..sources import read_sentences
from .base import Example


def read_examples(data: DataSpec, task: str, counts: Counter[str]) -> Iterator[Example]:
    """Stream the examples of `data.train`, in order, as they stand in the sources.

    Args:
        data: the sources, and how they are read.
        task: of the recipe: sentences for `embedding`, else texts or pairs with their labels by name, or scores.
        counts: `bad_rows` is raised by one for each row passed over.

    Yields:
        Examples; their rows are numbered over all sources, from 0.

    Raises:
        DataError: a source, a column or a row cannot be read.
        UserError: the task has words or answers that variants would part from their labels.
    """
    refuse_task(task)
    row = 0
    for source in data.train:
        if task == "embedding":
            for sentence in read_sentences(source, on_bad_row=data.on_bad_row, counts=counts):
                yield Example(sentence, row=row)
                row += 1
            continue
        rows = text_rows(
            source,
            task=task,  # type: ignore[arg-type]
            labels=None if task == "regression" else data.labels,
            separator=data.label_separator,
            on_bad_row=data.on_bad_row,
            counts=counts,
        )
        for texts, label in rows:
            yield Example(texts[0], texts[1] if len(texts) == 2 else None, list(label) if task == "multilabel" else label, row)
            row += 1


def refuse_task(task: str) -> None:
    """Refuse the tasks whose labels belong to words of the text.

    Raises:
        UserError: `task` is one of them.
    """
    if task in BY_TOKEN:
        raise UserError(
            f"the task {task} cannot be augmented: words and labels would part",
            where="data.augment",
            expected="a task on whole texts: embedding, classification, multilabel or regression",
            hint="leave data.augment out; more text for the teacher to label is named with data.unlabelled",
        )
