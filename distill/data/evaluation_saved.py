"""Evaluation sets on disk: one Parquet file a set, whose metadata tells the kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, RunError
from .evaluation_sets import EvaluationSet, RetrievalSet, TransferSet, TranslationSet, kind_of
from .sources import ScoredPairs

_META = b"distill"


def save_set(rows: EvaluationSet, path: Path) -> None:
    """Write a set to `path`.

    Columns of sts: sentence1, sentence2, score; translation: source, translation; transfer: part (fit or test), text,
    label; retrieval: part (query or document), id, text, and for queries the ids of the relevant documents and their gains.
    """
    import pyarrow
    import pyarrow.parquet

    kind = kind_of(rows)
    meta: dict[str, Any] = {"kind": kind, "languages": rows.languages}
    if isinstance(rows, TransferSet):
        meta["names"] = rows.names
    if isinstance(rows, RetrievalSet):
        meta["unit"] = rows.unit
    table = pyarrow.table(_WRITERS[kind](rows))
    told = {**(table.schema.metadata or {}), _META: json.dumps(meta, ensure_ascii=False).encode()}
    pyarrow.parquet.write_table(table.replace_schema_metadata(told), path)


def load_set(path: Path) -> EvaluationSet:
    """What `save_set` wrote.

    Raises:
        RunError: the file is missing or damaged.
    """
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(path).read()
        meta = json.loads((table.schema.metadata or {}).get(_META, b'{"kind": "sts"}'))
        languages = meta.get("languages")
        return _READERS[meta["kind"]](table.to_pydict(), meta, tuple(languages) if languages else None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, DataError) as error:
        raise RunError(
            "this file is missing or damaged", where=str(path), got=error, hint="delete its folder and run the same command again"
        ) from error


def set_values(rows: EvaluationSet) -> list[Any]:
    """The content of a set as JSON values: equal sets give equal ones."""
    values = [kind_of(rows), *vars(rows).values()]
    return [value.tolist() if isinstance(value, np.ndarray) else value for value in values]


def _write_sts(rows: Any) -> dict[str, Any]:
    import pyarrow

    scores = pyarrow.array(rows.scores, pyarrow.float64())
    return {"sentence1": _texts(rows.sentences1), "sentence2": _texts(rows.sentences2), "score": scores}


def _write_translation(rows: Any) -> dict[str, Any]:
    return {"source": _texts(rows.sources), "translation": _texts(rows.translations)}


def _write_transfer(rows: Any) -> dict[str, Any]:
    parts = ["fit"] * len(rows.fit_texts) + ["test"] * len(rows.texts)
    places = [*rows.fit_labels.tolist(), *rows.labels.tolist()]
    labels = [rows.names[place] for place in places]
    return {"part": _texts(parts), "text": _texts([*rows.fit_texts, *rows.texts]), "label": _texts(labels)}


def _write_retrieval(rows: Any) -> dict[str, Any]:
    import pyarrow

    none: list[None] = [None] * len(rows.documents)
    gains = [rows.relevance[query] for query in range(len(rows.queries))]
    relevant = [[rows.document_ids[place] for place in row] for row in gains]
    return {
        "part": _texts(["query"] * len(rows.queries) + ["document"] * len(rows.documents)),
        "id": _texts([*rows.query_ids, *rows.document_ids]),
        "text": _texts([*rows.queries, *rows.documents]),
        "relevant": pyarrow.array([*relevant, *none], pyarrow.list_(pyarrow.string())),
        "gains": pyarrow.array([*(list(row.values()) for row in gains), *none], pyarrow.list_(pyarrow.float64())),
    }


def _texts(values: list[str]) -> Any:
    import pyarrow

    return pyarrow.array(values, pyarrow.string())


def _read_sts(columns: dict[str, Any], meta: dict[str, Any], languages: Any) -> EvaluationSet:
    scores = np.array(columns["score"], dtype=np.float64)
    return ScoredPairs(columns["sentence1"], columns["sentence2"], scores, languages)


def _read_translation(columns: dict[str, Any], meta: dict[str, Any], languages: Any) -> EvaluationSet:
    return TranslationSet(columns["source"], columns["translation"], languages)


def _read_transfer(columns: dict[str, Any], meta: dict[str, Any], languages: Any) -> EvaluationSet:
    names = tuple(meta["names"])
    place = {name: index for index, name in enumerate(names)}
    labels = np.array([place[name] for name in columns["label"]], dtype=np.int64)
    fit = np.array([part == "fit" for part in columns["part"]])
    first = [text for text, is_fit in zip(columns["text"], fit, strict=True) if is_fit]
    return TransferSet(first, labels[fit], columns["text"][len(first) :], labels[~fit], names, languages)


def _read_retrieval(columns: dict[str, Any], meta: dict[str, Any], languages: Any) -> EvaluationSet:
    count = sum(part == "query" for part in columns["part"])
    ids = columns["id"]
    place = {name: index for index, name in enumerate(ids[count:])}
    relevance = {
        query: {place[name]: gain for name, gain in zip(columns["relevant"][query], columns["gains"][query], strict=True)}
        for query in range(count)
    }
    texts = columns["text"]
    return RetrievalSet(ids[:count], texts[:count], ids[count:], texts[count:], relevance, meta["unit"], languages)


_WRITERS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "sts": _write_sts,
    "translation": _write_translation,
    "transfer": _write_transfer,
    "retrieval": _write_retrieval,
}
_READERS: dict[str, Callable[[dict[str, Any], dict[str, Any], Any], EvaluationSet]] = {
    "sts": _read_sts,
    "translation": _read_translation,
    "transfer": _read_transfer,
    "retrieval": _read_retrieval,
}
