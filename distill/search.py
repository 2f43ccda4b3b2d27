"""From a list of texts to answers: an index that knows the model, the prompts and the texts it was built of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from .data.sentences import Korean, split_documents
from .errors import DataError, RunError, UserError
from .evaluate.agreement import unit as to_unit
from .evaluate.index_files import read_index, write_index
from .evaluate.indexes import EXACT, IndexSettings, VectorIndex, build_index, search_documents
from .files import atomic_folder, expand, sha256_file, write_json
from .search_files import (
    INDEX,
    MANIFEST,
    MAX_BYTES,
    PARTS,
    TEXTS,
    Manifest,
    ModelFacts,
    Unit,
    check_files,
    check_model,
    read_column,
    read_manifest,
    write_table,
)
from .search_model import SearchModel, open_model


@dataclass(frozen=True)
class Hit:
    """An answer.

    Attributes:
        document: number of the text, from 0.
        score: see `VectorIndex.search`; of the default index the cosine.
        text: the whole text.
        sentence: the sentence that was found, where the index holds sentences.
    """

    document: int
    score: float
    text: str
    sentence: str | None = None


class SearchIndex:
    """Texts that can be searched by meaning.

    Attributes:
        model: encodes the queries.
        index: the vectors.
        texts: the documents.
        manifest: what is known of it.

    Example:
        >>> index = SearchIndex.build(["A dog barks.", "Rice is cooked in water."], "runs/quickstart/student")
        >>> index.search(["How do I make rice?"], k=1)[0][0].text
        'Rice is cooked in water.'
    """

    def __init__(
        self,
        model: SearchModel,
        index: VectorIndex,
        texts: Sequence[str],
        manifest: Manifest,
        parts: Sequence[str] | None = None,
        owners: np.ndarray | None = None,
    ) -> None:
        self.model = model
        self.index = index
        self.texts = list(texts)
        self.manifest = manifest
        self._parts = None if parts is None else list(parts)
        self._owners = owners

    @classmethod
    def build(
        cls,
        texts: Sequence[str],
        model: str | Path | SearchModel,
        *,
        kind: str = EXACT,
        unit: Unit = "text",
        korean: Korean = "rules",
        dim: int | None = None,
        normalize: bool = True,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        settings: IndexSettings | None = None,
        batch_size: int = 32,
    ) -> SearchIndex:
        """Encode texts and put them into an index.

        Args:
            texts: the documents, at least one.
            model: an exported folder, or what `open_model` gave.
            kind: of index, see `distill.evaluate.indexes.build_index`.
            unit: `text` has a vector for each text; `sentence` one for each of its sentences, and a text is as near as the
                nearest of them.
            korean: how Korean is split, see `distill.data.sentences.split_sentences`.
            dim: keep the first so many dimensions; for models trained with `matryoshka`.
            normalize: scale vectors to length 1, so that scores are cosines.
            query_prompt, document_prompt: a prompt's name or literal text; None takes what the model defines for queries and
                documents, else its default prompt; "" is none.
            settings: of the index.
            batch_size: texts per run of the model.

        Raises:
            MissingExtra: faiss or pyarrow is not installed.
            ModelError: the model cannot be loaded.
            UserError: no texts, one string instead of a list, no such kind or unit, or more dimensions than the model has.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise UserError(
                "the texts of an index are a list of strings", where="texts", got=f"{type(texts).__name__}: {texts!r}"
            )
        if not texts:
            raise DataError("there are no texts to search in", where="texts", expected="at least one")
        if unit not in ("text", "sentence"):
            raise UserError("no such unit", where="unit", got=unit, expected="text or sentence")
        model = model if isinstance(model, SearchModel) else open_model(model)
        if dim is not None and not 1 <= dim <= model.dim:
            raise UserError("an index cannot have this many dimensions", where="dim", got=dim, expected=f"1 to {model.dim}")
        settings = settings or IndexSettings()
        parts, owners = split_documents(texts, korean=korean) if unit == "sentence" else (None, None)
        manifest = Manifest(
            kind=kind,
            dim=dim or model.dim,
            documents=len(texts),
            rows=len(texts if parts is None else parts),
            unit=unit,
            korean=korean,
            normalize=normalize,
            query_prompt=model.query_prompt(query_prompt),
            document_prompt=model.document_prompt(document_prompt),
            settings=asdict(settings),
            model=_facts(model),
            faiss=_faiss_version(),
        )
        vectors = model.encode(texts if parts is None else parts, prompt=manifest.document_prompt, batch_size=batch_size)
        index = build_index(_kept(vectors, manifest), kind, settings)
        return cls(model, index, texts, manifest, parts, owners)

    def search(self, queries: Sequence[str], k: int = 5, *, batch_size: int = 32) -> list[list[Hit]]:
        """The k nearest texts of each query, the nearest first.

        Args:
            queries: any number of texts.
            k: answers a query; fewer where there are fewer texts.
            batch_size: queries per run of the model.

        Raises:
            UserError: one string instead of a list, or k is below 1.
        """
        if isinstance(queries, str):
            raise UserError("one string is given where a list of queries is needed", got=repr(queries), hint="search([text])")
        if k < 1:
            raise UserError("k must be at least 1", where="k", got=k)
        vectors = self.model.encode(list(queries), prompt=self.manifest.query_prompt, batch_size=batch_size)
        k = min(k, len(self.texts))
        found = search_documents(self.index, _kept(vectors, self.manifest), k, owners=self._owners)
        return [
            [
                Hit(int(document), float(score), self.texts[document], None if self._parts is None else self._parts[row])
                for score, document, row in zip(*lists, strict=True)
                if document >= 0
            ]
            for lists in zip(*found, strict=True)
        ]

    def save(self, folder: str | Path) -> Path:
        """Write the index, its texts and its manifest to a folder, whole or not at all.

        Args:
            folder: an earlier index there is replaced; a folder with anything else in it is refused.

        Raises:
            RunError: the folder holds something else, or the disk refuses.
        """
        out = expand(folder)
        if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / MANIFEST).is_file())):
            raise RunError("this is no index, so it is not replaced", where=str(folder), hint="choose another folder")
        with atomic_folder(out) as work:
            write_index(self.index, work / INDEX)
            write_table(work / TEXTS, {"text": self.texts})
            if self._parts is not None:
                write_table(work / PARTS, {"document": self._owners, "sentence": self._parts})
            files = {file.name: sha256_file(file) for file in sorted(work.iterdir())}
            write_json(work / MANIFEST, self.manifest.model_copy(update={"files": files}).model_dump(mode="json"))
        return out

    @classmethod
    def load(
        cls,
        folder: str | Path,
        model: str | Path | SearchModel | None = None,
        *,
        threads: int | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> SearchIndex:
        """Read an index that `save` wrote.

        Args:
            folder: where it lies.
            model: the model it was built with, where that has moved; None opens it where it was.
            threads: of the model.
            max_bytes: a larger file is refused before it is read.

        Raises:
            RunError: the folder is missing.
            DataError: a file of it is missing, damaged, too large or not what the manifest says.
            ModelError: the model is missing, has another width than the index was built for, or is another model.
        """
        place = expand(folder)
        manifest = read_manifest(place)
        check_files(place, manifest, max_bytes)
        if not isinstance(model, SearchModel):
            facts = manifest.model
            name = facts.name if model is None else model
            model = open_model(name, runtime=facts.runtime, precision=facts.precision, threads=threads)
        check_model(model, manifest, str(folder))
        settings = IndexSettings(**manifest.settings)  # type: ignore[arg-type]
        index = read_index(place / INDEX, manifest.kind, manifest.dim, manifest.rows, settings)
        texts = read_column(place / TEXTS, "text", manifest.documents)
        if manifest.unit == "text":
            return cls(model, index, texts, manifest)
        owners = np.array(read_column(place / PARTS, "document", manifest.rows), np.int64)
        if not np.array_equal(np.unique(owners), np.arange(manifest.documents)):
            raise DataError("the sentences do not belong to these texts", where=str(place / PARTS), hint="build the index again")
        return cls(model, index, texts, manifest, read_column(place / PARTS, "sentence", manifest.rows), owners)


def _facts(model: SearchModel) -> ModelFacts:
    name = str(expand(model.name).resolve()) if expand(model.name).is_dir() else model.name
    facts = {"runtime": model.runtime, "precision": model.precision, "dim": model.dim, "key": model.key}
    return ModelFacts.model_validate({"name": name, **facts})


def _kept(vectors: np.ndarray, manifest: Manifest) -> np.ndarray:
    """The dimensions that the index holds."""
    short = vectors[:, : manifest.dim]
    return to_unit(short) if manifest.normalize else short


def _faiss_version() -> str:
    from .evaluate.indexes import import_faiss

    return str(import_faiss().__version__)
