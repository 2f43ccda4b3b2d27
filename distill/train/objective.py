"""What one step minimises: the weighted sum of losses between the student's and the teacher's embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..losses.embedding import embedding_contrastive, embedding_cosine, embedding_mse
from ..losses.relation import pair_order, similarity_matrix
from ..recipe import LossSpec, PairOrder
from ..recipe_losses import IN_BATCH, RELATIONAL, VECTOR, EmbeddingContrastive
from .stored import without_states
from .weights import weight_of

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from .inner import InnerLosses
    from .masked import MaskedLMLosses
    from .share import Share

Loss = Callable[[Tensor, Tensor], Tensor]

LOSSES: dict[str, Callable[..., Tensor]] = {
    "embedding_cosine": embedding_cosine,
    "embedding_mse": embedding_mse,
    "embedding_contrastive": embedding_contrastive,
    "similarity_matrix": similarity_matrix,
    "pair_order": pair_order,
}


def set_dropout(model: nn.Module, probability: float) -> None:
    """Set every dropout of a model, in place: its modules, and the probability that fused attention is handed.

    The model's config keeps what it says, for whoever trains the model further.
    """
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = probability


class Objective(nn.Module):
    """Base of what is minimised: batches in; loss and its parts out.

    Attributes:
        step, steps: optimizer steps that are done in this stage, and all of them.
        part: which batch of a step this is, from 0, where gradients of several are summed.
        judging: whether the loss is wanted to compare checkpoints by: schedules of weights are then left out.
        share: this process's rows of a batch that several share; None where it is whole.
    """

    step = 0
    steps = 1
    part = 0
    judging = False
    share: Share | None = None

    @property
    def progress(self) -> float | None:
        """The share of the stage's steps that is done; None while checkpoints are judged."""
        return None if self.judging else min(1.0, self.step / self.steps)

    def close(self) -> None:
        """Called when the stage is done: leave the models as they were found."""


def total(parts: dict[str, Tensor]) -> dict[str, Tensor]:
    """{"loss": their sum, and each part, detached}."""
    loss = torch.stack(list(parts.values())).sum()
    return {"loss": loss, **{name: part.detach() for name, part in parts.items()}}


def _loss(spec: LossSpec, student: Tensor, teacher: Tensor) -> Tensor:
    """A loss between two sentence vectors, with its own settings, not weighted."""
    extra: dict[str, float] = {}
    if isinstance(spec, PairOrder):
        extra["margin"] = spec.margin
    elif isinstance(spec, EmbeddingContrastive):
        extra["temperature"] = spec.temperature
    return LOSSES[spec.name](student, teacher, **extra)


def _nested(spec: LossSpec, student: Tensor, teacher: Tensor, widths: Sequence[int]) -> Tensor:
    """The mean of a loss over shorter and shorter vectors of the student."""
    return torch.stack([_loss(spec, student[:, :width], teacher) for width in widths]).mean()


class EmbeddingObjective(Objective):
    """Student (and bridge) in; loss and its parts out.

    Pointwise losses see the student's embedding mapped to the teacher's width. Relational losses see the embedding
    that the student will ship: with a bridge that is dropped after training, that is the one before the bridge.

    Args:
        student: the model being trained; its modules run as they will run when it is used.
        bridge: linear map to the teacher's width, used for training alone; None where widths agree.
        losses: which losses, with weights.
        teacher_normalizes: whether the teacher's embeddings have length 1; the bridge's output is scaled alike.
        inner: losses between inner states, with the teacher that runs beside.
        masked: losses on masked tokens.
        matryoshka: shorter vectors that relational losses also see, in dimensions.
    """

    def __init__(
        self,
        student: SentenceTransformer,
        bridge: nn.Linear | None,
        losses: Sequence[LossSpec],
        *,
        teacher_normalizes: bool,
        inner: InnerLosses | None = None,
        masked: MaskedLMLosses | None = None,
        matryoshka: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.student = student
        self.bridge = bridge
        self.losses = tuple(loss for loss in losses if loss.name in VECTOR)
        self.teacher_normalizes = teacher_normalizes
        self.inner = inner
        self.masked = masked
        self.matryoshka = tuple(matryoshka)

    def embed(self, features: dict[str, Tensor]) -> Tensor:
        """The student's sentence embedding, float32 [B, d_S]."""
        output: Tensor = self.student(without_states(features))["sentence_embedding"]
        return output.float()

    def forward(self, teacher_embedding: Tensor | None = None, **features: Tensor) -> dict[str, Tensor]:
        """One batch.

        Args:
            teacher_embedding: [B, d_T]; needed by losses between vectors alone.
            features: `input_ids`, `attention_mask`, maybe `token_type_ids`, int64 [B, L]; maybe the teacher's stored states.

        Returns:
            {"loss": scalar, "<loss name>": weighted part, detached, for each loss}; the parts add up to the loss.
        """
        parts: dict[str, Tensor] = {}
        if self.losses:
            assert teacher_embedding is not None, "the collator adds what the losses ask for"
            parts |= self._vector_parts(self.embed(features), teacher_embedding)
        if self.masked is not None:
            step, part = (0, 0) if self.judging else (self.step, self.part)
            parts |= self.masked(features, step, self.progress, self.share, part)
        elif self.inner is not None and not self.losses:
            self.embed(features)
        if self.inner is not None:
            seen, ran = (features, False) if self.masked is None else (self.masked.seen(features), self.masked.runs_teacher)
            parts |= self.inner(seen, self.progress, ran=ran)
        return total(parts)

    def _vector_parts(self, shipped: Tensor, teacher: Tensor) -> dict[str, Tensor]:
        """Losses between the two sentence vectors, weighted."""
        mapped = shipped
        if self.bridge is not None:
            mapped = self.bridge(shipped)
            if self.teacher_normalizes:
                mapped = nn.functional.normalize(mapped, dim=-1)
        parts: dict[str, Tensor] = {}
        for spec in self.losses:
            seen = shipped if spec.name in RELATIONAL else mapped
            widths = [seen.shape[1], *self.matryoshka] if spec.name in RELATIONAL else [seen.shape[1]]
            if self.share is None or spec.name not in IN_BATCH:
                value = _nested(spec, seen, teacher, widths)
            else:
                every, theirs = self.share.gather(seen), self.share.gather(teacher)
                value = self.share.whole(partial(_nested, spec, every, theirs, widths), seen)
            parts[spec.name] = weight_of(spec, self.progress) * value
        return parts

    def close(self) -> None:
        """Stop listening to student and teacher."""
        if self.inner is not None:
            self.inner.close()
