"""Questions and a text to answers, with their place in the text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from tokenizers import Encoding

from ..errors import ModelError, UserError
from .checks import OnLong, checked_count, checked_text, no_text
from .model import Model, Rows, Work, check_on_long
from .opened import Kind, Opened
from .spans import MAX_ANSWER_TOKENS, Span, context_offsets, decode_spans, question_limit

Asked = tuple[str, str] | Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """A candidate answer.

    Attributes:
        text: its characters in the context, without white space at its ends; "" is no answer.
        start, end: where they are, the end not counted; both -1 for no answer.
        score: start logit plus end logit; nan where the model's window holds nothing of the context.
    """

    text: str
    start: int
    end: int
    score: float


class QuestionAnswerer(Model):
    """Questions and their context to answers. Made by `distill.load`. May be used from several threads at once.

    Attributes:
        precision, max_length, allow_nan: as of every model.
        truncated: how many questions were cut so far: one takes half of a window at most.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("answers",)
    by_token: ClassVar[bool] = True
    noun = "question"

    def __init__(self, opened: Opened) -> None:
        super().__init__(opened)
        if self._text.cls_id is None:
            raise ModelError(
                "nothing tells the token for 'no answer' of this model",
                where=str(opened.folder),
                expected="cls_token in tokenizer_config.json",
                hint="export the model again",
            )

    def predict(
        self,
        rows: Sequence[Asked],
        batch_size: int | None = None,
        *,
        best: int = 1,
        no_answer: bool = False,
        threshold: float = 0.0,
        max_answer_tokens: int = MAX_ANSWER_TOKENS,
        stride: int = 64,
        on_long: OnLong = "cut",
        batch_tokens: int | None = None,
    ) -> list[list[Answer]]:
        """Find answers.

        A context that is too long is read in windows. The score of no answer is the lowest over the windows; it is the
        answer where it is above the best span's by more than `threshold`.

        Args:
            rows: (question, context), or mappings with these keys.
            batch_size, batch_tokens: as in `Encoder.encode`.
            best: how many answers a question gets at most.
            no_answer: whether the context may hold none.
            threshold: see above.
            max_answer_tokens: longest answer.
            stride: tokens that neighbouring windows share; fewer where a window has no room for so many.
            on_long: what becomes of a question of more than half of `max_length` tokens: it is cut and counted, or an error.

        Returns:
            For each question its answers, best first, at least one.

        Raises:
            UserError, DataError, ModelError: as in `Encoder.encode`.
        """
        items = list(no_text(rows, "questions", "predict([(question, context)])"))
        options: dict[str, Any] = {"best": best, "no_answer": no_answer, "threshold": threshold, "stride": stride}
        options |= {"max_answer_tokens": max_answer_tokens, "on_long": on_long, "batch_tokens": batch_tokens}
        return [found for part in self.predict_stream(items, batch_size, **options) for found in part]

    def ask(self, question: str, context: str, **options: Any) -> Answer:
        """The best answer to one question; options as in `predict`."""
        return self.predict([(question, context)], **options)[0][0]

    def predict_stream(
        self,
        rows: Iterable[Asked],
        batch_size: int | None = None,
        *,
        best: int = 1,
        no_answer: bool = False,
        threshold: float = 0.0,
        max_answer_tokens: int = MAX_ANSWER_TOKENS,
        stride: int = 64,
        on_long: OnLong = "cut",
        batch_tokens: int | None = None,
    ) -> Iterator[list[list[Answer]]]:
        """Find answers to questions as they come, in bounded memory.

        Yields:
            Lists of what `predict` gives, in the order of the input: at most 2048, or `batch_size` * 64.
        """
        size = self._sizes(batch_size, batch_tokens)
        check_on_long(on_long)
        for value, name in ((best, "best"), (max_answer_tokens, "max_answer_tokens")):
            checked_count(value, name)
        checked_count(stride, "stride", 0)
        shared = min(stride, self._room() - 1)

        def prepare(window: list[Any], first: int) -> Work[list[list[Answer]]]:
            pairs = [_checked(item, f"question {first + row}") for row, item in enumerate(window)]
            pairs = self._short(pairs, first, on_long)
            found = self._text.windows(pairs, shared, "only_second")
            parts = [[encoding, *encoding.overflowing] for encoding in found]
            windows = _Windows(parts, self._text.cls_id)

            def finish(outputs: Rows) -> list[list[Answer]]:
                starts, ends = [part[0] for part in outputs], [part[1] for part in outputs]
                spans = decode_spans(
                    windows,
                    starts,
                    ends,
                    no_answer=no_answer,
                    threshold=threshold,
                    max_tokens=max_answer_tokens,
                    n_best=max(best, 20),
                )
                return [_answers(some[:best], context) for some, (_, context) in zip(spans, pairs, strict=True)]

            return Work(windows.encodings, finish, windows.example_rows.tolist(), first)

        items = no_text(rows, "questions", "predict([(question, context)])")
        return self._stream(items, prepare, size, _length)

    def _room(self) -> int:
        """Tokens of the context that a window holds beside the longest question."""
        room = self.max_length - question_limit(self.max_length) - self._text.special_tokens[1]
        if room < 1:
            raise ModelError("a window has no room for a context", where=str(self.folder), got=f"{self.max_length} tokens")
        return room

    def _short(self, pairs: list[tuple[str, str]], first: int, on_long: OnLong) -> list[tuple[str, str]]:
        """The pairs, with questions of at most half a window."""
        limit, made = question_limit(self.max_length), []
        encodings = self._text.tokenize([question for question, _ in pairs], offsets=True, special=False)
        for row, ((question, context), encoding) in enumerate(zip(pairs, encodings, strict=True)):
            if len(encoding) > limit:
                if on_long == "error":
                    error = self._too_long(first + row, len(encoding) + sum(map(len, encoding.overflowing)))
                    error.expected = f"at most {limit}, half of {self.max_length}"
                    raise error
                question = question[: encoding.offsets[limit - 1][1]]
                self._add_cut(1)
            made.append((question, context))
        return made


class _Windows:
    """The windows of several questions: what `decode_spans` reads."""

    def __init__(self, parts: Sequence[Sequence[Encoding]], cls_id: int | None) -> None:
        self.encodings = [encoding for some in parts for encoding in some]
        self.example_rows = np.array([row for row, some in enumerate(parts) for _ in some], dtype=np.int64)
        self.lengths = np.array([len(encoding) for encoding in self.encodings], dtype=np.int64)
        cls = [np.argmax(np.asarray(encoding.ids) == cls_id) if len(encoding) else 0 for encoding in self.encodings]
        self.cls_positions = np.array(cls, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.encodings)

    def offsets(self, index: int) -> np.ndarray:
        return context_offsets(self.encodings[index])


def _answers(spans: Sequence[Span], context: str) -> list[Answer]:
    made = []
    for span in spans:
        text = context[span.first : span.end] if span.first >= 0 else ""
        start = span.first + len(text) - len(text.lstrip())
        text = text.strip()
        made.append(Answer(text, start, start + len(text), span.score) if text else Answer("", -1, -1, span.score))
    return made or [Answer("", -1, -1, float("nan"))]


def _checked(item: object, where: str) -> tuple[str, str]:
    if isinstance(item, Mapping):
        missing = [name for name in ("question", "context") if name not in item]
        if missing:
            raise UserError("a part is missing", where=where, got=", ".join(map(str, item)), expected="question and context")
        item = (item["question"], item["context"])
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise UserError("this is no question with its context", where=where, got=repr(item), expected="(question, context)")
    return checked_text(item[0], f"{where}, question"), checked_text(item[1], f"{where}, context")


def _length(item: Any) -> int:
    parts = item.values() if isinstance(item, Mapping) else item if isinstance(item, (tuple, list)) else ()
    return sum(len(part) for part in parts if isinstance(part, str)) or 1
