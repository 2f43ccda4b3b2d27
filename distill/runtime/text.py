"""Sentences to padded token ids, as the exported folder's own files say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer, normalizers

from ..errors import ModelError, UserError

Ids = NDArray[np.int64]


class TextInput:
    """The tokenizer of an exported folder, with its length limit, padding and prompts.

    Args:
        folder: holds tokenizer.json, config.json and, where the model has them, sentence_bert_config.json,
            tokenizer_config.json and config_sentence_transformers.json.

    Attributes:
        max_length: longest input in tokens, special tokens included.
        prompts: prompt name -> text that is put before each sentence.
        default_prompt: the text put before each sentence where none is asked for; "" is none.

    Raises:
        ModelError: a file is missing or damaged, or does not tell the length limit or the padding token.
    """

    def __init__(self, folder: Path) -> None:
        config = _read_json(folder / "config.json")
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
        self.tokenizer.no_padding()  # some folders pad every sentence to one fixed length
        side = "left" if settings.get("truncation_side") == "left" else "right"
        self.tokenizer.enable_truncation(self.max_length, direction=side)

    def resolve_prompt(self, prompt: str | None) -> str:
        """The text to put before each sentence: None is the default, a known name its text, any other string itself.

        Raises:
            UserError: `prompt` is neither a string nor None.
        """
        if prompt is not None and not isinstance(prompt, str):
            raise UserError("a prompt is a name or a text", where="prompt", got=repr(prompt), expected="a str, or None")
        return self.default_prompt if prompt is None else self.prompts.get(prompt, prompt)

    def tokenize(self, texts: Sequence[str]) -> list[Encoding]:
        """Token ids of each text, special tokens added, cut to `max_length`."""
        return self.tokenizer.encode_batch_fast(list(texts))

    def pad(self, encodings: Sequence[Encoding]) -> dict[str, Ids]:
        """Three int64 arrays [batch, longest of the batch]: input_ids, attention_mask, token_type_ids."""
        width = max(1, *(len(encoding.ids) for encoding in encodings))
        shape = (len(encodings), width)
        ids, mask, types = np.full(shape, self.pad_id, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for row, encoding in enumerate(encodings):
            length = len(encoding.ids)
            part = slice(width - length, width) if self.pad_left else slice(0, length)
            ids[row, part], mask[row, part], types[row, part] = encoding.ids, 1, encoding.type_ids
        return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


def _read_json(path: Path, *, required: bool = True) -> dict[str, Any]:
    """A JSON object; an absent file that is not required is an empty one."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        if not required:
            return {}
        raise ModelError(
            f"{path.name} is missing", where=str(path.parent), hint="give a folder made by `distill run` or `distill export`"
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError("this file cannot be read", where=str(path), got=error, expected="a JSON object") from error
    if not isinstance(value, dict):
        raise ModelError("this file is damaged", where=str(path), got=type(value).__name__, expected="a JSON object")
    return value


def _read_tokenizer(path: Path) -> Tokenizer:
    if not path.is_file():
        raise ModelError(
            "tokenizer.json is missing", where=str(path.parent), hint="give a folder made by `distill run` or `distill export`"
        )
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError("this tokenizer cannot be loaded", where=str(path), got=error, hint="export the model again") from error


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
        limits = [settings.get("model_max_length"), config.get("max_position_embeddings")]
    known = [int(limit) for limit in limits if isinstance(limit, (int, float)) and 0 < limit < 1_000_000]
    if not known:
        raise ModelError(
            "nothing tells the longest input of this model",
            where=str(folder),
            expected="max_seq_length in sentence_bert_config.json",
            hint="write it there, in tokens",
        )
    return min(known)


def _pad_id(folder: Path, tokenizer: Tokenizer, settings: Mapping[str, Any], config: Mapping[str, Any]) -> int:
    token = settings.get("pad_token")
    token = token.get("content") if isinstance(token, dict) else token
    baked = (tokenizer.padding or {}).get("pad_id")
    for found in (tokenizer.token_to_id(token) if isinstance(token, str) else None, config.get("pad_token_id"), baked):
        if isinstance(found, int):
            return found
    raise ModelError(
        "nothing tells the padding token of this model",
        where=str(folder),
        expected="pad_token in tokenizer_config.json or pad_token_id in config.json",
        hint="export the model again",
    )
