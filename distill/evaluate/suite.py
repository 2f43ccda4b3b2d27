"""Every model of a run on every task, and its predictions on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.evaluation import EvaluationSet, ScoredPairs, TranslationSet, kind_of
from ..data.text import fold
from ..files import atomic_folder
from ..progress import track
from ..recipe_data import VectorSpec
from ..runtime.encoder import load
from .kinds import KINDS, DevTexts, Encode, Vectors
from .ranks import spearman
from .sts import pair_scores
from .translation import translation_accuracy

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from teachers.ensemble import AnyTeacher

    from ..data.prepare import PreparedData


def select_metric(student: SentenceTransformer, sets: Mapping[str, EvaluationSet]) -> Callable[[], dict[str, float]]:
    """Dev metrics of a student: `sts_spearman_NAME` of each sts set and `translation_accuracy_NAME` of each translation set.

    `sts_spearman` and `translation_accuracy` are the means over the sets of their kind. A model that gives every text the
    same vector has no Spearman, so that the mean is no number; it finds 1 translation in n.

    Args:
        student: evaluated as it is whenever the metric is asked for; its mode is put back.
        sets: name -> sts and translation sets.

    Returns:
        A function that gives the metrics of the moment. Each different text is encoded once a call.
    """

    def metric() -> dict[str, float]:
        was = student.training
        student.eval()
        try:
            encode = Vectors(lambda texts: _encode(student, texts, 64))
            found = {
                kind: {name: judge(rows, encode) for name, rows in sets.items() if isinstance(rows, made)}
                for kind, (made, judge) in _SELECTING.items()
            }
        finally:
            student.train(was)
        means = {kind: float(np.mean(list(values.values()))) for kind, values in found.items() if values}
        return {**means, **{f"{kind}_{name}": value for kind, values in found.items() for name, value in values.items()}}

    return metric


def _spearman(rows: Any, encode: Encode) -> float:
    return spearman(pair_scores(encode(rows.sentences1), encode(rows.sentences2))["cosine"], rows.scores)


def _accuracy(rows: Any, encode: Encode) -> float:
    keys = ([fold(text) for text in rows.sources], [fold(text) for text in rows.translations])
    return translation_accuracy(encode(rows.sources), encode(rows.translations), keys)


_SELECTING: dict[str, tuple[type, Callable[[Any, Encode], float]]] = {
    "sts_spearman": (ScoredPairs, _spearman),
    "translation_accuracy": (TranslationSet, _accuracy),
}
"""Dev metric -> the kind of set it is of, and how it is computed."""


def evaluate_models(
    teacher: AnyTeacher,
    student: SentenceTransformer,
    folder: Path,
    presets: Sequence[str],
    data: PreparedData,
    predictions: Path,
    vectors: VectorSpec | None = None,
) -> dict[str, Any]:
    """Agreement with the teacher on dev sentences, and every evaluation set, for teacher, student and exports.

    A model encodes each different text once, whatever sets it stands in.

    Args:
        teacher: the reference.
        student: the torch student.
        folder: the student's folder with `onnx/`.
        presets: exported files to evaluate.
        data: dev sentences and evaluation sets.
        predictions: folder that gets `<task>/<model>.parquet`, one row per example.
        vectors: shorter vectors to judge teacher and student with on sts sets; None judges none.

    Returns:
        The content of quality.json; `retained` = model / teacher, of shorter vectors model's shorter / teacher's whole ones.
        None stands for what is undefined: every number of a model whose similarities are all alike, and what is retained
        of a teacher not above 0.
    """
    encoders: dict[str, Encode] = {
        "teacher": lambda texts: teacher.embed(texts, batch_size=32),
        "student": lambda texts: _encode(student, texts, 32),
    }
    for name in presets:
        runtime = load(folder, precision=name)  # type: ignore[arg-type]
        runtime.allow_nan = True  # such a model is judged too: every number of it is undefined
        encoders[name] = runtime.encode
    sets: dict[str, Any] = {"agreement": DevTexts(data.dev, data.dev_goals), **data.evaluate}
    tasks = {name: _task(name, rows) for name, rows in sets.items()}
    models: dict[str, dict[str, Any]] = {name: {} for name in encoders}
    reference = Vectors(encoders["teacher"], data.dev_goals)
    steps = [(name, task) for name in encoders for task in sets]
    with atomic_folder(predictions) as out:
        seen = reference
        for name, task in track(steps, total=len(steps), description="quality", unit="evaluations"):
            if task == "agreement":  # the first step of a model: what it gave before belongs to another one
                seen = reference if name == "teacher" else Vectors(encoders[name], data.dev)
                if name == "teacher":
                    continue
            short = vectors if name in ("teacher", "student") else None
            judged = KINDS[tasks[task]["kind"]].judge(sets[task], seen, reference, short)
            found = judged.found
            base = None if task == "agreement" else found["value"] if name == "teacher" else models["teacher"][task]["value"]
            found["retained"] = _share(found["value"], base)
            for row in found.get("vectors", ()):
                row["retained"] = _share(row["value"], base)
            models[name][task] = defined(found)
            write_predictions(out / task / f"{name}.parquet", judged.columns)
    return {"schema_version": 1, "tasks": tasks, "models": models}


def _encode(student: SentenceTransformer, texts: Sequence[str], batch_size: int) -> np.ndarray:
    return np.asarray(student.encode(list(texts), batch_size=batch_size, show_progress_bar=False))


def _task(name: str, rows: Any) -> dict[str, Any]:
    """What quality.json says of a set."""
    kind = "agreement" if name == "agreement" else kind_of(rows)
    languages = getattr(rows, "languages", None)
    return {
        "kind": kind,
        "metric": KINDS[kind].metric,
        "n": len(rows),
        **({"languages": list(languages)} if languages else {}),
    }


def _share(value: float, base: float | None) -> float | None:
    return value / base if base is not None and base > 0 else None


def defined(value: Any) -> Any:
    """`value` with None for what is not a number, which JSON cannot hold; an interval is whole or None."""
    if isinstance(value, dict):
        return {key: defined(part) for key, part in value.items()}
    if isinstance(value, list):
        if any(isinstance(part, dict) for part in value):
            return [defined(part) for part in value]
        return value if all(np.isfinite(value)) else None
    return None if isinstance(value, float) and not np.isfinite(value) else value


def write_predictions(path: Path, columns: dict[str, Any]) -> None:
    """One parquet file; the folder around it is atomic."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
