"""Evaluation sets of sentence encoders in memory: one frozen class a kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import DataError
from ..recipe_data import EvaluationSpec, SourceSpec
from .sentences import split_documents
from .sources import ScoredPairs

Languages = tuple[str, str] | None


@dataclass(frozen=True)
class TranslationSet:
    """Texts and their translations.

    Attributes:
        sources: n texts.
        translations: row i translates `sources[i]`.
        languages: tags of the two.
    """

    sources: list[str]
    translations: list[str]
    languages: Languages = None

    def __post_init__(self) -> None:
        _same_length("sources and translations", len(self.sources), len(self.translations))
        if len(self.sources) < 2:
            raise DataError("too few translations to search among", got=len(self.sources), expected="two rows or more")

    def __len__(self) -> int:
        return len(self.sources)


@dataclass(frozen=True)
class TransferSet:
    """Labelled texts for a classifier on frozen vectors, and labelled texts to test it on, often in another language.

    Attributes:
        fit_texts: what the classifier is trained on.
        fit_labels: int64 [f], places in `names`.
        texts: what it is tested on.
        labels: int64 [n], places in `names`.
        names: of the labels that occur in `fit_texts`.
        languages: tags of the fit texts and of the test texts.
    """

    fit_texts: list[str]
    fit_labels: np.ndarray
    texts: list[str]
    labels: np.ndarray
    names: tuple[str, ...]
    languages: Languages = None

    def __post_init__(self) -> None:
        _same_length("fit texts and labels", len(self.fit_texts), len(self.fit_labels))
        _same_length("texts and labels", len(self.texts), len(self.labels))
        if not self.texts or len(set(self.fit_labels.tolist())) < 2:
            got = f"{len(self.texts)} texts to test, {len(set(self.fit_labels.tolist()))} different labels to fit"
            raise DataError("too little to fit and test a classifier", got=got, expected="a text or more, two labels or more")
        places = [*self.fit_labels.tolist(), *self.labels.tolist()]
        if min(places) < 0 or max(places) >= len(self.names):
            raise DataError("a label has no name", got=f"{min(places)} to {max(places)}", expected=f"0 to {len(self.names) - 1}")

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class RetrievalSet:
    """Queries, documents, and which documents are relevant to which query.

    Attributes:
        query_ids, queries: name and text of q queries; each has a relevant document.
        document_ids, documents: name and text of d documents.
        relevance: query index -> document index -> gain, above 0; every query is among the keys.
        unit: `text` searches documents as wholes, `sentence` their sentences; the best sentence ranks a document.
        languages: tags of queries and documents.
    """

    query_ids: list[str]
    queries: list[str]
    document_ids: list[str]
    documents: list[str]
    relevance: dict[int, dict[int, float]]
    unit: Literal["text", "sentence"] = "text"
    languages: Languages = None

    def __post_init__(self) -> None:
        _same_length("query ids and queries", len(self.query_ids), len(self.queries))
        _same_length("document ids and documents", len(self.document_ids), len(self.documents))
        for what, ids in (("query", self.query_ids), ("document", self.document_ids)):
            if len(set(ids)) != len(ids):
                twice, _ = Counter(ids).most_common(1)[0]
                raise DataError(f"a {what} id stands twice", got=twice, expected="every id once")
        if not self.queries or not self.documents:
            raise DataError("nothing to search", got=f"{len(self.queries)} queries, {len(self.documents)} documents")
        if sorted(self.relevance) != list(range(len(self.queries))):
            raise DataError("every query needs a relevant document", got=f"{len(self.relevance)} of {len(self.queries)}")
        for gains in self.relevance.values():
            if not gains or min(gains.values()) <= 0 or not 0 <= min(gains) <= max(gains) < len(self.documents):
                raise DataError("a query names documents that are not there, or gains that are not above 0", got=gains)

    def __len__(self) -> int:
        return len(self.queries)

    def units(self) -> tuple[list[str], np.ndarray]:
        """What is searched, and the document that each belongs to: the documents themselves, or their sentences.

        Returns:
            u texts, and int64 [u], indices of documents; a document without a sentence stays whole.
        """
        if self.unit == "text":
            return self.documents, np.arange(len(self.documents), dtype=np.int64)
        return split_documents(self.documents)


EvaluationSet = ScoredPairs | TranslationSet | TransferSet | RetrievalSet
KINDS: dict[str, type] = {"sts": ScoredPairs, "translation": TranslationSet, "transfer": TransferSet, "retrieval": RetrievalSet}
"""Kind of a set, as recipes name it -> its class."""


def kind_of(rows: EvaluationSet) -> str:
    """The kind of a set, as recipes name it."""
    return next(kind for kind, made in KINDS.items() if isinstance(rows, made))


def texts_of(rows: EvaluationSet) -> Iterator[str]:
    """Every text that a model is judged by, which must not be trained on. What a transfer set fits its classifier on is not."""
    if isinstance(rows, ScoredPairs):
        yield from rows.sentences1
        yield from rows.sentences2
    elif isinstance(rows, TranslationSet):
        yield from rows.sources
        yield from rows.translations
    elif isinstance(rows, TransferSet):
        yield from rows.texts
    else:
        yield from rows.queries
        yield from rows.documents
        if rows.unit == "sentence":
            yield from rows.units()[0]


def sources_of_set(spec: EvaluationSpec) -> dict[str, SourceSpec]:
    """Every source that a set is read from, by its name in the recipe below the set; "" is the set's own `source`."""
    found: dict[str, SourceSpec] = {"": spec}
    if spec.second is not None:
        found["second"] = second_of(spec)
    for name in ("fit", "queries", "relevance"):
        part = getattr(spec, name)
        if part is not None:
            found[name] = part
    return found


def second_of(spec: EvaluationSpec) -> EvaluationSpec:
    """The source that `spec.second` names, read as the first is."""
    return spec.model_copy(update={"source": spec.second, "second": None})


def _same_length(what: str, first: int, second: int) -> None:
    if first != second:
        raise DataError(f"{what} differ in number", got=f"{first} and {second}")
