"""Is the tokenizer of a loaded model its own?"""

from __future__ import annotations

from typing import Any

from ..errors import ModelError
from .kinds import BILSTM, Kind


def check_tokenizer(tokenizer: Any, model: Any, name: str, kind: Kind) -> None:
    """Refuse a tokenizer that is another model's.

    Args:
        tokenizer: fast.
        model: the transformers model, or a table of token vectors.
        name: what the user called it.
        kind: what the model is.

    Raises:
        ModelError: it gives token ids that the model has no row for, has no padding token, frames no text, or pads with another
            token than the one from which the model counts positions.
    """
    is_rows = hasattr(model, "embedding")  # a table of token vectors
    table = model.embedding if is_rows else model.get_input_embeddings()
    highest, rows = max(tokenizer.get_vocab().values()), int(table.weight.shape[0])
    if highest >= rows:
        raise _wrong("this tokenizer knows more tokens than the model has rows for", name, f"token id {highest}", f"below {rows}")
    if tokenizer.pad_token_id is None:
        raise _wrong("this tokenizer names no padding token", name, "pad_token null", "such as [PAD] or <pad>")
    ends = [getattr(tokenizer, f"{end}_token_id", None) for end in ("cls", "sep", "bos", "eos")]
    if not is_rows and kind.family != BILSTM and all(end is None for end in ends):
        raise _wrong(
            "this tokenizer names no special tokens", name, "no [CLS], [SEP], <s> or </s>", "those of the model's training"
        )
    if (kind.pairs or kind.task == "spans") and tokenizer.sep_token_id is None:
        raise _wrong("this tokenizer cannot part two texts", name, "sep_token null", "such as [SEP] or </s>")
    tables = (getattr(part, "position_embeddings", None) for part in model.modules())
    counted = next((table.padding_idx for table in tables if table is not None and hasattr(table, "padding_idx")), None)
    if counted is not None and counted == model.config.pad_token_id != tokenizer.pad_token_id:
        padding = f"{tokenizer.pad_token!r}, id {tokenizer.pad_token_id}"
        expected = f"id {counted}, from which the model counts its positions"
        raise _wrong("this tokenizer pads with another token than the model", name, padding, expected)


def _wrong(message: str, name: str, got: str, expected: str) -> ModelError:
    return ModelError(
        message, where=name, got=got, expected=expected, hint="put the tokenizer files of the model's own folder in their place"
    )
