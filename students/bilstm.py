"""The BiLSTM student: word-piece vectors, one bidirectional LSTM, a small classifier; for one text or for pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import SequenceClassifierOutput

from distill.errors import ModelError
from distill.files import expand, read_json
from distill.loading import loading
from distill.modelfolder import check_model_files

from .lstm import BiLSTM, to_front

MODEL_TYPE = "distill-bilstm"


class BiLSTMConfig(PretrainedConfig):
    """What a BiLSTM student is made of.

    Args:
        vocab_size: rows of the embedding table.
        embedding_dim: width of a word-piece vector.
        hidden_size: width of the LSTM's state in one direction.
        classifier_size: width of the layer between the states and the logits.
        dropout: share of that layer's outputs dropped in training.
        siamese: reads pairs: two texts through the same encoder, told apart by `token_type_ids` or, where there are
            none, by the first `sep_token_id`.
        skip_token_ids: tokens that the LSTM does not read, so that its states are those of the words; None for
            `cls_token_id` and `sep_token_id`, where they are given.
        initializer_range: standard deviation of fresh word-piece vectors.
        kwargs: as in transformers: `num_labels`, `id2label`, `problem_type`, `pad_token_id`, ...
    """

    model_type = MODEL_TYPE

    def __init__(
        self,
        vocab_size: int = 30522,
        embedding_dim: int = 300,
        hidden_size: int = 150,
        classifier_size: int = 200,
        dropout: float = 0.1,
        siamese: bool = False,
        skip_token_ids: Sequence[int] | None = None,
        initializer_range: float = 0.1,
        **kwargs: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.embedding_dim = embedding_dim
        self.hidden_size = hidden_size
        self.classifier_size = classifier_size
        self.dropout = dropout
        self.siamese = siamese
        self.initializer_range = initializer_range
        self.pad_token_id = kwargs.pop("pad_token_id", None)
        self.sep_token_id = kwargs.pop("sep_token_id", None)
        self.cls_token_id = kwargs.pop("cls_token_id", None)
        ends = (self.cls_token_id, self.sep_token_id) if skip_token_ids is None else skip_token_ids
        self.skip_token_ids = [int(token) for token in ends if token is not None]
        super().__init__(**kwargs)


class BiLSTMEncoder(nn.Module):
    """Token ids to the last states of both directions."""

    def __init__(self, config: BiLSTMConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.embedding_dim)
        self.lstm = BiLSTM(config.embedding_dim, config.hidden_size)

    def forward(self, input_ids: Tensor, keep: Tensor) -> Tensor:
        """The states after the last word, and, read backward, after the first.

        Args:
            input_ids: int64 [B, L].
            keep: bool [B, L], the tokens to read; they need not be neighbours.

        Returns:
            [B, 2 hidden]: forward state, backward state; zero for a row in which nothing is kept.
        """
        ids, count = to_front(input_ids, keep)
        return self.lstm(self.word_embeddings(ids), count.clamp(min=1)) * (count > 0)[:, None]


class BiLSTMForSequenceClassification(PreTrainedModel):
    """A text, or a pair of texts, to logits.

    One text: [h_forward; h_backward] -> fc -> ReLU -> dropout -> logits. A pair: [h1; h2; |h1 - h2|; h1 * h2] in its place.

    Reference: Tang et al. 2019, "Distilling Task-Specific Knowledge from BERT into Simple Neural Networks", arXiv 1903.12136.
    """

    config_class = BiLSTMConfig
    base_model_prefix = "encoder"
    main_input_name = "input_ids"

    def __init__(self, config: BiLSTMConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.encoder = BiLSTMEncoder(config)
        self.fc = nn.Linear((8 if config.siamese else 2) * config.hidden_size, config.classifier_size)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.classifier_size, config.num_labels)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=self.config.initializer_range)
        elif isinstance(module, BiLSTM):
            for weight in (module.input_weight, module.state_weight, module.bias):
                init.uniform_(weight, -(module.hidden**-0.5), module.hidden**-0.5)  # as torch starts an LSTM
        elif isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
            init.zeros_(module.bias)

    def get_input_embeddings(self) -> nn.Embedding:
        """The word-piece table."""
        return self.encoder.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Put another word-piece table in place."""
        self.encoder.word_embeddings = value

    def init_embeddings(self, matrix: np.ndarray | Tensor) -> None:
        """Start the word-piece table from vectors made elsewhere: GloVe, or the teacher's table reduced to this width.

        Args:
            matrix: [vocabulary, embedding_dim], one row an id.

        Raises:
            ModelError: it has another shape, or a number in it is not finite.
        """
        table = self.encoder.word_embeddings.weight
        rows = torch.as_tensor(matrix, dtype=table.dtype)
        if rows.shape != table.shape:
            raise ModelError(
                "these vectors do not fit the embedding table", got=tuple(rows.shape), expected=f"shape {tuple(table.shape)}"
            )
        if not torch.isfinite(rows).all():
            raise ModelError("some of these vectors hold NaN or infinity", expected="finite numbers")
        with torch.no_grad():
            table.copy_(rows)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Logits of a batch, and the loss where labels are given.

        Args:
            input_ids: int64 [B, L].
            attention_mask: int64 [B, L], 1 token, 0 padding; None for no padding.
            token_type_ids: int64 [B, L]; 0 first text, 1 second. Read by a siamese model alone.
            labels: as `problem_type` has it: int64 [B], float [B] or float [B, labels].

        Returns:
            `logits` [B, labels], and `loss`, a scalar or None.

        Raises:
            ValueError: a siamese model is given neither token types nor knows the token between the texts.
        """
        keep = torch.ones_like(input_ids, dtype=torch.bool) if attention_mask is None else attention_mask > 0
        second = self._second(input_ids, token_type_ids) if self.config.siamese else None
        for token in self.config.skip_token_ids:
            keep = keep & (input_ids != token)
        if second is None:
            features = self.encoder(input_ids, keep)
        else:
            both = self.encoder(torch.cat([input_ids, input_ids]), torch.cat([keep & ~second, keep & second]))
            one, two = both.reshape(2, -1, both.shape[1])  # one call, so that a graph has the LSTM once: quantizers need that
            features = torch.cat([one, two, (one - two).abs(), one * two], dim=1)
        logits = self.classifier(self.dropout(torch.relu(self.fc(features))))
        loss = None if labels is None else self.loss_function(labels=labels, pooled_logits=logits, config=self.config)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    def _second(self, input_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """Which tokens belong to the second text of a pair, bool [B, L]."""
        if token_type_ids is not None:
            return token_type_ids == 1
        if self.config.sep_token_id is None:
            raise ValueError("a siamese BiLSTM needs token_type_ids, or sep_token_id in its config, to tell two texts apart")
        ends = (input_ids == self.config.sep_token_id).long()
        return ends.cumsum(1) - ends > 0


def build_bilstm(
    config: BiLSTMConfig, *, seed: int, embeddings: np.ndarray | Tensor | None = None
) -> BiLSTMForSequenceClassification:
    """A fresh BiLSTM student in eval mode; the global random state stays as it is.

    Args:
        config: its sizes and labels.
        seed: of the weights.
        embeddings: word-piece vectors to start from, [vocabulary, embedding_dim].
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BiLSTMForSequenceClassification(config)
    if embeddings is not None:
        model.init_embeddings(embeddings)
    return model.eval()


def load_bilstm(path: str | Path) -> BiLSTMForSequenceClassification:
    """The BiLSTM student that `save_pretrained` wrote in `path`, in fp32 and eval mode, from safetensors alone.

    Raises:
        ModelError: there is none, or it is damaged.
    """
    folder = expand(path)
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise ModelError("there is no BiLSTM student in this folder", where=str(path), expected=f"a folder with {name}")
    check_model_files(folder, str(path))
    kind = read_json(folder / "config.json").get("model_type")
    if kind != MODEL_TYPE:
        raise ModelError(
            "this model is not a BiLSTM", where=str(path), got=f"model_type {kind}", expected=f"model_type {MODEL_TYPE}"
        )
    with loading(folder, str(path), "this BiLSTM cannot be loaded"):
        config = BiLSTMConfig.from_pretrained(folder, local_files_only=True)
        model, notes = BiLSTMForSequenceClassification.from_pretrained(
            folder, config=config, use_safetensors=True, local_files_only=True, dtype=torch.float32, output_loading_info=True
        )
    lost = [key for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") for key in notes[kind]]
    if lost:
        raise ModelError(
            "the weights of this BiLSTM do not fit its config", where=str(path), got=", ".join(map(str, sorted(lost)))
        )
    return model.eval()
