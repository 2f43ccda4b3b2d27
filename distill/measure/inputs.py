"""The token ids that are timed: the same for every model of one vocabulary, no padding, no special tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..foreign import MAX_TOKENIZER, read_json, read_object

SEED = 20_240
# These families number positions from the padding id + 1.
OFFSET_POSITIONS = frozenset({"roberta", "xlm-roberta", "camembert", "mpnet"})


@dataclass(frozen=True)
class InputFacts:
    """What a model takes.

    Attributes:
        vocabulary: number of token ids.
        special: ids that ordinary text never gives.
        longest: longest sequence that the position table allows; None without one.
    """

    vocabulary: int
    special: tuple[int, ...]
    longest: int | None


def read_facts(folder: Path) -> InputFacts:
    """Read what a model takes from config.json and tokenizer.json of its folder.

    Raises:
        ModelError: there is no config.json, or it names no vocabulary size.
    """
    home = _transformer_folder(folder)
    if not (home / "config.json").is_file():
        raise ModelError("config.json is missing", where=str(home), expected="the folder of a model, or of an exported one")
    config = read_object(home / "config.json")
    vocabulary = config.get("vocab_size")
    if not isinstance(vocabulary, int) or vocabulary < 1:
        raise ModelError("config.json names no vocabulary size", where=str(home), got=vocabulary, expected="vocab_size")
    longest = config.get("max_position_embeddings")
    if isinstance(longest, int) and config.get("model_type") in OFFSET_POSITIONS:
        padding = config.get("pad_token_id")
        longest -= (padding if isinstance(padding, int) else 0) + 1
    tokenizer = home / "tokenizer.json"
    words = read_json(tokenizer, limit=MAX_TOKENIZER) if tokenizer.is_file() else {}
    try:
        special = tuple(sorted(int(token["id"]) for token in words.get("added_tokens", ()) if token.get("special")))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            "this file is damaged", where=str(tokenizer), got=error, expected="added_tokens with their ids"
        ) from error
    return InputFacts(vocabulary, special, longest if isinstance(longest, int) and longest > 0 else None)


def random_batch(batch: int, sequence: int, vocabulary: int, special: tuple[int, ...]) -> dict[str, NDArray[np.int64]]:
    """Full-length random token ids from a fixed seed.

    Args:
        batch, sequence: the shape.
        vocabulary: ids lie below this.
        special: ids that are left out.

    Returns:
        input_ids, attention_mask (all 1) and token_type_ids (all 0), int64 [batch, sequence] each.
    """
    allowed = np.setdiff1d(np.arange(vocabulary, dtype=np.int64), np.asarray(special, np.int64))
    if allowed.size == 0:
        allowed = np.arange(vocabulary, dtype=np.int64)
    ids = np.random.default_rng(SEED).choice(allowed, size=(batch, sequence))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}


def lengths_batch(lengths: Sequence[int], vocabulary: int, special: tuple[int, ...]) -> dict[str, NDArray[np.int64]]:
    """Random token ids of several lengths, padded to the longest.

    Args:
        lengths: tokens of each row.
        vocabulary, special: as in `random_batch`.

    Returns:
        As `random_batch`; attention_mask is 0 behind the end of a row.
    """
    arrays = random_batch(len(lengths), max(lengths), vocabulary, special)
    arrays["attention_mask"] = (np.arange(max(lengths))[None] < np.asarray(lengths)[:, None]).astype(np.int64)
    return arrays


def _transformer_folder(folder: Path) -> Path:
    """Older sentence-transformers keep the transformer in a folder of its own."""
    modules = folder / "modules.json"
    if (folder / "config.json").is_file() or not modules.is_file():
        return folder
    first = next((str(module.get("path", "")) for module in read_json(modules)), "")
    return folder / first
