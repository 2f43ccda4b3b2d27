"""What a sentence teacher can learn from: objective -> a loss of sentence-transformers and the columns it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import (
    CoSENTLoss,
    CosineSimilarityLoss,
    MultipleNegativesRankingLoss,
    SoftmaxLoss,
    TripletDistanceMetric,
    TripletLoss,
)
from torch import nn

from distill.errors import DataError, ModelError
from teachers.spec import SentenceStage

from .rows import ACCEPTS, LABELLED, SCORED, fitting
from .triplets import nli_triplets

Columns = Mapping[str, Sequence[Any]]

RANKING = frozenset({"nli_ranking", "simcse", "simcse_nli"})
"""Objectives whose negatives are the batch: no sentence may stand in a batch twice."""
SCALE = 20.0
"""Inverse temperature where the recipe gives none: SimCSE's 0.05."""


@dataclass(frozen=True)
class Arranged:
    """Rows as a loss reads them.

    Attributes:
        columns: name -> n values, in the order of the loss's inputs; `score` (0..1) or `label` (0-based) last if there is one.
        labels: names of the labels.
        counts: what was made of what, and what was left out.
    """

    columns: dict[str, list[Any]]
    labels: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


def arrange(objective: str, sources: Mapping[str, Columns], seed: int) -> Arranged:
    """Rows of several data sets as one, in the form that an objective's loss reads.

    Args:
        objective: of `SentenceStage`.
        sources: name -> columns, one of those that `rows.ACCEPTS` names: scores from 0 to 1, labels by name.
        seed: of what is drawn for triplets.

    Raises:
        DataError: a data set lacks what the objective needs (those that would fit are named), a score is out of range, a
            label is unknown, data sets cannot be joined, or there are fewer than two rows.
    """
    for name, given in sources.items():
        if tuple(given) not in ACCEPTS[objective]:
            raise DataError(
                f"the objective {objective} cannot be trained on this data",
                where=f"data.teaching.{name}",
                got="rows of " + ", ".join(given),
                expected=" or ".join("rows of " + ", ".join(kind) for kind in ACCEPTS[objective]),
                hint="objectives that fit: " + ", ".join(fitting(list(given))),
            )
    parts = [_ARRANGE[objective](objective, given, f"data.teaching.{name}", seed) for name, given in sources.items()]
    if len({tuple(part.columns) for part in parts}) > 1:
        raise DataError(
            "these data sets cannot be joined: some have hard negatives, some have none",
            where=", ".join(f"data.teaching.{name}" for name in sources),
            hint="give each a stage of its own",
        )
    columns: dict[str, list[Any]] = {name: [value for part in parts for value in part.columns[name]] for name in parts[0].columns}
    counts = {key: sum(part.counts.get(key, 0) for part in parts) for part in parts for key in part.counts}
    labels: tuple[str, ...] = ()
    if objective == "nli_softmax":
        labels = tuple(sorted(set(columns["label"])))
        columns["label"] = [labels.index(name) for name in columns["label"]]
    if objective == "simcse":
        columns = {name: list(dict.fromkeys(values)) for name, values in columns.items()}
    made = Arranged(columns, labels, counts)
    where = ", ".join(f"data.teaching.{name}" for name in sources)
    if len(made) < 2:
        raise DataError("too few rows are left to train on", where=where, got=f"{len(made)}", expected="two or more")
    if objective == "nli_softmax" and len(labels) < 2:
        raise DataError("a classifier needs two labels or more", where=where, got=", ".join(labels))
    return made


def make_loss(stage: SentenceStage, model: SentenceTransformer, labels: Sequence[str] = ()) -> nn.Module:
    """The loss of a stage, with the classifier it learns besides the model where there is one.

    Args:
        stage: names the objective, its scale and margin.
        model: is trained.
        labels: of `nli_softmax`.

    Raises:
        ModelError: unsupervised SimCSE with a model that has no dropout: both sides would be one vector.
    """
    scale = SCALE if stage.scale is None else stage.scale
    if stage.objective == "sts_cosine":
        return CosineSimilarityLoss(model)
    if stage.objective == "sts_cosent":
        return CoSENTLoss(model, scale=scale)
    if stage.objective == "nli_softmax":
        return SoftmaxLoss(model, embedding_dimension=model.get_embedding_dimension(), num_labels=len(labels))
    if stage.objective == "triplet":
        return TripletLoss(model, distance_metric=TripletDistanceMetric.COSINE, triplet_margin=stage.margin)
    if stage.objective == "simcse" and not any(module.p > 0 for module in model.modules() if isinstance(module, nn.Dropout)):
        raise ModelError(
            "simcse tells a sentence from itself by dropout, and this model has none",
            where=f"teacher.finetune.stages: {stage.name}",
            got="dropout 0 everywhere",
            hint="use another model, or set hidden_dropout_prob in its config.json",
        )
    return MultipleNegativesRankingLoss(model, scale=scale)


def _scored(objective: str, columns: Columns, where: str, seed: int) -> Arranged:
    bad = next((row for row, score in enumerate(columns["score"]) if not 0 <= float(score) <= 1), None)
    if bad is not None:
        raise DataError(
            "a score is out of range",
            where=f"{where}, row {bad + 1}",
            got=columns["score"][bad],
            expected="scores from 0 to 1",
            hint="the named formats (stsb, korsts, klue-sts) scale scores of 0 to 5",
        )
    return Arranged({name: list(columns[name]) for name in SCORED})


def _labelled(objective: str, columns: Columns, where: str, seed: int) -> Arranged:
    return Arranged({name: list(columns[name]) for name in LABELLED})


def _ranked(objective: str, columns: Columns, where: str, seed: int) -> Arranged:
    if "label" not in columns:
        return Arranged({name: list(values) for name, values in columns.items()})
    sbert = objective == "nli_ranking"
    try:
        made = nli_triplets(columns["sentence1"], columns["sentence2"], columns["label"], both=sbert, fill=sbert, seed=seed)
    except DataError as error:
        raise DataError(error.message, where=where, got=error.got, expected=error.expected, hint=error.hint) from error
    counts = {name: getattr(made, name) for name in ("premises", "without_entailment", "without_contradiction")}
    return Arranged({"anchor": made.anchors, "positive": made.positives, "negative": made.negatives}, counts=counts)


def _same(objective: str, columns: Columns, where: str, seed: int) -> Arranged:
    """Every different sentence with itself."""
    texts = [text for name, values in columns.items() if name not in ("score", "label") for text in values]
    return Arranged({"anchor": texts, "positive": list(texts)})


_ARRANGE: dict[str, Callable[[str, Columns, str, int], Arranged]] = {
    "sts_cosine": _scored,
    "sts_cosent": _scored,
    "nli_softmax": _labelled,
    "nli_ranking": _ranked,
    "triplet": _ranked,
    "simcse": _same,
    "simcse_nli": _ranked,
}
