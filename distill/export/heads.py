"""Task models as graphs: token ids in, the logits of a classifier, a tagger or a reader of answers out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..errors import ModelError
from .calibrate import unpadded
from .graph import example_inputs, graph_positions, plain_copy
from .onnx import export_graph, write_files
from .search import MIN_COSINE, Budget, Judge, check_budget, search_of
from .smooth import Feeds

LOGITS = ("logits",)
SPANS = ("start_logits", "end_logits")
# An untouched transformers encoder says no more than this: no head, nothing to export.
HEADS = ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering")


class HeadGraph(nn.Module):
    """A transformers task model as one function of tensors.

    Args:
        model: of transformers' classes for sequence classification, token classification or question answering.
        tokenizer: decides, with the model's config, whether `token_type_ids` are an input.

    Raises:
        ModelError: the model has no such head.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__()
        self.output_names = head_outputs(model)
        self.input_names = head_inputs(model, tokenizer)
        self.model = model

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """int64 [B, L] each -> logits [B, C] or [B, L, C]; of a reader start and end logits, [B, L] each."""
        extra = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        found = self.model(input_ids=input_ids, attention_mask=attention_mask, **extra)
        return (found.start_logits, found.end_logits) if self.output_names == SPANS else found.logits


def head_outputs(model: Any) -> tuple[str, ...]:
    """What the graph of a task model gives: ("logits",), or ("start_logits", "end_logits").

    Raises:
        ModelError: the model has no head of the kinds that can be exported.
    """
    name = type(model).__name__
    if not name.endswith(HEADS):
        raise ModelError("this model has no task head to export", where="export", got=name, expected=f"...{', ...'.join(HEADS)}")
    return SPANS if name.endswith(HEADS[2]) else LOGITS


def head_task(model: Any) -> str:
    """The task of a task model, as its class and its config tell."""
    name = type(model).__name__
    if name.endswith(HEADS[1:]):
        return "tokens" if name.endswith(HEADS[1]) else "spans"
    kinds = {"regression": "regression", "multi_label_classification": "multilabel"}
    return kinds.get(str(getattr(model.config, "problem_type", None)), "classification")


def head_inputs(model: Any, tokenizer: Any) -> tuple[str, ...]:
    """The graph's inputs, in order: `token_type_ids` only where the model uses them and the tokenizer gives them."""
    uses = getattr(model.config, "type_vocab_size", 0) or getattr(model.config, "siamese", False)
    types = uses and "token_type_ids" in getattr(tokenizer, "model_input_names", ())
    return ("input_ids", "attention_mask", "token_type_ids") if types else ("input_ids", "attention_mask")


def write_head_graph(model: Any, tokenizer: Any, target: Path, opset: int = 20) -> None:
    """Export a task model to one self-contained fp32 ONNX file.

    Inputs: int64 `input_ids`, `attention_mask` and, where the model has them, `token_type_ids`, each [batch, sequence],
    both dynamic. Outputs, float32: `logits` [batch, classes] or, of a token classifier, [batch, sequence, classes]; of
    a reader `start_logits` and `end_logits` [batch, sequence].

    Args:
        model: a transformers task model; it is not changed.
        tokenizer: its tokenizer.
        target: the .onnx file; whole or absent.
        opset: ONNX operator set, 18 to 22.

    Raises:
        ModelError: the model has no task head or cannot be exported; the exporter's reason is told.
    """
    graph = HeadGraph(plain_copy(model, "eager"), tokenizer).eval()
    inputs = example_inputs(graph.input_names, graph.model.config.pad_token_id or 0)
    export_graph(graph, inputs, graph.input_names, graph.output_names, graph_positions(model), target, opset)


def write_head_presets(
    model: Any,
    tokenizer: Any,
    folder: Path,
    presets: Sequence[str],
    opset: int = 20,
    feeds: Feeds = (),
    budget: Budget | None = None,
    judge: Judge | None = None,
) -> dict[str, dict[str, int]]:
    """Write `onnx/<file>` of each preset below `folder`; returns preset -> quantized node counts.

    `feeds` are real input, by which `fast` evens out activations before they become int8. `searched` is judged by `judge`; None
    judges it by the probabilities of these inputs, at a mean cosine of 0.995 where `budget` says nothing else.
    """
    search, budget = None, budget or Budget(min_cosine=MIN_COSINE)
    if "searched" in presets:
        from .judges import head_judge

        rows = [{name: values[0].tolist() for name, values in feed.items()} for feed in unpadded(feeds)]
        check_budget(budget, rows)
        search = search_of(budget, judge or head_judge(tokenizer, rows, head_task(model)), feeds)
    return write_files(lambda target: write_head_graph(model, tokenizer, target, opset), folder, presets, feeds, search)
