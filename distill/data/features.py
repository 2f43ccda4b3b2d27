"""Labelled texts as token ids, and batches of any labelled task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch

from ..progress import track
from .examples import UNLABELLED, TextExamples
from .ragged import Ragged

CHUNK = 1000
Task = Literal["general", "classification", "multilabel", "regression", "tokens", "spans"]


def chunks(count: int, description: str) -> Iterator[slice]:
    """Slices of `count` rows, a thousand each, with a progress bar."""
    starts = range(0, count, CHUNK)
    for start in track(starts, total=len(starts), description=description, unit="thousand rows"):
        yield slice(start, start + CHUNK)


def takes_token_types(tokenizer: Any) -> bool:
    """Whether the model of this tokenizer takes token type ids."""
    return "token_type_ids" in tokenizer.model_input_names


class TextFeatures:
    """Map-style data set of tokenized texts or pairs, with their labels.

    Of a pair that is too long the longer text loses tokens first.

    Args:
        examples: n texts.
        tokenizer: a fast tokenizer of `transformers`.
        max_length: tokens at most, special tokens counted.

    Attributes:
        lengths: int32 [n], tokens of each example.
        truncated: how many examples were cut.
    """

    def __init__(self, examples: TextExamples, tokenizer: Any, max_length: int) -> None:
        types = examples.text_pair is not None and takes_token_types(tokenizer)
        ids: list[np.ndarray] = []
        type_ids: list[np.ndarray] = []
        self.truncated = 0
        for part in chunks(len(examples), "Tokenizing"):
            encoded = tokenizer(
                examples.text[part],
                None if examples.text_pair is None else examples.text_pair[part],
                truncation="longest_first",
                max_length=max_length,
                padding=False,
                return_attention_mask=False,
                return_token_type_ids=types,
            )
            ids += [np.asarray(row, dtype=np.int32) for row in encoded["input_ids"]]
            type_ids += [np.asarray(row, dtype=np.int32) for row in encoded["token_type_ids"]] if types else []
            self.truncated += sum(bool(encoding.overflowing) for encoding in encoded.encodings)
        self._ids = Ragged(ids)
        self._types = Ragged(type_ids) if types else None
        self._labels = _label_array(examples.labels)
        self.lengths = self._ids.lengths

    @property
    def unread(self) -> dict[str, int]:
        """How much of the examples is not read, by what it is."""
        return {"texts are cut": self.truncated}

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Example `index` as {"input_ids": int32 [tokens], "row": index}, with "token_type_ids" for a pair and "labels" if any.

        Raises:
            IndexError: there is no such example.
        """
        item: dict[str, Any] = {"input_ids": self._ids[index], "row": int(index)}
        if self._types is not None:
            item["token_type_ids"] = self._types[index]
        if self._labels is not None:
            item["labels"] = self._labels[index]
        return item


class TaskCollator:
    """Items of `TextFeatures`, `TokenFeatures` or `SpanFeatures` -> one batch, padded on the right to its longest item.

    Args:
        pad_id: token id to pad with.
        with_token_type_ids: whether the model takes token type ids; zeros where an item has none.
        task: what the labels are.
        pad_to_multiple_of: round the width up to a multiple of this.
    """

    def __init__(self, pad_id: int, with_token_type_ids: bool, task: Task, pad_to_multiple_of: int | None = None) -> None:
        self.pad_id = pad_id
        self.with_token_type_ids = with_token_type_ids
        self.task = task
        self.pad_to_multiple_of = pad_to_multiple_of

    def __call__(self, items: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Collate B items, all with labels or all without.

        Returns:
            input_ids, attention_mask (1 token, 0 padding) and, where the model takes them, token_type_ids, each int64
            [B, width]; row int64 [B]; labels: int64 [B] (classification), float32 [B, C] (multi-label), float32 [B]
            (regression), int64 [B, width] with -100 on padding (tokens); start_positions and end_positions int64 [B] (spans).

        Raises:
            ValueError: some items have labels and some have none.
        """
        width = max(1, *(len(item["input_ids"]) for item in items))
        if self.pad_to_multiple_of:
            width = -(-width // self.pad_to_multiple_of) * self.pad_to_multiple_of
        ids = _padded([item["input_ids"] for item in items], width, self.pad_id)
        mask = _padded([np.ones(len(item["input_ids"])) for item in items], width, 0)
        batch = {"input_ids": ids, "attention_mask": mask}
        if self.with_token_type_ids:
            batch["token_type_ids"] = _padded([item.get("token_type_ids", ()) for item in items], width, 0)
        batch["row"] = torch.tensor([item["row"] for item in items], dtype=torch.int64)
        names = ("start_positions", "end_positions") if self.task == "spans" else ("labels",)
        for name in names:
            have = sum(name in item for item in items)
            if have not in (0, len(items)):
                raise ValueError(f"{have} of {len(items)} items have {name}")
            if have:
                batch[name] = self._labels([item[name] for item in items], width)
        return batch

    def _labels(self, values: list[Any], width: int) -> torch.Tensor:
        if self.task == "tokens":
            return _padded(values, width, UNLABELLED)
        floats = self.task in ("multilabel", "regression")
        return torch.from_numpy(np.array(values, dtype=np.float32 if floats else np.int64))


def _padded(rows: Sequence[Any], width: int, fill: int) -> torch.Tensor:
    """int64 [rows, width]: each row, then `fill`."""
    array = np.full((len(rows), width), fill, dtype=np.int64)
    for line, row in enumerate(rows):
        array[line, : len(row)] = row
    return torch.from_numpy(array)


def _label_array(labels: np.ndarray | None) -> np.ndarray | None:
    """Labels in the type that a loss takes."""
    if labels is None:
        return None
    return labels.astype(np.float32 if labels.dtype.kind == "f" else np.int64)
