"""Texts, pairs and words to padded token ids, as the exported folder's own files say."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer, normalizers

from ..errors import ModelError, UserError
from ..foreign import MAX_TOKENIZER, check_regular, check_tokenizer_steps, is_failure, read_object

Ids = NDArray[np.int64]
Input = str | tuple[str, str] | list[str]
"""A text, a pair of texts, or the words of a text."""
Strategy = Literal["longest_first", "only_second"]
SHIFTED = frozenset({"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "data2vec-text", "ibert", "longformer"})
"""Families that count positions from the one behind the padding token's number: their table is so much longer than any input."""


class TextInput:
    """The tokenizer of an exported folder, with its length limit, padding and prompts.

    Args:
        folder: holds tokenizer.json, config.json and, where the model has them, sentence_bert_config.json,
            tokenizer_config.json and config_sentence_transformers.json.

    Attributes:
        config: the content of config.json.
        max_length: longest input in tokens, special tokens included.
        cls_id: the token that stands first; None where the files do not tell.
        special_tokens: how many special tokens are added to a text, and to a pair.
        prompts: prompt name -> text that is put before each sentence.
        default_prompt: the text put before each sentence where none is asked for; "" is none.

    Raises:
        ModelError: a file is missing or damaged, or does not tell the length limit or the padding token.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = config = _read_json(folder / "config.json")
        sentence = _read_json(folder / "sentence_bert_config.json", required=False)
        settings = _read_json(folder / "tokenizer_config.json", required=False)
        self.tokenizer = _read_tokenizer(folder / "tokenizer.json")
        self.max_length = _max_length(folder, sentence, settings, config)
        self.pad_id = _pad_id(folder, self.tokenizer, settings, config)
        self.pad_left = settings.get("padding_side") == "left"
        self.prompts, self.default_prompt = _read_prompts(folder / "config_sentence_transformers.json")
        if sentence.get("do_lower_case"):
            inner = self.tokenizer.normalizer
            steps = [normalizers.Lowercase()] + ([inner] if inner is not None else [])
            self.tokenizer.normalizer = normalizers.Sequence(steps)
        self._settings = settings
        self.cls_id = self._special("cls")
        self._side = "left" if settings.get("truncation_side") == "left" else "right"
        self._cutters: dict[tuple[int, Strategy], Tokenizer] = {}
        self._begin()
        with _tokenizing(folder):
            self.tokenizer.no_padding()  # some folders pad every sentence to one fixed length
            self.tokenizer.enable_truncation(self.max_length, direction=self._side)
            self.special_tokens = (
                self.tokenizer.num_special_tokens_to_add(False),
                self.tokenizer.num_special_tokens_to_add(True),
            )

    def resolve_prompt(self, prompt: str | None) -> str:
        """The text to put before each sentence: None is the default, a known name its text, any other string itself.

        Raises:
            UserError: `prompt` is neither a string nor None.
        """
        if prompt is not None and not isinstance(prompt, str):
            raise UserError("a prompt is a name or a text", where="prompt", got=repr(prompt), expected="a str, or None")
        return self.default_prompt if prompt is None else self.prompts.get(prompt, prompt)

    def tokenize(self, inputs: Sequence[Input], *, offsets: bool = False, special: bool = True) -> list[Encoding]:
        """Token ids of each text or pair, special tokens added, cut to `max_length`; of a pair the longer text is cut first.

        Args:
            inputs: valid Unicode.
            offsets: whether the characters and words of each token are wanted as well.
            special: whether special tokens are added.

        Raises:
            ModelError: the tokenizer gives up.
        """
        batch: Any = list(inputs)
        with _tokenizing(self.folder):
            run = self.tokenizer.encode_batch if offsets else self.tokenizer.encode_batch_fast
            return run(batch, add_special_tokens=special)

    def tokenize_words(self, rows: Sequence[Sequence[str]], stride: int | None = None) -> list[Encoding]:
        """As `tokenize`, of texts that are already split into words; with `stride` as `windows`."""
        batch: Any = [list(words) for words in rows]
        with _tokenizing(self.folder):
            return self._cutter(stride, "longest_first").encode_batch(batch, is_pretokenized=True)

    def windows(self, inputs: Sequence[Input], stride: int, strategy: Strategy = "longest_first") -> list[Encoding]:
        """As `tokenize` with offsets, but what is cut follows as further windows (`Encoding.overflowing`).

        Args:
            inputs: texts or pairs.
            stride: tokens that neighbouring windows share.
            strategy: `only_second`: windows over the second text of a pair, each with the whole first one.
        """
        batch: Any = list(inputs)
        with _tokenizing(self.folder):
            return self._cutter(stride, strategy).encode_batch(batch)

    def is_cut(self, encoding: Encoding) -> bool:
        """Whether tokens are missing from an encoding."""
        return len(encoding) >= self.max_length and bool(encoding.overflowing)

    def pad(self, encodings: Sequence[Encoding]) -> dict[str, Ids]:
        """Three int64 arrays [batch, longest of the batch]: input_ids, attention_mask, token_type_ids."""
        width = max(1, *map(len, encodings))
        shape = (len(encodings), width)
        ids, mask, types = np.full(shape, self.pad_id, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for row, encoding in enumerate(encodings):
            length = len(encoding)
            part = slice(width - length, width) if self.pad_left else slice(0, length)
            ids[row, part], mask[row, part], types[row, part] = encoding.ids, 1, encoding.type_ids
        return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}

    def real(self, length: int, width: int) -> slice:
        """Where the tokens of a row of `length` stand in a batch of this width."""
        return slice(width - length, width) if self.pad_left else slice(0, length)

    def largest_id(self) -> int:
        """The highest token id that the tokenizer can give."""
        return max(self.tokenizer.get_vocab(with_added_tokens=True).values(), default=0)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()

    def _cutter(self, stride: int | None, strategy: Strategy) -> Tokenizer:
        """A tokenizer that cuts in another way. The main one is never changed: other threads may be using it."""
        if stride is None:
            return self.tokenizer
        with self._lock:
            if (stride, strategy) not in self._cutters:
                twin = Tokenizer.from_str(self.tokenizer.to_str())
                twin.enable_truncation(self.max_length, stride=stride, strategy=strategy, direction=self._side)
                self._cutters[stride, strategy] = twin
            return self._cutters[stride, strategy]

    def _special(self, name: str) -> int | None:
        """The number of a special token, by the tokenizer's settings or the config."""
        token = self._settings.get(f"{name}_token")
        token = token.get("content") if isinstance(token, dict) else token
        found = self.tokenizer.token_to_id(token) if isinstance(token, str) else None
        other = self.config.get(f"{name}_token_id")
        return found if found is not None else other if isinstance(other, int) else None


@contextlib.contextmanager
def _tokenizing(folder: Path) -> Iterator[None]:
    """Turn what the tokenizer raises, which may be a panic of its own language, into an error of ours."""
    try:
        yield
    except BaseException as error:
        if not is_failure(error):
            raise
        raise ModelError("the tokenizer failed", where=str(folder / "tokenizer.json"), got=error) from error


def _read_json(path: Path, *, required: bool = True) -> dict[str, Any]:
    """A JSON object; an absent file that is not required is an empty one."""
    if not path.exists():
        if not required:
            return {}
        _missing(path)
    return read_object(path)


def _read_tokenizer(path: Path) -> Tokenizer:
    if not path.exists():
        _missing(path)
    check_regular(path, str(path), MAX_TOKENIZER)
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except BaseException as error:
        if not is_failure(error):
            raise
        raise ModelError("this tokenizer cannot be loaded", where=str(path), got=error, hint="export the model again") from error
    check_tokenizer_steps(tokenizer, str(path.parent))
    return tokenizer


def _missing(path: Path) -> NoReturn:
    hint = "give a folder made by `distill run` or `distill export`"
    raise ModelError(f"{path.name} is missing", where=str(path.parent), hint=hint)


def _read_prompts(path: Path) -> tuple[dict[str, str], str]:
    """Prompt name -> text, and the text of the default prompt."""
    settings = _read_json(path, required=False)
    prompts, default = settings.get("prompts") or {}, settings.get("default_prompt_name")
    if not isinstance(prompts, dict) or not all(isinstance(text, str) for text in prompts.values()):
        raise ModelError("the prompts are damaged", where=str(path), got=prompts, expected="prompt name: text")
    if default is not None and default not in prompts:
        raise ModelError(
            "the default prompt is not among the prompts",
            where=str(path),
            got=default,
            expected=", ".join(prompts) or "a prompt of that name",
        )
    return prompts, "" if default is None else prompts[default]


def _max_length(folder: Path, sentence: Mapping[str, Any], settings: Mapping[str, Any], config: Mapping[str, Any]) -> int:
    """The limit of sentence_bert_config.json, else the smaller of the tokenizer's and the position table's."""
    limits = [sentence.get("max_seq_length")]
    if limits[0] is None:
        limits = [settings.get("model_max_length"), _positions(config)]
    known = [int(limit) for limit in limits if isinstance(limit, (int, float)) and 0 < limit < 1_000_000]
    if not known:
        raise ModelError(
            "nothing tells the longest input of this model",
            where=str(folder),
            expected="max_seq_length in sentence_bert_config.json",
            hint="write it there, in tokens",
        )
    return min(known)


def _positions(config: Mapping[str, Any]) -> int | None:
    """The longest input that the position table has room for."""
    count, pad = config.get("max_position_embeddings"), config.get("pad_token_id")
    if not isinstance(count, int):
        return None
    return count - pad - 1 if config.get("model_type") in SHIFTED and isinstance(pad, int) else count


def _pad_id(folder: Path, tokenizer: Tokenizer, settings: Mapping[str, Any], config: Mapping[str, Any]) -> int:
    token = settings.get("pad_token")
    token = token.get("content") if isinstance(token, dict) else token
    if isinstance(token, str) and any("\ud800" <= letter <= "\udfff" for letter in token):
        raise ModelError("pad_token is no text", where=str(folder / "tokenizer_config.json"), got=ascii(token))
    baked = (tokenizer.padding or {}).get("pad_id")
    for found in (tokenizer.token_to_id(token) if isinstance(token, str) else None, config.get("pad_token_id"), baked):
        if isinstance(found, int):
            if not 0 <= found <= max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0):
                raise ModelError("the padding token is none of the tokenizer's", where=str(folder), got=found)
            return found
    raise ModelError(
        "nothing tells the padding token of this model",
        where=str(folder),
        expected="pad_token in tokenizer_config.json or pad_token_id in config.json",
        hint="export the model again",
    )
