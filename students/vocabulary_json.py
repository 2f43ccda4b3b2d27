"""A tokenizer's JSON as a list of pieces: which must stay, what each is made of, and the same file with fewer of them."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from distill.errors import ModelError

KINDS = ("WordPiece", "BPE", "Unigram")


@dataclass(frozen=True)
class Pieces:
    """What a vocabulary consists of.

    Attributes:
        data: the tokenizer's JSON.
        kind: one of `KINDS`.
        names: old id -> the piece as the vocabulary spells it; None where no piece has the id.
        outside: ids of added tokens that the model's own vocabulary lacks; they come after it.
        required: ids without which the tokenizer is another one.
        made_of: BPE alone: id -> the pairs of ids that merge into it.
        byte_level: whether pieces are bytes in disguise, so that no text is unknown.
    """

    data: dict[str, Any]
    kind: str
    names: list[str | None]
    outside: list[int]
    required: set[int]
    made_of: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    byte_level: bool = False

    @property
    def ids(self) -> list[int]:
        """Every id that has a piece, rising."""
        return [index for index, name in enumerate(self.names) if name is not None]

    def text(self, index: int) -> str | None:
        """The text that a piece stands for, without marks of place; None for bytes that are no text by themselves."""
        name = self.names[index] or ""
        if self.byte_level:
            try:
                return bytes(_BYTES[letter] for letter in name).decode("utf-8")
            except (KeyError, UnicodeDecodeError):
                return None
        return self.bare(index).replace("▁", "")

    def bare(self, index: int) -> str:
        """A piece without the mark that it continues or ends a word."""
        name = self.names[index] or ""
        model = self.data["model"]
        prefix, suffix = model.get("continuing_subword_prefix") or "", model.get("end_of_word_suffix") or ""
        if prefix and name != prefix:
            name = name.removeprefix(prefix)
        return name.removesuffix(suffix) if suffix and name != suffix else name

    def with_parts(self, index: int) -> set[int]:
        """A piece and every piece that it is merged from, down to letters or bytes."""
        found, waiting = {index}, [index]
        while waiting:
            for pair in self.made_of.get(waiting.pop(), ()):
                waiting.extend(part for part in pair if part not in found)
                found.update(pair)
        return found


def read_pieces(tokenizer: Tokenizer, pad_token: str | None = None) -> Pieces:
    """The pieces of a tokenizer.

    Args:
        tokenizer: of the `tokenizers` library.
        pad_token: its padding token, where it names one.

    Raises:
        ModelError: its model is none of WordPiece, BPE and Unigram.
    """
    data = json.loads(tokenizer.to_str())
    model = data["model"]
    kind = model.get("type")
    if kind not in KINDS:
        raise ModelError("the vocabulary of this tokenizer cannot be trimmed", got=f"model {kind}", expected=", ".join(KINDS))
    vocabulary = {row[0]: i for i, row in enumerate(model["vocab"])} if kind == "Unigram" else dict(model["vocab"])
    added = {row["content"]: row["id"] for row in data["added_tokens"]}
    outside = sorted(index for name, index in added.items() if name not in vocabulary)
    names: list[str | None] = [None] * (max([*vocabulary.values(), *added.values()]) + 1)
    for name, index in (*vocabulary.items(), *added.items()):
        names[index] = name
    byte_level = kind == "BPE" and _has_type((data.get("normalizer"), data.get("pre_tokenizer")), "ByteLevel")
    required = set(added.values())
    if model.get("unk_token") in vocabulary:
        required.add(vocabulary[model["unk_token"]])
    if byte_level:
        required.update(vocabulary[letter] for letter in _BYTES if letter in vocabulary)
    if model.get("byte_fallback"):
        required.update(vocabulary[name] for name in (f"<0x{byte:02X}>" for byte in range(256)) if name in vocabulary)
    if kind == "Unigram":
        required.update(_unigram_needs(model, vocabulary))
    pad = added.get(pad_token or "", vocabulary.get(pad_token or "", 0))
    if pad < 16:  # models of the RoBERTa kind count positions from the id of padding, so it must not move
        required.update(index for index in range(pad) if names[index] is not None)
    made_of = _merges_by_product(model, vocabulary) if kind == "BPE" else {}
    return Pieces(data, kind, names, outside, required, made_of, byte_level)


def _unigram_needs(model: dict[str, Any], vocabulary: dict[str, int]) -> Iterable[int]:
    """The unknown piece, the mark of a space, and the least likely piece, which sets what an unknown letter costs."""
    if model.get("unk_id") is not None:
        yield int(model["unk_id"])
    if "▁" in vocabulary:
        yield vocabulary["▁"]
    yield min(range(len(model["vocab"])), key=lambda index: model["vocab"][index][1])


def _merge(pair: str | list[str]) -> tuple[str, str]:
    """A merge of either spelling of the file as its two pieces."""
    first, second = pair.split(" ") if isinstance(pair, str) else pair
    return first, second


def _product(pair: tuple[str, str], model: dict[str, Any]) -> str:
    """What two pieces merge into."""
    prefix = model.get("continuing_subword_prefix") or ""
    return pair[0] + (pair[1].removeprefix(prefix) if prefix else pair[1])


def _merges_by_product(model: dict[str, Any], vocabulary: dict[str, int]) -> dict[int, list[tuple[int, int]]]:
    found: dict[int, list[tuple[int, int]]] = {}
    for pair in map(_merge, model["merges"]):
        found.setdefault(vocabulary[_product(pair, model)], []).append((vocabulary[pair[0]], vocabulary[pair[1]]))
    return found


def keep_pieces(pieces: Pieces, kept: set[int]) -> tuple[str, np.ndarray]:
    """The tokenizer with some of its pieces alone, in their old order.

    Args:
        pieces: the whole vocabulary.
        kept: old ids to keep; of BPE, with all that they are made of.

    Returns:
        The tokenizer's JSON, and new id -> old id, int64 [kept].
    """
    outside = set(pieces.outside)
    order = [i for i in pieces.ids if i in kept and i not in outside] + [i for i in pieces.outside if i in kept]
    new = {old: index for index, old in enumerate(order)}
    data = copy.deepcopy({**pieces.data, "model": {}})
    model = {**pieces.data["model"]}
    if pieces.kind == "Unigram":
        model["vocab"] = [model["vocab"][old] for old in order if old not in outside]
        model["unk_id"] = None if model.get("unk_id") is None else new[model["unk_id"]]
    else:
        model["vocab"] = {name: new[old] for name, old in model["vocab"].items() if old in new}
    if pieces.kind == "BPE":
        vocabulary = model["vocab"]
        model["merges"] = [
            raw
            for raw, pair in ((raw, _merge(raw)) for raw in model["merges"])
            if pair[0] in vocabulary and pair[1] in vocabulary and _product(pair, model) in vocabulary
        ]
    data["model"] = model
    for row in data["added_tokens"]:
        row["id"] = new[row["id"]]
    if data.get("padding"):
        data["padding"]["pad_id"] = new[data["padding"]["pad_id"]]
    _renumber(data.get("post_processor"), new)
    return json.dumps(data, ensure_ascii=False), np.asarray(order, dtype=np.int64)


def _renumber(processor: dict[str, Any] | None, new: dict[int, int]) -> None:
    """Give the special tokens that a post-processor adds their new ids, in place."""
    if processor is None:
        return
    for inner in processor.get("processors", ()):
        _renumber(inner, new)
    for token in (processor.get("special_tokens") or {}).values():
        token["ids"] = [new[old] for old in token["ids"]]
    for end in ("sep", "cls"):
        if isinstance(processor.get(end), list):
            processor[end] = [processor[end][0], new[processor[end][1]]]


def _has_type(part: Any, name: str) -> bool:
    """Whether a part of a tokenizer's JSON is, or holds, a step of one type."""
    if isinstance(part, dict):
        return part.get("type") == name or any(_has_type(inner, name) for inner in part.values())
    return isinstance(part, (list, tuple)) and any(_has_type(inner, name) for inner in part)


@functools.cache
def _byte_letters() -> dict[str, int]:
    """The letter that byte-level BPE writes for each byte: itself where it can be seen, else one from 256 on."""
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in seen]
    return {**{chr(byte): byte for byte in seen}, **{chr(256 + place): byte for place, byte in enumerate(hidden)}}


_BYTES = _byte_letters()
