"""A corpus as token ids: tokenized once, held in one flat array that lies on disk."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..mapped import Spool
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
        ids, lengths, ends = Spool(np.int32), Spool(np.int32), Spool(np.int64)
        end = 0
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
            counts = np.fromiter(map(len, encoded), dtype=np.int32)
            lengths.add(counts)
            ends.add(end + np.cumsum(counts, dtype=np.int64))
            end += int(counts.sum())
            ids.add(np.fromiter(itertools.chain.from_iterable(encoded), dtype=np.int32))
        self.lengths = lengths.array()
        self._ids, self._ends = ids.array(), ends.array()

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Sentence `index` as {"input_ids": int32 [tokens], "row": index}.

        Raises:
            IndexError: there is no such sentence.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"no sentence {index} among {len(self)}")
        start = self._ends[index - 1] if index else 0
        return {"input_ids": self._ids[start : self._ends[index]], "row": int(index)}
