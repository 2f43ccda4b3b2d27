"""A corpus as token ids: tokenized once, held in one flat array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..progress import track

CHUNK = 1000


class TokenizedSentences:
    """Map-style data set of tokenized sentences.

    Args:
        texts: n sentences; a prompt, if any, already in front.
        tokenizer: a fast tokenizer of `transformers`.
        max_length: longer sentences are cut to this many tokens, special tokens counted.

    Attributes:
        lengths: int32 [n], tokens of each sentence.
    """

    def __init__(self, texts: Sequence[str], tokenizer: Any, max_length: int) -> None:
        chunks: list[np.ndarray] = []
        lengths: list[int] = []
        starts = range(0, len(texts), CHUNK)
        for start in track(starts, total=len(starts), description="Tokenizing", unit="thousand sentences"):
            encoded = tokenizer(
                list(texts[start : start + CHUNK]),
                truncation=True,
                max_length=max_length,
                padding=False,
                return_attention_mask=False,
                return_token_type_ids=False,
            )["input_ids"]
            lengths.extend(map(len, encoded))
            chunks.append(np.fromiter((token for ids in encoded for token in ids), dtype=np.int32))
        self.lengths = np.array(lengths, dtype=np.int32)
        self._ids = np.concatenate(chunks) if chunks else np.zeros(0, dtype=np.int32)
        self._offsets = np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Sentence `index` as {"input_ids": int32 [tokens], "row": index}.

        Raises:
            IndexError: there is no such sentence.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"no sentence {index} among {len(self)}")
        return {"input_ids": self._ids[self._offsets[index] : self._offsets[index + 1]], "row": int(index)}
