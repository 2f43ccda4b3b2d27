"""Questions with their context as windows of tokens, and where the answer stands in each."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DataError, ModelError
from ..runtime.spans import context_offsets, question_limit
from .examples import SpanExamples
from .features import chunks, takes_token_types
from .ragged import Ragged


class SpanFeatures:
    """Map-style data set of windows: [CLS] question [SEP] part of the context [SEP].

    A context that is too long gives several windows, two neighbours of which share `stride` tokens. A question over half of
    `max_length` is cut. The first answer that is given is the one to learn. Where a window does not hold the whole of it, or
    there is none, start and end are the first token ([CLS]), as in BERT's SQuAD v2.

    Args:
        examples: the questions.
        tokenizer: a fast tokenizer of `transformers`.
        max_length: tokens of a window at most, special tokens counted.
        stride: tokens that neighbours share.

    Raises:
        DataError: `stride` leaves no room to go on.
        ModelError: the tokenizer is not a fast one, or has no token for "no answer".

    Attributes:
        lengths: int32 [windows], tokens of each.
        example_rows: int32 [windows], the question each belongs to, in order.
        cls_positions: int32 [windows], the token that stands for no answer.
        starts, ends: int32 [windows], first and last token of the answer, both counted.
        cut_questions: how many questions were cut.
        lost: how many answers no window holds.
    """

    def __init__(self, examples: SpanExamples, tokenizer: Any, max_length: int, stride: int) -> None:
        cls_id = tokenizer.cls_token_id
        if not getattr(tokenizer, "is_fast", False) or cls_id is None:
            raise ModelError(
                "this tokenizer cannot make windows for questions",
                where=str(getattr(tokenizer, "name_or_path", "tokenizer")),
                expected="a fast tokenizer (tokenizer.json) with a [CLS] token",
            )
        limit = question_limit(max_length)
        room = max_length - limit - tokenizer.num_special_tokens_to_add(pair=True)
        if limit < 1 or stride >= room:
            raise DataError(
                "neighbouring windows share too many tokens",
                where="data.stride",
                got=stride,
                expected=f"below {max(room, 1)}, what a long question leaves of {max_length} tokens",
                hint="lower data.stride or raise the longest input",
            )
        types = takes_token_types(tokenizer)
        self.cut_questions = self.lost = 0
        ids: list[np.ndarray] = []
        type_ids: list[np.ndarray] = []
        offsets: list[np.ndarray] = []
        rows: list[int] = []
        for part in chunks(len(examples), "Tokenizing"):
            encoded = tokenizer(
                self._questions(examples.questions[part], tokenizer, limit),
                examples.contexts[part],
                truncation="only_second",
                max_length=max_length,
                stride=stride,
                padding=False,
                return_overflowing_tokens=True,
                return_attention_mask=False,
                return_token_type_ids=types,
            )
            rows += [part.start + row for row in encoded["overflow_to_sample_mapping"]]
            for encoding in encoded.encodings:
                ids.append(np.asarray(encoding.ids, dtype=np.int32))
                type_ids += [np.asarray(encoding.type_ids, dtype=np.int32)] if types else []
                offsets.append(context_offsets(encoding))
        self.example_rows = np.array(rows, dtype=np.int32)
        self._ids, self._types = Ragged(ids), Ragged(type_ids) if types else None
        self._offsets = Ragged(part.reshape(-1) for part in offsets)
        self.lengths = self._ids.lengths
        self.cls_positions = np.array([int(np.argmax(row == cls_id)) for row in ids], dtype=np.int32)
        self.starts, self.ends = self._positions(examples)

    @property
    def unread(self) -> dict[str, int]:
        """How much of the examples is not read, by what it is."""
        return {"questions are cut": self.cut_questions, "answers lie in no window": self.lost}

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Window `index` as {"input_ids", "token_type_ids" if the model takes them: int32 [tokens], "row": index,
        "start_positions", "end_positions": numbers of tokens}.

        Raises:
            IndexError: there is no such window.
        """
        item: dict[str, Any] = {"input_ids": self._ids[index], "row": int(index)}
        if self._types is not None:
            item["token_type_ids"] = self._types[index]
        return {**item, "start_positions": int(self.starts[index]), "end_positions": int(self.ends[index])}

    def offsets(self, index: int) -> np.ndarray:
        """int32 [tokens, 2]: the characters of the context that each token of window `index` covers, the end not counted;
        -1 where a token is none of the context's."""
        return self._offsets[index].reshape(-1, 2)

    def _questions(self, questions: list[str], tokenizer: Any, limit: int) -> list[str]:
        """The questions, those with more than `limit` tokens cut."""
        encoded = tokenizer(
            questions, add_special_tokens=False, return_attention_mask=False, return_token_type_ids=False, verbose=False
        )
        made = []
        for question, encoding in zip(questions, encoded.encodings, strict=True):
            if len(encoding.ids) > limit:
                self.cut_questions += 1
                question = question[: encoding.offsets[limit - 1][1]]
            made.append(question)
        return made

    def _positions(self, examples: SpanExamples) -> tuple[np.ndarray, np.ndarray]:
        """Start and end tokens of the first answer in each window; counts the answers that none holds."""
        starts, ends = self.cls_positions.copy(), self.cls_positions.copy()
        held: set[int] = set()
        for window, row in enumerate(self.example_rows.tolist()):
            if examples.answers[row]:
                text, first = examples.answers[row][0]
                found = _tokens_of(self.offsets(window), first, first + len(text))
                if found is not None:
                    starts[window], ends[window] = found
                    held.add(row)
        self.lost = sum(bool(answers) for answers in examples.answers) - len(held)
        return starts, ends


def _tokens_of(offsets: np.ndarray, first: int, end: int) -> tuple[int, int] | None:
    """First and last token of the characters from `first` up to `end`; None where the window does not hold them all."""
    covers = np.flatnonzero((offsets[:, 1] > first) & (offsets[:, 0] < end) & (offsets[:, 0] >= 0))
    if len(covers) == 0 or offsets[covers[0], 0] > first or offsets[covers[-1], 1] < end:
        return None
    return int(covers[0]), int(covers[-1])
