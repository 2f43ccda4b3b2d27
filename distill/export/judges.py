"""What judges a mix of precisions: an encoder by its vectors or a labelled dev set, a task model by its decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.evaluation import EvaluationSet, ScoredPairs
from ..evaluate.ranks import spearman
from ..evaluate.sts import pair_scores
from ..runtime.text import TextInput
from .search import Judge
from .vectors import cosines, encode_with

BATCH = 32
"""Rows at once for the metric: no form that a search chooses minds its neighbours."""


def encoder_judge(folder: Path, texts: Sequence[str], sets: Mapping[str, EvaluationSet] | None = None) -> Judge:
    """Judges a sentence encoder.

    Args:
        folder: the saved encoder with its tokenizer.
        texts: dev text; the cosine to fp32 is of these, each in a batch of its own.
        sets: labelled sets; the metric is the mean Spearman of those with scored pairs.
    """
    reader, rows = TextInput(folder), list(texts)
    scored = [rows for rows in (sets or {}).values() if isinstance(rows, ScoredPairs)]

    def outputs(session: Any, few: int | None) -> Any:
        return encode_with(session, reader, rows[:few], 1)

    def nearness(found: Any, wanted: Any) -> float:
        if not np.isfinite(found).all():
            return 0.0
        return float(cosines(found, wanted).mean())

    def metric(session: Any) -> float:
        found = []
        for pairs in scored:
            first, second = (encode_with(session, reader, side, BATCH) for side in (pairs.sentences1, pairs.sentences2))
            found.append(spearman(pair_scores(first, second)["cosine"], np.asarray(pairs.scores, np.float64)))
        return float(np.mean(found))

    if not scored:
        return Judge(outputs, nearness, len(rows))
    return Judge(outputs, nearness, sum(map(len, scored)), metric, name="sts_spearman")


def head_judge(
    tokenizer: Any,
    features: Sequence[Mapping[str, list[int]]],
    task: str,
    metric: Callable[[Any], float] | None = None,
    rows: int | None = None,
    name: str = "task_metric",
) -> Judge:
    """Judges a task model.

    Args:
        tokenizer: its tokenizer; it pads.
        features: dev rows as `head_parity.encode_row` gives them.
        task: classification, multilabel, regression, tokens or spans.
        metric: the dev metric of a session; None where there are no labels.
        rows: how many rows the metric is of.
        name: of the metric.
    """
    from .head_parity import _compare, _kept, _onnx_outputs

    kept = [_kept(row["input_ids"], tokenizer, task) for row in features]

    def outputs(session: Any, few: int | None) -> Any:
        return _onnx_outputs(session, tokenizer, features[:few], 1)

    def nearness(found: Any, wanted: Any) -> float:
        """Mean cosine of probabilities; of a regression the correlation."""
        near = _compare(found, wanted, kept[: len(found)], task)
        value = near["correlation"] if task == "regression" else near["mean_cosine"]
        return 0.0 if value is None else float(value)

    if metric is None:
        return Judge(outputs, nearness, len(features))
    return Judge(outputs, nearness, rows or len(features), metric, name=name)
