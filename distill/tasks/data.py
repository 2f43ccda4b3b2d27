"""Labelled sources -> examples for training, dev and evaluation that share nothing."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..data.augment.account import write_report
from ..data.conll import read_token_examples
from ..data.examples import UNLABELLED, LabelSet, SpanExamples, TextExamples, TokenExamples
from ..data.known_text import known_in_part, texts_by_row
from ..data.labelled import read_text_examples
from ..data.labels import learnable
from ..data.prepare import fold
from ..data.squad import read_span_examples
from ..errors import DataError
from ..evaluate.scoring import Examples
from ..files import atomic_folder, write_json
from ..progress import note
from ..recipe import DataSpec, ShareSpec, SourceSpec


@dataclass(frozen=True)
class TaskData:
    """The examples of a run.

    Attributes:
        labels: names of the labels; empty for regression and spans.
        train: what is learnt from, unlabelled examples at the end.
        labelled: how many of them have a label.
        dev: held out, labelled.
        evaluate: name -> labelled set.
        counts: what was read, dropped and kept.
    """

    labels: LabelSet
    train: Examples
    labelled: int
    dev: Examples
    evaluate: dict[str, Examples]
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def pairs(self) -> bool:
        """Whether inputs are pairs of texts."""
        return isinstance(self.train, SpanExamples) or getattr(self.train, "text_pair", None) is not None


def read_task_data(spec: DataSpec, task: str) -> TaskData:
    """Read, split and check the examples of a recipe.

    Training examples whose text stands in an evaluation set are dropped, and so are those of dev; both are counted. Two
    texts are the same if they differ in case, spaces and punctuation alone. Rows that are known in part are counted and stay.

    Raises:
        DataError: a source cannot be read, label sets differ, or nothing is left for a part.
    """
    counts: Counter[str] = Counter()
    reader = _Reader(spec, task, counts)
    train = joined([reader.read(source, spec.labels) for source in spec.train])
    labels = reader.labels(train)
    evaluate = {name: reader.read(source, labels.names) for name, source in spec.evaluate.items()}
    counts["read"] = len(train)
    blocked = {key for examples in evaluate.values() for key in example_keys(examples)}
    dev: Examples
    if isinstance(spec.dev, SourceSpec):
        dev = reader.read(spec.dev, labels.names)
        if len(dev) > spec.dev_limit:
            note(f"data: {spec.dev_limit:,} of {len(dev):,} dev examples are used, chosen by hash (data.dev_limit)")
            dev = dev.select(np.array(sorted(_by_key(example_keys(dev))[: spec.dev_limit]), dtype=np.int64))
    else:
        train = _without(train, blocked, counts, "removed_evaluation")
        train, dev = _split(train, spec.dev, spec.dev_limit)
    train = _without(train, blocked, counts, "removed_evaluation")
    train = _without(train, set(example_keys(dev)), counts, "removed_dev")
    for name, part in (("train", train), ("dev", dev)):
        if len(part) < 2:
            raise DataError(f"too few examples are left for {name}", where="data", got=len(part), expected="at least 2")
    labelled = len(train)
    more = [reader.read(source, labels.names, use="ignored") for source in spec.unlabelled]
    if more:
        seen = blocked | set(example_keys(dev)) | set(example_keys(train))
        bare = joined([unlabelled(part, train) for part in more])
        train = joined([train, _without(bare, seen, counts, "removed_unlabelled")])
    counts["train"], counts["labelled"], counts["dev"] = len(train), labelled, len(dev)
    held_out = {"dev": texts_by_row(dev), "evaluation": [text for part in evaluate.values() for text in texts_by_row(part)]}
    for name, rows in known_in_part(held_out, texts_by_row(train)).items():
        counts[f"known_{name}"] = rows
    return TaskData(labels, train, labelled, dev, evaluate, dict(counts))


class _Reader:
    """Reads sources of one task, and gathers the labels that occur in training sources."""

    def __init__(self, spec: DataSpec, task: str, counts: Counter[str]) -> None:
        self.spec, self.task, self.counts = spec, task, counts
        self.found: list[LabelSet] = []

    def read(self, source: SourceSpec, labels: Sequence[str] | None, use: str = "required") -> Examples:
        """The examples of one source."""
        bad = {"on_bad_row": self.spec.on_bad_row, "counts": self.counts}
        if self.task == "spans":
            return read_span_examples(source, **bad)  # type: ignore[arg-type]
        given = labels or None
        if self.task == "tokens":
            space = False if self.spec.joined_words else None
            examples, names = read_token_examples(source, labels=given, space=space, **bad)  # type: ignore[arg-type]
            self.found.append(names)
            return TokenExamples(examples.words, None, examples.space) if use == "ignored" else examples
        if self.task == "regression":
            given = None
        found, names = read_text_examples(
            source,
            task=self.task,  # type: ignore[arg-type]
            labels=given,
            separator=self.spec.label_separator,
            use=use,  # type: ignore[arg-type]
            **bad,  # type: ignore[arg-type]
        )
        self.found.append(names)
        return found

    def labels(self, train: Examples) -> LabelSet:
        """The names of the labels: as given, or those that occur in the training sources; `train` has two of them or more."""
        if self.task in ("regression", "spans"):
            return LabelSet(())
        if self.spec.labels is None and len({names.names for names in self.found}) > 1:
            raise DataError(
                "the training sources have different labels",
                where="data.train",
                got="; ".join(", ".join(names.names) for names in self.found),
                hint="name all of them in data.labels",
            )
        labels = self.found[0] if self.spec.labels is None else LabelSet(self.spec.labels)
        learnable(_names_in(train, labels), self.spec.train[0].source if len(self.spec.train) == 1 else "data.train")
        return labels


def _names_in(examples: Any, labels: LabelSet) -> set[str]:
    """The labels that occur in examples."""
    if isinstance(examples, TokenExamples):
        numbers = {tag for row in examples.tags or [] for tag in row}
    elif examples.labels.ndim == 2:
        numbers = set(np.flatnonzero((examples.labels == 1).any(0)).tolist())
    else:
        numbers = set(examples.labels.tolist())
    return {labels.names[number] for number in numbers if number != UNLABELLED}


def joined(parts: Sequence[Any]) -> Any:
    """Several sets of examples as one."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, SpanExamples):
        names = ("ids", "questions", "contexts", "answers")
        return SpanExamples(*([row for part in parts for row in getattr(part, name)] for name in names))
    if isinstance(first, TokenExamples):
        if len({part.space for part in parts}) > 1:
            raise DataError(
                "some sources are tagged word by word and some character by character",
                where="data",
                hint="use one kind; data.joined_words says that no spaces stand between words",
            )
        words = [row for part in parts for row in part.words]
        tags = [row for part in parts for row in (part.tags or [[UNLABELLED] * len(words) for words in part.words])]
        return TokenExamples(words, tags, first.space)
    if len({part.text_pair is None for part in parts}) > 1:
        raise DataError("some sources hold pairs of texts and some single texts", where="data", hint="name the columns of each")
    pair = None if first.text_pair is None else [row for part in parts for row in part.text_pair]
    return TextExamples([row for part in parts for row in part.text], pair, np.concatenate([part.labels for part in parts]))


def unlabelled(examples: Any, like: Any) -> Any:
    """Examples that carry the marks of missing labels, in the form of those of `like`."""
    if not isinstance(examples, TextExamples):
        return examples
    labels = like.labels
    if labels is None or (labels.ndim == 1 and labels.dtype.kind == "i"):
        marks: np.ndarray = np.full(len(examples), UNLABELLED, dtype=np.int64)
    else:
        marks = np.full((len(examples), *labels.shape[1:]), np.nan, dtype=labels.dtype)
    return TextExamples(examples.text, examples.text_pair, marks)


def example_keys(examples: Any) -> list[bytes]:
    """What tells one example from another, blind to case, spaces and punctuation."""
    if isinstance(examples, SpanExamples):
        rows = [f"{question}\n{context}" for question, context in zip(examples.questions, examples.contexts, strict=True)]
    elif getattr(examples, "text_pair", None) is not None:
        rows = [f"{a}\n{b}" for a, b in zip(examples.text, examples.text_pair, strict=True)]
    else:
        rows = list(examples.text)
    return [
        hashlib.blake2b(
            "\n".join(fold(part) for part in row.split("\n")).encode("utf-8"), digest_size=16, person=b"distill-task"
        ).digest()
        for row in rows
    ]


def _by_key(keys: Sequence[bytes]) -> list[int]:
    """The numbers of rows in the order of their keys, which has nothing to do with that of the file."""
    return sorted(range(len(keys)), key=keys.__getitem__)


def _without(examples: Any, blocked: set[bytes], counts: Counter[str], name: str) -> Any:
    """The examples whose key is not blocked; the others are counted."""
    keep = [row for row, key in enumerate(example_keys(examples)) if key not in blocked]
    counts[name] += len(examples) - len(keep)
    return examples if len(keep) == len(examples) else examples.select(np.array(keep, dtype=np.int64))


def _split(examples: Any, spec: ShareSpec, limit: int) -> tuple[Any, Any]:
    """Hold out a share by hash: equal texts fall on one side."""
    keys = example_keys(examples)
    bound = int(spec.share * 2**64)
    order = _by_key(keys)
    inside = [row for row in order if int.from_bytes(keys[row][:8], "big") < bound]
    held = set((inside if len(inside) >= 2 else order[:2])[:limit])
    last = {keys[row] for row in held}
    rest = [row for row in range(len(keys)) if keys[row] not in last]
    return examples.select(np.array(rest, dtype=np.int64)), examples.select(np.array(sorted(held), dtype=np.int64))


def save_task_data(data: TaskData, folder: Path, augmented: Mapping[str, Any] | None = None) -> None:
    """Write the examples to `folder`, which is replaced as a whole: one Parquet file a part, labels.json, counts.json.

    Args:
        data: the examples.
        folder: where to.
        augmented: the report of the augmentation, for augmented.json and augmented.md.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with atomic_folder(folder) as work:
        parts = {"train": data.train, "dev": data.dev, **{f"evaluate-{name}": part for name, part in data.evaluate.items()}}
        for name, part in parts.items():
            pq.write_table(pa.table(_columns(part)), work / f"{name}.parquet")
        write_json(work / "labels.json", list(data.labels.names))
        write_json(work / "counts.json", data.counts)
        if augmented is not None:
            write_report(augmented, work / "augmented")


def _columns(examples: Examples) -> dict[str, Any]:
    """Examples as columns of a table."""
    if isinstance(examples, SpanExamples):
        answers = [[{"text": text, "start": start} for text, start in row] for row in examples.answers]
        return {"id": examples.ids, "question": examples.questions, "context": examples.contexts, "answers": answers}
    if isinstance(examples, TokenExamples):
        tags = examples.tags if examples.tags is not None else [None] * len(examples)
        return {"words": examples.words, "tags": tags, "space": [examples.space] * len(examples)}
    columns: dict[str, Any] = {"text": examples.text}
    if examples.text_pair is not None:
        columns["text_pair"] = examples.text_pair
    if examples.labels is not None:
        columns["label"] = examples.labels.tolist()
    return columns
