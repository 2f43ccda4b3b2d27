"""What one step minimises: the weighted sum of losses between the student's and the teacher's embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..losses.embedding import embedding_cosine, embedding_mse
from ..losses.relation import pair_order, similarity_matrix
from ..recipe import LossSpec, PairOrder

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Loss = Callable[[Tensor, Tensor], Tensor]

LOSSES: dict[str, Callable[..., Tensor]] = {
    "embedding_cosine": embedding_cosine,
    "embedding_mse": embedding_mse,
    "similarity_matrix": similarity_matrix,
    "pair_order": pair_order,
}
RELATIONAL = {"similarity_matrix", "pair_order"}


def set_dropout(model: nn.Module, probability: float) -> None:
    """Set every dropout of a model, in place: its modules, and the probability that fused attention is handed.

    The model's config keeps what it says, for whoever trains the model further.
    """
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = probability


class EmbeddingObjective(nn.Module):
    """Student (and bridge) in; loss and its parts out.

    Pointwise losses see the student's embedding mapped to the teacher's width. Relational losses see the embedding
    that the student will ship: with a bridge that is dropped after training, that is the one before the bridge.

    Args:
        student: the model being trained; its modules run as they will run when it is used.
        bridge: linear map to the teacher's width, used for training alone; None where widths agree.
        losses: which losses, with weights.
        teacher_normalizes: whether the teacher's embeddings have length 1; the bridge's output is scaled alike.
    """

    def __init__(
        self,
        student: SentenceTransformer,
        bridge: nn.Linear | None,
        losses: Sequence[LossSpec],
        *,
        teacher_normalizes: bool,
    ) -> None:
        super().__init__()
        self.student = student
        self.bridge = bridge
        self.losses = tuple(losses)
        self.teacher_normalizes = teacher_normalizes

    def embed(self, features: dict[str, Tensor]) -> Tensor:
        """The student's sentence embedding, float32 [B, d_S]."""
        output: Tensor = self.student(dict(features))["sentence_embedding"]
        return output.float()

    def forward(self, teacher_embedding: Tensor, **features: Tensor) -> dict[str, Tensor]:
        """One batch.

        Args:
            teacher_embedding: [B, d_T].
            features: `input_ids`, `attention_mask`, maybe `token_type_ids`, int64 [B, L].

        Returns:
            {"loss": scalar, "<loss name>": weighted part, detached, for each loss}; the parts add up to the loss.
        """
        shipped = self.embed(features)
        mapped = shipped
        if self.bridge is not None:
            mapped = self.bridge(shipped)
            if self.teacher_normalizes:
                mapped = nn.functional.normalize(mapped, dim=-1)
        parts = {}
        for spec in self.losses:
            ours = shipped if spec.name in RELATIONAL else mapped
            extra = {"margin": spec.margin} if isinstance(spec, PairOrder) else {}
            parts[spec.name] = spec.weight * LOSSES[spec.name](ours, teacher_embedding, **extra)
        total = torch.stack(list(parts.values())).sum()
        return {"loss": total, **{name: part.detach() for name, part in parts.items()}}
