"""The module that is exported: token ids in, the finished sentence embedding out."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..positions import position_limit

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

OUTPUTS = ("sentence_embedding", "last_hidden_state")
"""Of a transformer; a token table has the first alone."""
UNLIMITED = 8192
"""Tokens of the longest sequence where a model names no limit."""


class EmbeddingGraph(nn.Module):
    """A sentence-transformer as one function of tensors.

    Args:
        encoder: its first module holds the Hugging Face model; every later module (pooling, dense, normalise)
            becomes part of the graph.

    Raises:
        ModelError: see `check_exportable`.
    """

    def __init__(self, encoder: SentenceTransformer) -> None:
        super().__init__()
        check_exportable(encoder)
        modules = list(encoder)
        self.model = modules[0].auto_model
        self.head = nn.ModuleList(modules[1:])
        self.input_names = graph_inputs(encoder)
        self.output_names = OUTPUTS
        self.pad_id = int(self.model.config.pad_token_id or 0)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """int64 [B, L] each -> sentence embedding [B, d], last hidden state [B, L, h]."""
        extra = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        hidden = self.model(input_ids=input_ids, attention_mask=attention_mask, **extra)[0]
        features = {"token_embeddings": hidden, "attention_mask": attention_mask}
        for module in self.head:
            features = module(features)
        return features["sentence_embedding"], hidden


class TableGraph(nn.Module):
    """A static model, a table of token vectors and what follows it, as one function of tensors.

    Args:
        encoder: its first module is a `students.table.TokenTable`.

    Raises:
        ModelError: see `check_exportable`.
    """

    def __init__(self, encoder: SentenceTransformer) -> None:
        super().__init__()
        check_exportable(encoder)
        self.model = nn.ModuleList(encoder)
        self.input_names = graph_inputs(encoder)
        self.output_names = OUTPUTS[:1]
        self.pad_id = int(encoder.tokenizer.pad_token_id)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """int64 [B, L] each -> sentence embedding [B, d]."""
        features = {"input_ids": input_ids, "attention_mask": attention_mask}
        for module in self.model:
            features = module(features)
        return features["sentence_embedding"]


def sentence_graph(encoder: SentenceTransformer) -> EmbeddingGraph | TableGraph:
    """The module to export for a sentence-transformer."""
    return TableGraph(encoder) if is_table(encoder) else EmbeddingGraph(encoder)


def is_table(encoder: SentenceTransformer) -> bool:
    """Whether a model is a table of token vectors."""
    from students.table import TokenTable

    return isinstance(encoder[0], TokenTable)


def check_exportable(encoder: SentenceTransformer) -> None:
    """Refuse what one fixed graph cannot say.

    Raises:
        ModelError: the first module is neither a transformer nor a token table; pooling reads several layers;
            vectors are cut after the last module,
            which no saved file tells; a module keeps the prompt out of pooling, which needs the prompt's length at run time.
    """
    if not hasattr(encoder[0], "auto_model") and not is_table(encoder):
        raise ModelError("only transformers and token tables can be exported", where="export", got=type(encoder[0]).__name__)
    if encoder.truncate_dim is not None:
        raise ModelError(
            "this model's vectors are cut by truncate_dim, which is no part of the saved model",
            where="export",
            got=encoder.truncate_dim,
            expected="truncate_dim None",
            hint="export the whole vectors and cut them where they are used",
        )
    if any(type(module).__name__ == "WeightedLayerPooling" for module in encoder):
        raise ModelError(
            "this model's pooling reads several layers, and a graph of its last hidden states knows one",
            where="export",
            got="WeightedLayerPooling",
            hint="distil it: a student has a pooling of its own",
        )
    for module in encoder:
        if getattr(module, "include_prompt", True) is False:
            raise ModelError(
                "this model keeps its prompt out of pooling, which a fixed graph cannot do",
                where="export",
                got=type(module).__name__,
                expected="pooling over all tokens (include_prompt: true)",
                hint="set include_prompt to true in the pooling config and distil again",
            )


def graph_inputs(encoder: SentenceTransformer) -> tuple[str, ...]:
    """The graph's inputs, in order: `token_type_ids` only where the model embeds them and the tokenizer gives them."""
    if is_table(encoder):
        return ("input_ids", "attention_mask")
    config = encoder[0].auto_model.config
    tokenizer = encoder.tokenizer
    types = getattr(config, "type_vocab_size", 0) and "token_type_ids" in getattr(tokenizer, "model_input_names", ())
    return ("input_ids", "attention_mask", "token_type_ids") if types else ("input_ids", "attention_mask")


def graph_positions(model: Any) -> int:
    """The longest sequence that a graph allows: as many tokens as the model has positions, 8192 where nothing limits it.

    Args:
        model: a transformers model, with or without a head, or a sentence encoder.
    """
    if hasattr(model, "transformers_model"):
        model = model.transformers_model
    return UNLIMITED if model is None else position_limit(model) or UNLIMITED


def longest_input(encoder: SentenceTransformer) -> int:
    """The longest input of a sentence encoder, in tokens: what it is set to, and what it has positions for."""
    return min(int(encoder.max_seq_length or UNLIMITED), graph_positions(encoder))


def plain_copy(model: Any, attention: str | None = None) -> Any:
    """A copy of a transformers model on the CPU, in fp32 and eval mode, with an attention kernel of one's choice."""
    twin = copy.deepcopy(model).to("cpu").float().eval()
    if attention is not None and getattr(twin.config, "_attn_implementation", None) not in (None, attention):
        twin.set_attn_implementation(attention)
    return twin


def example_inputs(names: tuple[str, ...], pad_id: int) -> tuple[Tensor, ...]:
    """Two rows of seven tokens, the second padded: what the exporter traces with."""
    ids = torch.arange(4, 18, dtype=torch.int64).reshape(2, 7)
    mask = torch.ones_like(ids)
    ids[1, 5:], mask[1, 5:] = pad_id, 0
    values = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    return tuple(values[name] for name in names)
