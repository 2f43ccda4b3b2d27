"""What a teacher tells a student about a batch of texts."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class TeacherSignal:
    """The outputs of one teacher on one batch; what a teacher does not provide is None.

    Attributes:
        tokenizer_id: sha256 of the tokenizer. Token-level signals of two models agree position by position only
            where their tokenizer ids agree.
        embedding: sentence vectors, float32 [batch, dim].
        logits: class scores, [batch, classes] or [batch, sequence, classes].
        hidden_states: one [batch, sequence, hidden] tensor per layer, embeddings first.
        attention_scores: one [batch, heads, sequence, sequence] tensor per layer, before the softmax.
        attention_mask: int64 [batch, sequence], 1 on real tokens.
    """

    tokenizer_id: str
    embedding: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attention_scores: tuple[Tensor, ...] | None = None
    attention_mask: Tensor | None = None
