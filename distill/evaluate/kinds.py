"""How a model is judged on one evaluation set: one function a kind, all in the table `KINDS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.evaluation import RetrievalSet, ScoredPairs, TransferSet, TranslationSet
from ..data.text import fold
from ..recipe_data import VectorSpec
from . import agreement, sts, transfer, translation
from .agreement import evaluate_agreement, row_cosines
from .retrieval import evaluate_retrieval
from .sts import evaluate_sts
from .transfer import evaluate_transfer
from .translation import evaluate_translation
from .vectors import judge_vectors

Encode = Callable[[Sequence[str]], np.ndarray]


class Vectors:
    """A model's vectors, computed once a text.

    Args:
        encode: texts -> [n, d].
        calibration: texts whose vectors give int8 its scales.
    """

    def __init__(self, encode: Encode, calibration: Sequence[str] = ()) -> None:
        self._encode = encode
        self._calibration = calibration
        self._rows: dict[str, int] = {}
        self._parts: list[np.ndarray] = []

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of `texts`, at least one of them, [n, d]."""
        new = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if new:
            self._parts.append(np.asarray(self._encode(new)))
            self._rows |= {text: len(self._rows) + place for place, text in enumerate(new)}
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return np.asarray(self._parts[0][[self._rows[text] for text in texts]])

    def calibration(self) -> np.ndarray | None:
        """Vectors for the scales of int8, [m, d]; None where there are none."""
        return self(self._calibration) if self._calibration else None


@dataclass(frozen=True)
class Judged:
    """What a model is worth on a set.

    Attributes:
        found: "value", "ci95", "n", "details" and, of sts sets, "vectors": rows of shorter vectors.
        columns: its predictions, one value a row.
    """

    found: dict[str, Any]
    columns: dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """A kind of evaluation set.

    Attributes:
        metric: which number its value is.
        judge: set, the model's vectors, the teacher's vectors (those of the model itself for the teacher), settings of
            shorter vectors -> what the model is worth.
    """

    metric: str
    judge: Callable[[Any, Vectors, Vectors, VectorSpec | None], Judged]


@dataclass(frozen=True)
class DevTexts:
    """Held-out sentences without labels.

    Attributes:
        texts: what the student reads.
        goals: what the teacher reads: the same, or the text that each is a translation of.
    """

    texts: Sequence[str]
    goals: Sequence[str]

    def __len__(self) -> int:
        return len(self.texts)


def judge_agreement(rows: DevTexts, model: Vectors, teacher: Vectors, spec: VectorSpec | None) -> Judged:
    """Agreement with the teacher on plain text; of a translation, with what the teacher says of the original."""
    ours, theirs = model(rows.texts), teacher(rows.goals)
    columns: dict[str, Any] = {"sentence": list(rows.texts)}
    if rows.goals != rows.texts:
        columns["teacher_sentence"] = list(rows.goals)
    if ours.shape[1] == theirs.shape[1]:
        columns["cosine_to_teacher"] = row_cosines(ours, theirs)
    return Judged(evaluate_agreement(ours, theirs), columns)


def judge_sts(rows: ScoredPairs, model: Vectors, teacher: Vectors, spec: VectorSpec | None) -> Judged:
    """Correlation with people's scores; where `spec` asks for shorter vectors, theirs too."""
    first, second = model(rows.sentences1), model(rows.sentences2)
    found = evaluate_sts(first, second, rows.scores)
    columns = {"sentence1": rows.sentences1, "sentence2": rows.sentences2, "score": rows.scores}
    columns |= {"cosine": found.pop("scores")}
    if spec is not None:
        found["vectors"] = judge_vectors(first, second, rows.scores, spec, calibrate=model.calibration())
    return Judged(found, columns)


def judge_translation(rows: TranslationSet, model: Vectors, teacher: Vectors, spec: VectorSpec | None) -> Judged:
    """Translation retrieval; of a student as wide as the teacher also where its translations lie in the teacher's space."""
    keys = ([fold(text) for text in rows.sources], [fold(text) for text in rows.translations])
    translations = model(rows.translations)
    found = evaluate_translation(model(rows.sources), translations, keys)
    made = found.pop("rows")
    if model is not teacher:
        goals = teacher(rows.sources)
        if goals.shape == translations.shape:
            near = evaluate_translation(goals, translations, keys, rounds=1)["details"]
            found["details"] |= {
                "to_teacher_accuracy": near["accuracy_to_source"],
                "to_teacher_mrr": near["mrr_to_source"],
                "to_teacher_cosine": near["mean_cosine"],
            }
    columns = {"source": rows.sources, "translation": rows.translations, "cosine": made.pop("cosine")}
    for way, texts in (("translation", rows.translations), ("source", rows.sources)):
        nearest = made.pop(f"nearest_to_{way}")
        columns[f"nearest_{way}"] = [texts[place] if place >= 0 else None for place in nearest.tolist()]
    return Judged(found, {**columns, **made})


def judge_transfer(rows: TransferSet, model: Vectors, teacher: Vectors, spec: VectorSpec | None) -> Judged:
    """A classifier on frozen vectors."""
    found = evaluate_transfer(model(rows.fit_texts), rows.fit_labels, model(rows.texts), rows.labels, rows.names)
    guesses = found.pop("predictions").tolist()
    columns = {
        "text": rows.texts,
        "label": [rows.names[label] for label in rows.labels.tolist()],
        "prediction": [rows.names[guess] for guess in guesses],
        "right": found.pop("scores"),
    }
    return Judged(found, columns)


def judge_retrieval(rows: RetrievalSet, model: Vectors, teacher: Vectors, spec: VectorSpec | None) -> Judged:
    """Retrieval; of a student as wide as the teacher also its queries against the teacher's documents."""
    units, owners = rows.units()
    parts = owners if rows.unit == "sentence" else None
    queries = model(rows.queries)
    found = evaluate_retrieval(queries, model(units), rows.relevance, owners=parts)
    columns: dict[str, Any] = {"query_id": rows.query_ids, "query": rows.queries, "ndcg@10": found.pop("scores")}
    if model is not teacher:
        index = teacher(units)
        if index.shape[1] == queries.shape[1]:
            crossed = evaluate_retrieval(queries, index, rows.relevance, owners=parts, rounds=1)
            found["details"]["asymmetric_ndcg@10"] = crossed["value"]
            columns["asymmetric_ndcg@10"] = crossed["scores"]
    return Judged(found, columns)


KINDS: dict[str, Kind] = {
    "agreement": Kind(agreement.METRIC, judge_agreement),
    "sts": Kind(sts.METRIC, judge_sts),
    "translation": Kind(translation.METRIC, judge_translation),
    "transfer": Kind(transfer.METRIC, judge_transfer),
    "retrieval": Kind("ndcg@10", judge_retrieval),
}
