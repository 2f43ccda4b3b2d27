"""How a recipe names its losses: one model a loss, told apart by name. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from .recipe_base import WeightedLoss
from .recipe_match import Match

# Between sentence vectors (task embedding).


class EmbeddingCosine(WeightedLoss):
    """1 - cos(student, teacher), mean over sentences."""

    name: Literal["embedding_cosine"]


class EmbeddingMSE(WeightedLoss):
    """Squared distance of the two vectors, summed over dimensions, mean over sentences."""

    name: Literal["embedding_mse"]


class EmbeddingContrastive(WeightedLoss):
    """The teacher's vector of the sentence against those of the rest of the batch (InfoNCE)."""

    name: Literal["embedding_contrastive"]
    temperature: float = Field(default=0.05, gt=0)


class SimilarityMatrix(WeightedLoss):
    """Squared difference of the two in-batch cosine matrices, mean over distinct pairs."""

    name: Literal["similarity_matrix"]


class PairOrder(WeightedLoss):
    """Hinge where the student orders two pairs of the batch otherwise than the teacher."""

    name: Literal["pair_order"]
    margin: float = Field(default=0.015, ge=0)


# Between predictions.


class Tempered(WeightedLoss):
    """Base of the losses that soften both predictions; each is multiplied by the squared temperature.

    Attributes:
        temperature: what the logits are divided by; the base of the two schedules that give each row its own.
        temperature_schedule: `flsw` lowers it where student and teacher disagree, `cwsm` where the student is unsure.
        beta, gamma: of the schedule.
    """

    temperature: float = Field(default=1.0, gt=0, le=100)
    temperature_schedule: Literal["constant", "flsw", "cwsm"] = "constant"
    beta: float = 1.0
    gamma: float = Field(default=1.0, gt=0)


class SoftCrossEntropy(Tempered):
    """Cross-entropy with the teacher's softened distribution.

    Attributes:
        weight: as of every loss; 0 where `convention: textbrewer` lets the schedule take its place after the first step.
        probability_shift: the teacher's highest logit and that of the gold label change places, so that a teacher that is
            wrong does not teach it.
    """

    name: Literal["soft_cross_entropy"]
    weight: float = Field(default=1.0, ge=0)
    probability_shift: bool = False


class KLDivergence(Tempered):
    """Kullback-Leibler divergence from the teacher's softened distribution: 0 where they agree."""

    name: Literal["kl_divergence"]


class SoftBinaryCrossEntropy(WeightedLoss):
    """Cross-entropy of each label by itself, for multi-label tasks."""

    name: Literal["soft_binary_cross_entropy"]
    temperature: float = Field(default=1.0, gt=0, le=100)


class LogitsMSE(WeightedLoss):
    """Squared difference of the raw logits, or of the predicted values of a regression.

    Attributes:
        weight, probability_shift: as of `soft_cross_entropy`.
        temperature: what the logits are divided by. Multiplied by its square, the loss is what it is without: it counts
            with `convention: textbrewer` alone.
    """

    name: Literal["logits_mse"]
    weight: float = Field(default=1.0, ge=0)
    temperature: float = Field(default=1.0, gt=0, le=100)
    probability_shift: bool = False


class LogitsCosine(WeightedLoss):
    """1 - cos of the two vectors of logits."""

    name: Literal["logits_cosine"]


class HardLabel(WeightedLoss):
    """The task's own loss on gold labels; rows without a label do not count.

    Attributes:
        weight: as of `soft_cross_entropy`.
    """

    name: Literal["hard_label"]
    weight: float = Field(default=1.0, ge=0)


class MaskedLM(WeightedLoss):
    """Predicting masked tokens, through the teacher's masked-LM head.

    Attributes:
        probability: share of the tokens that is masked.
    """

    name: Literal["mlm"]
    probability: float = Field(default=0.15, gt=0, lt=1)


class MaskedLMLogits(Tempered):
    """Kullback-Leibler divergence between the two models' token predictions (DistilBERT's L_ce)."""

    name: Literal["mlm_kl"]


# Between inner states.


class Projected(WeightedLoss):
    """Base of the losses that compare hidden states through a learned map from the student's width to the teacher's.

    Attributes:
        projection: one map shared by every layer and loss (TinyBERT's code), one per layer, or none; `auto` is one that is
            shared where the widths differ, none where they agree.
    """

    projection: Literal["auto", "shared", "per_layer", "none"] = "auto"


class AttentionMSE(WeightedLoss):
    """Squared difference of raw attention scores (TinyBERT)."""

    name: Literal["attention_mse"]


class AttentionKL(WeightedLoss):
    """Kullback-Leibler divergence of attention probabilities."""

    name: Literal["attention_kl"]


class HiddenMSE(Projected):
    """Squared difference of hidden states."""

    name: Literal["hidden_mse"]


class EmbeddingLayerMSE(Projected):
    """Squared difference of what the first layer sees."""

    name: Literal["embedding_layer_mse"]


class HiddenCosine(Projected):
    """1 - cos of hidden states (DistilBERT takes the last layer: layer_map: last)."""

    name: Literal["hidden_cosine"]


class PKD(Projected):
    """Squared distance of the normalised first-token states (patient knowledge distillation)."""

    name: Literal["pkd"]


class MiniLMv1(WeightedLoss):
    """Attention and value relations of the last layers. Equal head counts are needed."""

    name: Literal["minilm_v1"]


class MiniLMv2(WeightedLoss):
    """Query, key and value relations of the student's last layer and one layer of the teacher.

    Attributes:
        relation_heads: must divide both widths; None takes the largest common one up to 48.
        teacher_layer: 0-based; None takes the last.
    """

    name: Literal["minilm_v2"]
    relation_heads: int | None = Field(default=None, ge=1)
    teacher_layer: int | None = Field(default=None, ge=0)


class CKDWord(WeightedLoss):
    """Relations between the words of one layer (contextual knowledge distillation).

    Attributes:
        pair, triple: weights of the two parts; 0 leaves one out.
        window: an odd number of words, one in the middle, that its triples are made of; None takes all.
    """

    name: Literal["ckd_word"]
    pair: float = Field(default=1.0, ge=0)
    triple: float = Field(default=1.0, ge=0)
    window: int | None = Field(default=21, ge=3)

    @field_validator("window")
    @classmethod
    def _odd(cls, value: int | None) -> int | None:
        if value is not None and value % 2 == 0:
            raise ValueError("the window of ckd_word is an odd number of words: one in the middle")
        return value


class CKDLayer(WeightedLoss):
    """Relations between the matched layers of one word (contextual knowledge distillation)."""

    name: Literal["ckd_layer"]
    pair: float = Field(default=1.0, ge=0)
    triple: float = Field(default=1.0, ge=0)


class NST(WeightedLoss):
    """Squared difference of the token-by-token Gram matrices (neuron selectivity transfer)."""

    name: Literal["nst"]


class FSP(WeightedLoss):
    """Squared difference of the flow matrices from each matched layer to the next. Equal widths are needed."""

    name: Literal["fsp"]


LossSpec = Annotated[
    EmbeddingCosine
    | EmbeddingMSE
    | EmbeddingContrastive
    | SimilarityMatrix
    | PairOrder
    | SoftCrossEntropy
    | KLDivergence
    | SoftBinaryCrossEntropy
    | LogitsMSE
    | LogitsCosine
    | HardLabel
    | MaskedLM
    | MaskedLMLogits
    | AttentionMSE
    | AttentionKL
    | HiddenMSE
    | EmbeddingLayerMSE
    | HiddenCosine
    | PKD
    | MiniLMv1
    | MiniLMv2
    | CKDWord
    | CKDLayer
    | NST
    | FSP
    | Match,
    Field(discriminator="name"),
]

VECTOR = frozenset({"embedding_cosine", "embedding_mse", "embedding_contrastive", "similarity_matrix", "pair_order"})
RELATIONAL = frozenset({"similarity_matrix", "pair_order"})
"""Losses between vectors that compare pairs, whatever the widths."""
IN_BATCH = RELATIONAL | {"embedding_contrastive"}
"""Losses that compare the rows of a batch with each other."""
PREDICTION = frozenset(
    {"soft_cross_entropy", "kl_divergence", "soft_binary_cross_entropy", "logits_mse", "logits_cosine", "hard_label"}
)
COMPARING = PREDICTION - {"hard_label"}
"""Losses between predictions: they need the teacher's."""
MASKED_LM = frozenset({"mlm", "mlm_kl"})
INNER = frozenset(
    {
        "attention_mse",
        "attention_kl",
        "hidden_mse",
        "embedding_layer_mse",
        "hidden_cosine",
        "pkd",
        "minilm_v1",
        "minilm_v2",
        "ckd_word",
        "ckd_layer",
        "nst",
        "fsp",
    }
)
MATCH = frozenset({"match"})
STATES = INNER | MATCH
"""Losses between inner states."""
MAPPED = INNER - {"minilm_v1", "minilm_v2", "embedding_layer_mse"}
"""Losses over the pairs of layers that `layer_map` gives; MiniLM's are between two layers of their own."""
COMPARED = frozenset({"soft_cross_entropy", "logits_mse"})
"""Losses between two predictions that TextBrewer has; its configuration has room for one."""
TEXTBREWER = COMPARED | {
    "hard_label",
    "attention_mse",
    "hidden_mse",
    "embedding_layer_mse",
    "hidden_cosine",
    "pkd",
    "nst",
    "fsp",
    "match",
}
"""Losses that TextBrewer defines as well."""

OF_TASK: dict[str, frozenset[str]] = {
    "classification": frozenset({"soft_cross_entropy", "kl_divergence", "logits_mse", "logits_cosine", "hard_label"}),
    "multilabel": frozenset({"soft_binary_cross_entropy", "logits_mse", "logits_cosine", "hard_label"}),
    "regression": frozenset({"logits_mse", "hard_label"}),
    "tokens": frozenset({"soft_cross_entropy", "kl_divergence", "logits_mse", "logits_cosine", "hard_label"}),
    "spans": frozenset({"soft_cross_entropy", "kl_divergence", "logits_mse", "hard_label"}),
    "embedding": VECTOR | MASKED_LM,
}
"""Task -> the losses on its outputs. Losses between inner states go with every task."""
