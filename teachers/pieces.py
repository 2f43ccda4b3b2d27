"""Whether two tokenizers cut texts into the same pieces, under whatever ids.

MPNet reads BERT's pieces with other ids and other names for the special tokens. Its states can be compared token by token with
those of a BERT student: both read as many tokens, and the k-th token of one is the k-th of the other.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .fingerprint import definition_sha256
from .state_rows import row_key

ROLES = (
    ("first", ("cls_token", "bos_token")),
    ("last", ("sep_token", "eos_token")),
    ("pad", ("pad_token",)),
    ("mask", ("mask_token",)),
)
"""What a special token is for, and which of transformers' names it has."""

PROBES = ("a", ("a", "b"))
"""What is put around a text and between two is seen by these."""


@dataclass(frozen=True)
class SamePieces:
    """Two tokenizers that cut texts into the same pieces.

    Attributes:
        ids: the teacher's id of each id of the other tokenizer, int64 [vocabulary]; None where they are the same.
    """

    ids: Tensor | None

    def of_trimmed(self, kept: Tensor | None) -> Tensor | None:
        """The teacher's id of each id of a student whose vocabulary is a part of the other tokenizer's.

        Args:
            kept: the other tokenizer's id of each of the student's, int64 [student vocabulary]; None where it has them all.

        Returns:
            int64 [student vocabulary], or None where the ids are the teacher's.
        """
        if self.ids is None or kept is None:
            return kept if self.ids is None else self.ids
        return self.ids[kept]


def same_pieces(teacher: Any, other: Any, *, pairs: bool = False) -> SamePieces | None:
    """Compare two tokenizers by what they do to a text.

    They agree where they clean and split texts alike, have the same pieces (and merges, and scores), and put special tokens
    of the same roles at the same places. Names of special tokens and all ids may differ.

    Args:
        teacher, other: tokenizers of transformers.
        pairs: whether two texts in one input are to be cut alike too: RoBERTa's kind puts two tokens between them, BERT's one.

    Returns:
        What the ids of one are for the other, or None where they cut texts into different pieces.
    """
    if definition_sha256(teacher) == definition_sha256(other):
        return SamePieces(None)
    if not all(hasattr(getattr(one, "backend_tokenizer", None), "to_str") for one in (teacher, other)):
        return None
    sides = _Side(teacher), _Side(other)
    special = sides[0].special | sides[1].special
    if sides[0].rules(special) != sides[1].rules(special):
        return None
    for probe in PROBES if pairs else PROBES[:1]:
        if sides[0].layout(probe) != sides[1].layout(probe):
            return None
    theirs, ours = sides
    unknown = theirs.vocabulary.get(theirs.unknown or "", theirs.by_role.get("pad", 0))
    ids = torch.full((max(ours.vocabulary.values()) + 1,), unknown, dtype=torch.int64)
    for name, index in ours.vocabulary.items():
        role = ours.roles.get(name)
        ids[index] = theirs.by_role[role] if role in theirs.by_role else theirs.vocabulary.get(name, unknown)
    return SamePieces(ids)


def as_read(model: nn.Module, batch: Mapping[str, Tensor], ids: Tensor | None) -> dict[str, Tensor]:
    """A student's batch as the teacher reads it.

    Args:
        model: the teacher, of transformers.
        batch: `input_ids`, maybe `attention_mask` and `token_type_ids`.
        ids: the teacher's id of each of the student's; None where they are the same.

    Returns:
        The batch with the teacher's ids, and without the token types where the teacher has none: MPNet reads no such thing.
    """
    typed, tokens = reads_types(model), batch["input_ids"]
    read = {name: value for name, value in batch.items() if typed or name != "token_type_ids"}
    return {**read, "input_ids": tokens if ids is None else ids.to(tokens.device)[tokens]}


def read_key(model: nn.Module, row: Mapping[str, Any], ids: Tensor | None) -> bytes:
    """`row_key` of a student's row as the teacher reads it.

    Args:
        model, ids: as in `as_read`.
        row: `input_ids`, maybe `token_type_ids`, int [tokens].
    """
    given = {name: row[name] for name in ("input_ids", "token_type_ids") if name in row}
    read = as_read(model, {name: torch.from_numpy(np.asarray(value, dtype=np.int64)) for name, value in given.items()}, ids)
    types = read.get("token_type_ids")
    return row_key(read["input_ids"].numpy(), None if types is None else types.numpy())


def reads_types(model: nn.Module) -> bool:
    """Whether a model of transformers is told which text each token is of."""
    return _kind_reads_types(type(model))  # type: ignore[arg-type]  # mypy: classes are hashable


@functools.cache
def _kind_reads_types(kind: type[nn.Module]) -> bool:
    return "token_type_ids" in inspect.signature(kind.forward).parameters


class _Side:
    """One tokenizer, taken apart.

    Attributes:
        vocabulary: every piece, added ones too -> its id.
        special: names of special tokens.
        roles: name of a special token -> its role.
        by_role: role -> id.
        unknown: name of the piece for what is not known.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.tree: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
        self.vocabulary: dict[str, int] = tokenizer.get_vocab()
        self.unknown: str | None = self.tree["model"].get("unk_token") or tokenizer.unk_token
        self.special = {token["content"] for token in self.tree["added_tokens"] if token["special"]}
        self.special |= {self.unknown} if self.unknown else set()
        self.roles = {} if self.unknown is None else {self.unknown: "unknown"}
        for role, names in ROLES:
            found = [name for kind in names if (name := getattr(tokenizer, kind, None)) is not None]
            self.roles |= dict.fromkeys(found[:1], role)
        self.by_role = {role: self.vocabulary[name] for name, role in self.roles.items() if name in self.vocabulary}

    def rules(self, special: set[str]) -> dict[str, Any]:
        """Everything that decides how plain text is cut, without ids and names of special tokens."""
        model = {name: value for name, value in self.tree["model"].items() if name not in ("vocab", "unk_token", "unk_id")}
        vocabulary = self.tree["model"]["vocab"]
        pieces = dict.fromkeys(vocabulary) if isinstance(vocabulary, dict) else dict(map(tuple, vocabulary))
        words = {token["content"]: token["single_word"] for token in self.tree["added_tokens"] if not token["special"]}
        return {
            "normalizer": self.tree["normalizer"],
            "pre_tokenizer": self.tree["pre_tokenizer"],
            "model": model,
            "pieces": {name: score for name, score in pieces.items() if name not in special},
            "added": {name: alone for name, alone in words.items() if name not in special},
        }

    def layout(self, probe: str | tuple[str, str]) -> list[str]:
        """Roles of the special tokens around texts, and the pieces between them."""
        found = self.tokenizer(*(probe if isinstance(probe, tuple) else (probe,)))["input_ids"]
        return [self.roles.get(name, name) for name in self.tokenizer.convert_ids_to_tokens(found)]
