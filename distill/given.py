"""Inputs of a run that come as objects, and what decides the content of those that come as files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from teachers.load import Teacher, as_teacher
from teachers.spec import TeacherSpec

from .data.evaluation import EvaluationSet, RetrievalSet, ScoredPairs, TransferSet, TranslationSet
from .data.hub import read_commits
from .errors import DataError, ModelError
from .files import expand, sha256_file
from .recipe_load import Overrides

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def split_objects(overrides: Overrides) -> tuple[Overrides, dict[str, Any]]:
    """Take a loaded teacher and a dataset out of overrides, where they stand in place of names.

    Returns:
        The other overrides, and {"teacher.model": model, "data.train": dataset}, those of them that are objects.
    """
    if not isinstance(overrides, Mapping):
        return overrides, {}
    objects = {path: overrides[path] for path in ("teacher.model", "data.train") if not _is_written(overrides.get(path))}
    return {path: value for path, value in overrides.items() if path not in objects}, objects


def _is_written(value: object) -> bool:
    """Whether a recipe could hold this value; a DatasetDict is a mapping too, but no source that is written out."""
    return isinstance(value, str | PathLike | Mapping | list | tuple | None) and not hasattr(value, "column_names")


def given_teacher(model: SentenceTransformer | Teacher, spec: TeacherSpec) -> Teacher:
    """A teacher that came as an object, with the prompt of the recipe if that names one.

    Raises:
        ModelError: the recipe asks for another longest input than the model has.
    """
    teacher = as_teacher(model)
    if spec.max_length not in (None, teacher.max_length):
        raise ModelError(
            "a model that is loaded has its own longest input",
            where="teacher.max_length",
            got=spec.max_length,
            expected=f"{teacher.max_length}, or null",
            hint="set max_seq_length of the model",
        )
    return teacher if spec.prompt is None else Teacher(teacher.model, teacher.name, spec.prompt)


def given_sentences(train: object) -> list[str]:
    """The sentences of an iterable of strings, of a dataset's column, or of a dataset's only text column.

    Raises:
        DataError: it is no such thing; what it is is told.
    """
    features = getattr(train, "features", None)
    if isinstance(features, Mapping):
        columns = [name for name, feature in features.items() if getattr(feature, "dtype", None) in ("string", "large_string")]
        if len(columns) != 1:
            raise DataError(
                "cannot tell which column holds the sentences",
                where="train",
                got=columns or list(features),
                expected="a dataset with one text column",
                hint="pass dataset['column'] instead of the dataset",
            )
        train = train[columns[0]]  # type: ignore[index]
    is_table = hasattr(train, "columns")  # of pandas and its like: its items are the names of its columns
    if isinstance(train, str | bytes | Mapping) or is_table or not isinstance(train, Iterable):
        raise DataError(
            "this is not a list of sentences",
            where="train",
            got=f"{type(train).__name__}: {train!r}",
            expected="an iterable of strings, or a datasets.Dataset with one text column",
            hint="a file or hub id is given as data.train in the overrides; choose a split of a DatasetDict, a column of a table",
        )
    sentences = list(train)
    for index, sentence in enumerate(sentences):
        if not isinstance(sentence, str):
            raise DataError("not a sentence", where=f"train[{index}]", got=repr(sentence), expected="a string")
    return sentences


def given_sets(evaluate: object) -> dict[str, EvaluationSet]:
    """Evaluation sets by name: of any kind, or objects with `sentences1`, `sentences2` and `scores`, any list of numbers.

    Raises:
        DataError: it is no such thing.
    """
    expected = "a mapping: name -> distill.data.evaluation.ScoredPairs or another set of that module"
    if not isinstance(evaluate, Mapping):
        raise DataError("these are no labelled sets", where="evaluate", got=type(evaluate).__name__, expected=expected)
    found: dict[str, EvaluationSet] = {}
    for name, pairs in evaluate.items():
        if isinstance(pairs, TranslationSet | TransferSet | RetrievalSet):
            found[str(name)] = pairs
            continue
        try:
            scores = np.asarray(pairs.scores, dtype=np.float64)
            found[str(name)] = ScoredPairs(
                list(pairs.sentences1), list(pairs.sentences2), scores, getattr(pairs, "languages", None)
            )
        except (AttributeError, TypeError, ValueError) as error:
            got = f"{type(pairs).__name__}: {error}"
            raise DataError("this is no labelled set", where=f"evaluate['{name}']", got=got, expected=expected) from error
    return found


def source_facts(names: Iterable[str]) -> dict[str, Any]:
    """What the stage `data` tells of its sources: {"sources"}, a file without its folder; {"hub"}, the commits that were read."""
    sources = [Path(name).name if Path(name).is_absolute() else name for name in names]
    read = read_commits()
    return {"sources": sources, **({"hub": read} if read else {})}


def source_key(source: str) -> str:
    """What decides a source's content: a file's hash; the versions that python-docs reads; else its name."""
    path = expand(source)
    if path.is_file():
        return sha256_file(path)
    if source == "python-docs":
        from .data.python_docs import content_key

        return content_key()
    return source
