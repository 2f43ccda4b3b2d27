"""A table of token vectors as a sentence encoder: a text is the mean of its tokens' rows, and no token is added to it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer, normalizers
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from distill.errors import ModelError
from distill.files import write_json

KIND = "static"
"""`model_type` in config.json of a saved table."""
LONGEST = 8192
"""Longest input, in tokens, where a table that was made elsewhere names none."""


class TokenTable(StaticEmbedding):
    """The first module of a static model, saved as the `StaticEmbedding` of sentence-transformers.

    That class takes one row of tokens and where each text begins; this one takes padded batches as well, as training
    and ONNX give them. Both forms give equal vectors. A text without tokens is the zero vector.

    Args:
        tokenizer: adds no special tokens: made by `plain_tokenizer`.
        weights: float32 [V, d].
        max_length: longest input in tokens.

    Attributes:
        max_seq_length: longest input in tokens; may be set.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, weights: Tensor, max_length: int) -> None:
        super().__init__(tokenizer, embedding_weights=weights)
        self.tokenizer = tokenizer
        self._longest = max_length

    @property
    def max_seq_length(self) -> int:
        return self._longest

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        self._longest = value

    def preprocess(self, inputs: Sequence[str], prompt: str | None = None, **_: Any) -> dict[str, Tensor]:
        """Texts -> int64 `input_ids` and `attention_mask`, [B, L] each; L may be 0."""
        texts = [(prompt or "") + text for text in inputs]
        tokens = self.tokenizer(texts, padding=True, truncation=True, max_length=self._longest, return_tensors="pt")
        return {name: tokens[name].long() for name in ("input_ids", "attention_mask")}  # an empty tensor comes as float

    def forward(self, features: dict[str, Tensor], **_: Any) -> dict[str, Tensor]:
        """Add `sentence_embedding` [B, d] to features of either form."""
        if "attention_mask" not in features:
            return dict(super().forward(features))
        rows = nn.functional.embedding(features["input_ids"], self.embedding.weight)
        mask = features["attention_mask"].unsqueeze(-1).to(rows.dtype)
        features["sentence_embedding"] = (rows * mask).sum(1) / mask.sum(1).clamp(min=1)
        return features

    def save(self, output_path: str, *_: Any, **__: Any) -> None:
        """Write weights, tokenizer and what the torch-free runtime and the stopwatch read of a model."""
        folder = Path(output_path)
        save_file({"embedding.weight": self.embedding.weight.detach().contiguous()}, folder / "model.safetensors")
        self.tokenizer.save_pretrained(str(folder))
        config = {
            "model_type": KIND,
            "vocab_size": self.num_embeddings,
            "hidden_size": self.embedding_dim,
            "pad_token_id": self.tokenizer.pad_token_id,
        }
        write_json(folder / "config.json", config)
        write_json(folder / "sentence_bert_config.json", {"max_seq_length": self._longest, "do_lower_case": False})


def plain_tokenizer(tokenizer: Any, max_length: int, *, lower: bool = False) -> PreTrainedTokenizerFast:
    """A copy of a tokenizer that adds no special tokens, pads nothing and gives no token types.

    Args:
        tokenizer: a fast tokenizer of transformers, or one of the `tokenizers` library.
        max_length: its `model_max_length`.
        lower: lower the case of a text first, as a sentence-transformers model may do before its tokenizer.

    Raises:
        ModelError: no fast tokenizer, or one without a padding token.
    """
    source = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not isinstance(source, Tokenizer):
        raise ModelError("a static model needs a fast tokenizer", got=type(tokenizer).__name__)
    backend = Tokenizer.from_str(source.to_str())
    backend.post_processor = None
    backend.no_padding()
    backend.no_truncation()
    if lower:
        steps = [normalizers.Lowercase()] + ([backend.normalizer] if backend.normalizer is not None else [])
        backend.normalizer = normalizers.Sequence(steps)
    special = {key: value for key, value in getattr(tokenizer, "special_tokens_map", {}).items() if isinstance(value, str)}
    if "pad_token" not in special:
        padding = next((token for token in ("[PAD]", "<pad>") if backend.token_to_id(token) is not None), None)
        if padding is None:
            raise ModelError("this tokenizer names no padding token", expected="[PAD] or <pad> in its vocabulary")
        special["pad_token"] = padding
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **special,
        model_max_length=max_length,
        model_input_names=["input_ids", "attention_mask"],
        truncation_side=getattr(tokenizer, "truncation_side", "right"),
    )


def with_token_table(encoder: SentenceTransformer, folder: Path | None = None) -> SentenceTransformer:
    """A model whose first module is a plain `StaticEmbedding`, with a `TokenTable` in its place; any other as it is.

    Args:
        encoder: left as it is.
        folder: where it was saved by `save_student`: its tokenizer is read whole from there.

    Raises:
        ModelError: see `plain_tokenizer`.
    """
    first = encoder[0]
    if not isinstance(first, StaticEmbedding) or isinstance(first, TokenTable):
        return encoder
    cut = first.tokenizer.truncation
    length = int(cut["max_length"]) if cut else LONGEST
    source = first.tokenizer
    if folder is not None and (folder / "tokenizer_config.json").is_file():
        source = PreTrainedTokenizerFast.from_pretrained(str(folder), local_files_only=True)
    twin = copy.deepcopy(encoder)
    twin[0] = TokenTable(plain_tokenizer(source, length), first.embedding.weight.detach().clone(), length)
    return twin.to(encoder.device).train(encoder.training)
