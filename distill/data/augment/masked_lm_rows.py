"""What a masked language model reads: rows of token ids with masks in them, and the tensors made of many rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import ModelError


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a batch.

    Attributes:
        query: index of the text it belongs to.
        ids: its tokens.
        types: their segments.
        asked: where the masks are that are to be filled.
        answers: which places of the query they fill.
        seen: so many tokens are visible to all; after them come masks that see these and themselves.
        own: for each mask after `seen` where the token lies that it stands for.
    """

    query: int
    ids: list[int]
    types: list[int]
    asked: list[int]
    answers: list[int]
    seen: int
    own: list[int]


class Layout:
    """How texts become rows.

    - A word a row: `[CLS] the text with a mask [SEP]`, followed with `sees_original` by `the text [SEP]`.
    - A sentence a row: `[CLS] the text [SEP]` and after it a mask for every place, which has the position of the word it stands
      for and sees the text, without that word unless `sees_original`. The text does not see the masks, they do not see each
      other.

    A text that does not fit is read in windows that overlap by half; each place is filled in a window that has it in its middle.

    Args:
        tokenizer: of the model.
        limit: most tokens in a row, masks at the end not counted.
        sees_original: see above.
        per_sentence: a sentence a row, not a word.

    Raises:
        ModelError: there is no room for text between the special tokens.
    """

    def __init__(self, tokenizer: Any, limit: int, *, sees_original: bool, per_sentence: bool) -> None:
        self.sees_original = sees_original
        self.per_sentence = per_sentence
        self._mask = int(tokenizer.mask_token_id)
        self._pad = int(tokenizer.pad_token_id or 0)
        self._segments = "token_type_ids" in tokenizer.model_input_names
        pair = sees_original and not per_sentence
        self._before, self._between, self._after, self._types = _template(tokenizer, pair)
        special = len(self._before) + len(self._between) + len(self._after)
        self.window = (limit - special) // (2 if pair else 1)
        if self.window < 2:
            raise ModelError("this model reads too few tokens", got=limit, expected=f"more than {special + 2}")
        ids = sorted(set(tokenizer.get_vocab().values()) - set(tokenizer.all_special_ids))
        self._plain = [ids[index * len(ids) // 64] for index in range(64)] if len(ids) >= 64 else ids

    def probe(self, length: int) -> list[int]:
        """A sentence of the length, special tokens included, of various pieces."""
        count = length - len(self._before) - len(self._after)
        return [*self._before, *(self._plain[(7 * index + 3) % len(self._plain)] for index in range(count)), *self._after]

    def rows(self, query: int, ids: Sequence[int], places: Sequence[int]) -> Iterator[Row]:
        """The rows of one text.

        Args:
            query: its index.
            ids: its tokens, without special ones.
            places: indexes of the tokens to be filled.
        """
        by_window: dict[int, list[int]] = {}
        for number, place in enumerate(places):
            by_window.setdefault(self._window(place, len(ids)), []).append(number)
        for start, numbers in by_window.items():
            part = list(ids[start : start + self.window])
            inside = [places[number] - start for number in numbers]
            if self.per_sentence:
                yield self._sentence(query, part, inside, numbers)
            else:
                for place, number in zip(inside, numbers, strict=True):
                    yield self._word(query, part, place, number)

    def tensors(self, rows: Sequence[Row], first_position: int, boolean: bool) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """A batch as a model takes it, and line and column of the masks to be filled.

        Args:
            rows: at least one.
            first_position: number that the model gives to the first position.
            boolean: whether its attention takes a mask of truth values, or one that is added.
        """
        length = max(len(row.ids) for row in rows)
        ids = np.full((len(rows), length), self._pad, np.int64)
        types = np.zeros_like(ids)
        for line, row in enumerate(rows):
            ids[line, : len(row.ids)] = row.ids
            types[line, : len(row.types)] = row.types
        inputs = {"input_ids": torch.from_numpy(ids)}
        if self._segments:
            inputs["token_type_ids"] = torch.from_numpy(types)
        if self.per_sentence:
            positions, visible = self._by_sentence(rows, length)
            inputs["position_ids"] = torch.from_numpy(positions + first_position)
            mask = torch.from_numpy(visible)[:, None]
            inputs["attention_mask"] = mask if boolean else torch.where(mask, 0.0, torch.finfo(torch.float32).min)
        else:
            filled = np.arange(length) < np.array([len(row.ids) for row in rows])[:, None]
            inputs["attention_mask"] = torch.from_numpy(filled.astype(np.int64))
        lines = torch.tensor([line for line, row in enumerate(rows) for _ in row.asked])
        return inputs, lines, torch.tensor([column for row in rows for column in row.asked])

    def _by_sentence(self, rows: Sequence[Row], length: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions, and which column each place of a row sees."""
        positions = np.zeros((len(rows), length), np.int64)
        visible = np.zeros((len(rows), length, length), np.bool_)
        for line, row in enumerate(rows):
            positions[line, : row.seen] = np.arange(row.seen)
            positions[line, row.seen : len(row.ids)] = row.own
            visible[line, :, : row.seen] = True
            for place, own in enumerate(row.own, row.seen):
                visible[line, place, place] = True
                visible[line, place, own] = self.sees_original
        return positions, visible

    def _window(self, place: int, length: int) -> int:
        """Where the window of a place starts."""
        step = self.window // 2
        start = max(0, place - self.window // 4) // step * step
        return max(0, min(start, length - self.window))

    def _word(self, query: int, part: list[int], place: int, number: int) -> Row:
        masked = [*part[:place], self._mask, *part[place + 1 :]]
        original = part if self.sees_original else []
        ids = [*self._before, *masked, *self._between, *original, *self._after]
        counts = (len(self._before), len(part), len(self._between), len(original), len(self._after))
        types = [kind for kind, count in zip(self._types, counts, strict=True) for _ in range(count)]
        return Row(query, ids, types, [len(self._before) + place], [number], len(ids), [])

    def _sentence(self, query: int, part: list[int], places: list[int], numbers: list[int]) -> Row:
        ids = [*self._before, *part, *self._after]
        own = [len(self._before) + place for place in places]
        asked = list(range(len(ids), len(ids) + len(own)))
        return Row(query, [*ids, *[self._mask] * len(own)], [0] * (len(ids) + len(own)), asked, numbers, len(ids), own)


def _template(tokenizer: Any, pair: bool) -> tuple[list[int], list[int], list[int], list[int]]:
    """Special tokens before, between and after texts, and the segments of the five parts."""
    encoding = tokenizer("a", "a") if pair else tokenizer("a")
    sides = encoding.sequence_ids(0)
    ids = encoding["input_ids"]
    types = encoding.get("token_type_ids") or [0] * len(ids)
    first = sides.index(0)
    first_end = len(sides) - sides[::-1].index(0)
    if not pair:
        return ids[:first], [], ids[first_end:], [types[0], types[first], 0, 0, types[-1]]
    second = sides.index(1)
    last_end = len(sides) - sides[::-1].index(1)
    between = ids[first_end:second]
    kinds = [types[0], types[first], types[first_end] if between else 0, types[second], types[-1]]
    return ids[:first], between, ids[last_end:], kinds
