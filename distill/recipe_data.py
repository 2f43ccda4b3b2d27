"""The part of a recipe that says where text comes from. Imports no torch."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from .recipe_augment import AugmentSpec, with_method
from .recipe_base import Schema

Column = str | int
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
"""A language tag such as en, ko, pt-BR."""

NAMED_FORMATS = ("klue-sts", "klue-nli", "kornli", "korsts", "nsmc", "stsb")
"""Files of well-known benchmarks, read without naming columns: scores scaled to 0..1, labels by name."""


class SourceSpec(Schema):
    """Where text comes from.

    Attributes:
        source: a file (.txt .csv .tsv .jsonl .parquet, .gz too), a hub dataset id, or `python-docs`
            (English prose of the docstrings that are installed on this machine).
        columns: names or 0-based numbers of the columns to read as sentences; None takes every line of a .txt,
            and the only text column of other formats. Of labelled text: text and label, or text, second text and
            label; None finds the usual names.
        format: file format, where the ending does not tell. `conll` (a word and its tag a line) and `squad` (JSON) are
            for the tasks tokens and spans; klue-sts, klue-nli, kornli, korsts, nsmc and stsb are the files of those data sets.
        header: whether a .csv or .tsv starts with column names; None: yes if the columns are given by name.
        quoting: whether double quotes mean anything in .csv/.tsv; None: yes for csv, no for tsv.
        split: which split of a hub dataset.
        subset: which configuration of a hub dataset.
        revision: commit of a hub dataset.
        limit: at most this many sentences, taken in order.
        encoding: of a text file.
    """

    source: str = Field(min_length=1)
    columns: tuple[Column, ...] | None = None
    format: (
        Literal[
            "txt",
            "csv",
            "tsv",
            "jsonl",
            "parquet",
            "conll",
            "squad",
            "klue-sts",
            "klue-nli",
            "kornli",
            "korsts",
            "nsmc",
            "stsb",
        ]
        | None
    ) = None
    header: bool | None = None
    quoting: bool | None = None
    split: str = "train"
    subset: str | None = None
    revision: str | None = None
    limit: int | None = Field(default=None, ge=1)
    encoding: str = "utf-8"


class ShareSpec(Schema):
    """Hold out this share of the training sentences, chosen by hash."""

    share: float = Field(default=0.05, gt=0, le=0.5)


class ParallelSpec(Schema):
    """Translations: every row a text and the same in another language.

    The teacher reads the first language; the student learns both sides.

    Attributes:
        source: a .tsv, .csv, .jsonl, .parquet, .tmx or .po file (.gz too), a hub data set, or, with `target`, the text
            file of the first language.
        target: the text file of the second language, line by line (Moses).
        languages: tags of the two, such as [en, ko].
        columns: the two sides in tables, by name or 0-based number; None takes columns named like the languages, those of
            usual names such as source and target, or the only two that there are.
        format: where the endings do not tell.
        header, quoting, split, subset, revision, limit, encoding: as in `SourceSpec`.
    """

    source: str = Field(min_length=1)
    target: str | None = Field(default=None, min_length=1)
    languages: tuple[Language, Language]
    columns: tuple[Column, Column] | None = None
    format: Literal["tsv", "csv", "jsonl", "parquet", "moses", "tmx", "po"] | None = None
    header: bool | None = None
    quoting: bool | None = None
    split: str = "train"
    subset: str | None = None
    revision: str | None = None
    limit: int | None = Field(default=None, ge=1)
    encoding: str = "utf-8"

    @model_validator(mode="after")
    def _sides(self) -> ParallelSpec:
        if self.languages[0].lower() == self.languages[1].lower():
            raise ValueError(f"languages names one language twice: {self.languages[0]}")
        if self.target is not None and self.format not in (None, "moses"):
            raise ValueError(f"target is the second file of the format moses, not of {self.format}")
        if self.format == "moses" and self.target is None:
            raise ValueError("the format moses is two files: name the second one in target")
        return self


class EvaluationSpec(SourceSpec):
    """A labelled evaluation set.

    Attributes:
        kind: `sts`: two sentences and a similarity score. `translation`: does each sentence find its translation among
            all, both ways. `transfer`: a classifier of `fit` texts, on the encoder's frozen vectors, tested here.
            `retrieval`: `queries` find relevant ones among the documents of `source`. Otherwise the recipe's task, which
            is the default there.
        columns: sentence 1, sentence 2, score (sts); the two sides (translation); text, label (transfer); id, text
            (retrieval). None finds the usual names. For other kinds as in training data.
        second: a file whose row i translates row i of `source`: sentence 2 of a cross-lingual sts set comes from it; the
            second file of a translation set in Moses form.
        languages: of sentence 1 and sentence 2; the report groups by them.
        fit: labelled text that the classifier of a transfer set is trained on.
        queries: id and text of the queries of a retrieval set.
        relevance: query id, document id and how relevant (0 is not), of a retrieval set.
        unit: `text` searches documents as wholes, `sentence` splits them and ranks a document by its best sentence.
    """

    kind: Literal[
        "sts", "translation", "transfer", "retrieval", "classification", "multilabel", "regression", "tokens", "spans"
    ] = "sts"
    split: str = "test"
    second: str | None = Field(default=None, min_length=1)
    languages: tuple[Language, Language] | None = None
    fit: SourceSpec | None = None
    queries: SourceSpec | None = None
    relevance: SourceSpec | None = None
    unit: Literal["text", "sentence"] = "text"

    @model_validator(mode="after")
    def _of_kind(self) -> EvaluationSpec:
        widths = {"sts": (3, "sentence 1, sentence 2, score"), "translation": (2, "the two sides")}
        widths |= {"transfer": (2, "text, label"), "retrieval": (2, "id, text")}
        count, words = widths.get(self.kind, (0, ""))
        if count and self.columns is not None and len(self.columns) != count:
            raise ValueError(
                f"{'an sts' if self.kind == 'sts' else f'a {self.kind}'} set needs {_NUMBERS[count]} columns: {words}"
            )
        needed = {"transfer": ("fit",), "retrieval": ("queries", "relevance"), "translation": ("languages",)}
        allowed = {"sts": {"second", "languages"}, "translation": {"second", "languages"}, "transfer": {"fit", "languages"}}
        allowed["retrieval"] = {"queries", "relevance", "unit", "languages"}
        for name in needed.get(self.kind, ()):
            if getattr(self, name) is None:
                raise ValueError(f"a {self.kind} set needs {name}")
        for name in ("second", "languages", "fit", "queries", "relevance"):
            if getattr(self, name) is not None and name not in allowed.get(self.kind, set()):
                raise ValueError(f"{name} means nothing for an evaluation set of kind {self.kind}")
        if self.unit != "text" and self.kind != "retrieval":
            raise ValueError(f"unit means nothing for an evaluation set of kind {self.kind}")
        return self


_NUMBERS = {2: "two", 3: "three"}
EMBEDDING_KINDS = frozenset({"sts", "translation", "transfer", "retrieval"})
"""Kinds of evaluation sets that sentence encoders have."""


class VectorSpec(Schema):
    """Smaller vectors, judged on every similarity set: what shorter, int8 and binary embeddings cost.

    Attributes:
        dims: the first so many dimensions, besides all; train with `matryoshka` for these to be worth much.
        precisions: `int8`: a scale a dimension, taken from dev text; `binary`: one bit a dimension.
        rescore: binary search results are ranked anew with the query's full vector.
    """

    dims: tuple[Annotated[int, Field(ge=4)], ...] = ()
    precisions: tuple[Literal["int8", "binary"], ...] = ("int8", "binary")
    rescore: bool = True


class DataSpec(Schema):
    """Text for training, for choosing the best checkpoint and for the final numbers.

    Attributes:
        train: one source or several.
        parallel: translations: the student puts both sides where the teacher puts the first.
        start: text for stages toward `start` alone, such as text in languages that the teacher does not read.
        language_temperature: how much small languages of `parallel` count: a language with n rows is drawn in proportion
            to n^(1/T). 1 takes rows as they come; a high one draws all languages alike, small ones repeatedly.
        teaching: name -> labelled text that the teacher is fine-tuned on; `teacher.finetune.stages` names them.
        dev: a share of train, held out by hash, or a source of its own.
        dev_limit: at most this many dev sentences.
        evaluate: name -> labelled set, measured once at the end; their sentences are removed from train and dev.
        select: a labelled set to choose the best checkpoint by, instead of agreement with the teacher; or several by name,
            whose mean decides.
        on_bad_row: stop at a malformed row, or skip and count it.
        augment: make more training examples out of those that are there, see `distill.recipe_augment`.
        min_chars, max_chars: sentences outside these lengths are dropped and counted.
        unlabelled: further text for a labelled task: the teacher's predictions are all its labels.
        labels: the names of the labels, in the order of the student's outputs; None takes those that occur.
        label_separator: between the labels of a multi-label row that is written as text.
        stride: tokens shared by neighbouring windows of a long context (task spans).
        joined_words: whether the words of the task tokens are written without spaces between them.
        answer_unit: what the F1 of answers counts: words, or characters as Korean benchmarks do.
    """

    train: tuple[SourceSpec, ...] = ()
    parallel: tuple[ParallelSpec, ...] = ()
    start: tuple[SourceSpec, ...] = ()
    language_temperature: float = Field(default=1.0, ge=1, le=100)
    teaching: dict[str, SourceSpec] = Field(default={})
    dev: ShareSpec | SourceSpec = ShareSpec()
    dev_limit: int = Field(default=1000, ge=2, le=5000)
    evaluate: dict[str, EvaluationSpec] = Field(default={})
    select: EvaluationSpec | dict[str, EvaluationSpec] | None = None
    on_bad_row: Literal["error", "skip"] = "error"
    min_chars: int = Field(default=3, ge=1)
    max_chars: int = Field(default=2000, ge=10)
    augment: AugmentSpec | None = None
    unlabelled: tuple[SourceSpec, ...] = ()
    labels: tuple[str, ...] | None = Field(default=None, min_length=1)
    label_separator: str = Field(default="|", min_length=1)
    stride: int = Field(default=64, ge=0)
    joined_words: bool = False
    answer_unit: Literal["word", "character"] = "word"

    @field_validator("augment", mode="before")
    @classmethod
    def _method(cls, value: Any) -> Any:
        return with_method(value)

    @field_validator("labels")
    @classmethod
    def _composed(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return value if value is None else tuple(unicodedata.normalize("NFC", name) for name in value)

    @property
    def selecting(self) -> dict[str, EvaluationSpec]:
        """The sets of `select` by name; a single one is called `select`."""
        if self.select is None:
            return {}
        return self.select if isinstance(self.select, dict) else {"select": self.select}

    @field_validator("evaluate", "teaching")
    @classmethod
    def _names(cls, value: dict[str, Any]) -> dict[str, Any]:
        return _named(value)

    @field_validator("select")
    @classmethod
    def _select(cls, value: Any) -> Any:
        if isinstance(value, dict):
            if not value:
                raise ValueError("select names no set: leave it out, or name one")
            _named(value)
        for name, spec in (value if isinstance(value, dict) else {"select": value}).items():
            if spec is not None and spec.kind not in ("sts", "translation"):
                raise ValueError(f"a checkpoint is chosen by sts or translation sets; '{name}' is of kind {spec.kind}")
        return value

    @model_validator(mode="after")
    def _some(self) -> DataSpec:
        if not self.train and not self.parallel:
            raise ValueError("there is nothing to train on: name a source in train, or translations in parallel")
        return self


def _named(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
            raise ValueError(f"a set is named with letters, digits, '-' and '_', got '{name}'")
        if name == "agreement":
            raise ValueError("'agreement' is the name of the agreement with the teacher: name this set otherwise")
    return value
