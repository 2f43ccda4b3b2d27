"""What lies in an index folder: the manifest, and files that are checked before they are used."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from .data.sentences import Korean
from .errors import DataError, MissingExtra, ModelError, RunError
from .evaluate.index_files import index_file_limit
from .files import read_json, sha256_file
from .recipe_base import Schema
from .search_model import Runtime, SearchModel

MANIFEST, INDEX, TEXTS, PARTS = "manifest.json", "index.faiss", "texts.parquet", "sentences.parquet"
MAX_BYTES = 1 << 36
"""Files larger than this (64 GiB) are refused unless told otherwise."""
Unit = Literal["text", "sentence"]


class ModelFacts(Schema):
    """The model an index was built with, see `SearchModel`."""

    name: str
    runtime: Runtime
    precision: Literal["fp32", "fast", "faithful", "portable", "fp16", "searched"]
    dim: int = Field(ge=1)
    key: str


class Manifest(Schema):
    """What an index folder says of itself.

    Attributes:
        kind: of index, see `distill.evaluate.indexes.KINDS`.
        dim: width of the vectors in it; below the model's where it holds the first dimensions alone.
        documents, rows: texts, and vectors: more than one a text where `unit` is `sentence`.
        unit, korean: what a vector stands for, and how Korean was split.
        normalize: whether vectors were scaled to length 1.
        query_prompt, document_prompt: literal text put before each.
        settings: of the index.
        model: see `ModelFacts`.
        files: name -> sha256.
        faiss: version that wrote the index.
    """

    schema_version: Literal[1] = 1
    kind: str
    dim: int = Field(ge=1)
    documents: int = Field(ge=1)
    rows: int = Field(ge=1)
    unit: Unit
    korean: Korean
    normalize: bool
    query_prompt: str
    document_prompt: str
    settings: dict[str, int | None]
    model: ModelFacts
    files: dict[str, str] = Field(default_factory=dict)
    faiss: str


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an index folder.

    Raises:
        RunError: there is no such folder.
        DataError: there is no index in it, or its manifest is damaged.
    """
    if not folder.is_dir():
        raise RunError("no such folder", where=str(folder), expected="an index made by `search.py index` or SearchIndex.save")
    if not (folder / MANIFEST).is_file():
        raise DataError("there is no index in this folder", where=str(folder), expected=f"{MANIFEST}, {INDEX}, {TEXTS}")
    try:
        return Manifest.model_validate(read_json(folder / MANIFEST))
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(
            "this manifest is damaged, or of another version",
            where=f"{folder / MANIFEST}, {'.'.join(map(str, first['loc'])) or 'whole'}",
            got=first["msg"],
            hint="build the index again",
        ) from error


def check_model(model: SearchModel, manifest: Manifest, where: str) -> None:
    """That a model gives the vectors an index was built of.

    Raises:
        ModelError: it has another width (both are named), or is another model.
    """
    facts = manifest.model
    if model.dim != facts.dim:
        raise ModelError(
            "queries of this model and this index have different widths",
            where=where,
            got=f"{model.dim} dimensions from {model.name}",
            expected=f"{facts.dim} dimensions, as {facts.name} gave when the index was built",
            hint="query with the model of the index, or build the index again",
        )
    if model.key != facts.key:
        raise ModelError(
            "this is not the model that the index was built with",
            where=where,
            got=f"{model.name} ({model.precision}, {model.runtime}), fingerprint {model.key}",
            expected=f"{facts.name} ({facts.precision}, {facts.runtime}), fingerprint {facts.key}",
            hint="query with the model of the index, or build the index again",
        )


def check_files(folder: Path, manifest: Manifest, max_bytes: int) -> None:
    """Every file is there, is no larger than it can be, and is the one that was written."""
    names = [INDEX, TEXTS, *([PARTS] if manifest.unit == "sentence" else [])]
    most = min(max_bytes, index_file_limit(manifest.kind, manifest.dim, manifest.rows, manifest.settings))
    for name in names:
        file = folder / name
        if not file.is_file():
            raise DataError("this file of the index is missing", where=str(file), hint="build the index again")
        size, limit = file.stat().st_size, most if name == INDEX else max_bytes
        if size > limit:
            raise DataError("this file is too large", where=str(file), got=f"{size:,} bytes", expected=f"at most {limit:,}")
        if sha256_file(file) != manifest.files.get(name):
            raise DataError(
                "this file is damaged, or belongs to another index",
                where=str(file),
                expected=f"the sha256 that {MANIFEST} notes",
                hint="build the index again",
            )


def write_table(path: Path, columns: dict[str, Any]) -> None:
    arrow, parquet = _pyarrow()
    parquet.write_table(arrow.table(columns), path)


def read_column(path: Path, name: str, count: int) -> list[Any]:
    arrow, parquet = _pyarrow()
    try:
        values: list[Any] = parquet.read_table(path, columns=[name])[name].to_pylist()
    except (arrow.ArrowException, OSError, KeyError) as error:
        raise DataError("this file cannot be read", where=str(path), got=error, hint="build the index again") from error
    if len(values) != count:
        raise DataError("this file has another number of rows than its manifest says", where=str(path), got=len(values))
    return values


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise MissingExtra("search", "pyarrow", "an index of texts") from error
    return pyarrow, pyarrow.parquet
