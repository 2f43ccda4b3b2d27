"""Sentences of different lengths -> one padded batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch


class Collator:
    """Pads on the right to the longest sentence of the batch.

    Args:
        pad_id: token id to pad with.
        with_token_type_ids: whether the model takes token type ids (all zeros here).
        pad_to_multiple_of: round the width up to a multiple of this.
    """

    def __init__(self, pad_id: int, with_token_type_ids: bool, pad_to_multiple_of: int | None = None) -> None:
        self.pad_id = pad_id
        self.with_token_type_ids = with_token_type_ids
        self.pad_to_multiple_of = pad_to_multiple_of

    def __call__(self, items: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Collate items of `TokenizedSentences`.

        Args:
            items: B items, each {"input_ids": ids, "row": number}.

        Returns:
            int64 tensors: input_ids, attention_mask (1 token, 0 padding) and, where the model takes them,
            token_type_ids, each [B, width]; row [B].
        """
        width = max(1, *(len(item["input_ids"]) for item in items))
        if self.pad_to_multiple_of:
            width = -(-width // self.pad_to_multiple_of) * self.pad_to_multiple_of
        ids = np.full((len(items), width), self.pad_id, dtype=np.int64)
        mask = np.zeros((len(items), width), dtype=np.int64)
        for line, item in enumerate(items):
            length = len(item["input_ids"])
            ids[line, :length] = item["input_ids"]
            mask[line, :length] = 1
        batch = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        if self.with_token_type_ids:
            batch["token_type_ids"] = torch.zeros_like(batch["input_ids"])
        batch["row"] = torch.tensor([item["row"] for item in items], dtype=torch.int64)
        return batch
