"""Every model of a run on every task, and its predictions on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import atomic_folder
from ..progress import track
from ..runtime.encoder import load
from . import agreement, sts
from .agreement import evaluate_agreement, row_cosines
from .ranks import spearman
from .sts import evaluate_sts, pair_scores

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from teachers.load import Teacher

    from ..data.prepare import PreparedData
    from ..data.sources import ScoredPairs

Encode = Callable[[Sequence[str]], np.ndarray]


def select_metric(student: SentenceTransformer, sets: Mapping[str, ScoredPairs]) -> Callable[[], dict[str, float]]:
    """Dev metrics on labelled pairs: the Spearman of the student's cosines a set, and their mean as `sts_spearman`.

    Args:
        student: evaluated as it is whenever the metric is asked for; its mode is put back.
        sets: name -> labelled sentences.
    """

    def metric() -> dict[str, float]:
        was = student.training
        student.eval()
        found: dict[str, float] = {}
        for name, pairs in sets.items():
            first, second = (
                student.encode(list(side), batch_size=64, show_progress_bar=False)
                for side in (pairs.sentences1, pairs.sentences2)
            )
            found[f"sts_spearman_{name}"] = spearman(pair_scores(first, second)["cosine"], pairs.scores)
        student.train(was)
        return {"sts_spearman": float(np.mean(list(found.values()))), **(found if len(found) > 1 else {})}

    return metric


def evaluate_models(
    teacher: Teacher,
    student: SentenceTransformer,
    folder: Path,
    presets: Sequence[str],
    data: PreparedData,
    predictions: Path,
) -> dict[str, Any]:
    """Agreement with the teacher on dev sentences, and every labelled set, for teacher, student and exports.

    Args:
        teacher: the reference.
        student: the torch student.
        folder: the student's folder with `onnx/`.
        presets: exported files to evaluate.
        data: dev sentences and labelled sets.
        predictions: folder that gets `<task>/<model>.parquet`, one row per example.

    Returns:
        The content of quality.json; `retained` = model / teacher on labelled sets. None stands for what is undefined:
        every number of a model whose similarities are all alike, and what is retained of a teacher not above 0.
    """
    encoders: dict[str, Encode] = {
        "teacher": lambda texts: teacher.embed(texts, batch_size=32),
        "student": lambda texts: np.asarray(student.encode(list(texts), batch_size=32, show_progress_bar=False)),
    }
    for name in presets:
        encoders[name] = load(folder, precision=name).encode  # type: ignore[arg-type]
    tasks: dict[str, Any] = {"agreement": {"kind": "agreement", "metric": agreement.METRIC, "n": len(data.dev)}}
    tasks |= {name: {"kind": "sts", "metric": sts.METRIC, "n": len(rows.scores)} for name, rows in data.evaluate.items()}
    models: dict[str, dict[str, Any]] = {name: {} for name in encoders}
    steps = [(task, name) for task in tasks for name in encoders]
    reference: dict[str, np.ndarray] = {}
    with atomic_folder(predictions) as out:
        for task, name in track(steps, total=len(steps), description="quality", unit="evaluations"):
            if task == "agreement":
                vectors = encoders[name](data.dev)
                reference.setdefault(task, vectors)
                if name == "teacher":
                    continue
                found = evaluate_agreement(vectors, reference[task])
                same = vectors.shape[1] == reference[task].shape[1]
                columns: dict[str, Any] = {"sentence": data.dev}
                columns |= {"cosine_to_teacher": row_cosines(vectors, reference[task])} if same else {}
                found["retained"] = None
            else:
                rows = data.evaluate[task]
                count = len(rows.scores)
                vectors = encoders[name]([*rows.sentences1, *rows.sentences2])
                found = evaluate_sts(vectors[:count], vectors[count:], rows.scores)
                columns = {"sentence1": rows.sentences1, "sentence2": rows.sentences2, "score": rows.scores}
                columns |= {"cosine": found.pop("scores")}
                base = found["value"] if name == "teacher" else models["teacher"][task]["value"] or 0.0
                found["retained"] = found["value"] / base if base > 0 else None
            models[name][task] = {key: defined(value) for key, value in found.items()}
            write_predictions(out / task / f"{name}.parquet", columns)
    return {"schema_version": 1, "tasks": tasks, "models": models}


def defined(value: Any) -> Any:
    """`value` with None for what is not a number, which JSON cannot hold; an interval is whole or None."""
    if isinstance(value, dict):
        return {key: defined(part) for key, part in value.items()}
    if isinstance(value, list):
        return value if all(np.isfinite(value)) else None
    return None if isinstance(value, float) and not np.isfinite(value) else value


def write_predictions(path: Path, columns: dict[str, Any]) -> None:
    """One parquet file; the folder around it is atomic."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
