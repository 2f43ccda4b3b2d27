"""A recipe's words for an augmentation -> the augmenter, in whichever process it is needed."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from ...errors import DataError, ModelError, UserError, nearest
from ...files import expand, sha256_file
from ...locating import locate_model
from ...recipe_augment import (
    METHODS,
    MaskedLMSpec,
    MaskingSpec,
    NGramsSpec,
    PartOfSpeechSpec,
    TangSpec,
    TextSpec,
    VectorsSpec,
    WordVectorsSpec,
)
from .pairs import Augmenter
from .plans import TextMethod
from .tag_words import TagWords
from .taggers import load_tagger

SAMPLE = 1000
"""So many texts tell which language a corpus is in."""
Corpus = Callable[[], Iterable[str]]
"""Gives the texts of a corpus, as often as it is called."""


@dataclass(frozen=True)
class Maker:
    """Makes the augmenter of a spec when called. Small and picklable: no model is in it. See `maker_for`.

    Attributes:
        spec: the method and its settings.
        mask: the mask token, where one is needed.
        tagger: name of the tagger for the corpus.
        vocabulary: the corpus's words by part of speech.
        corpus: a hash of the corpus that was read for it.
    """

    spec: TextSpec
    mask: str | None = None
    tagger: str | None = None
    vocabulary: TagWords | None = field(default=None, repr=False, compare=False)
    corpus: str | None = None

    def __call__(self) -> Augmenter:
        """The augmenter; a model is loaded here."""
        return Augmenter(self._method(), variants=self.spec.variants, pairs=self.spec.pairs)

    def key(self) -> dict[str, Any]:
        """Everything but the seed that decides the variants of an example, as JSON values."""
        return {**settings_key(self.spec, self.mask), "tagger": self.tagger, "corpus": self.corpus}

    def _method(self) -> TextMethod:
        spec = self.spec
        if isinstance(spec, MaskedLMSpec):
            from .masked_lm import MaskedLMMethod

            return MaskedLMMethod(
                spec.model,
                vectors=None if spec.vectors is None else load_vectors(spec.vectors),
                p=spec.p,
                candidates=spec.candidates,
                sees_original=spec.sees_original,
                rows=spec.rows,
                batch_tokens=spec.batch_tokens,
                precision=spec.precision,
            )
        if isinstance(spec, WordVectorsSpec):
            from .neighbours import NeighbourMethod

            return NeighbourMethod(load_vectors(spec.vectors), p=spec.p, candidates=spec.candidates)
        if isinstance(spec, MaskingSpec):
            from .masking import MaskingMethod

            return MaskingMethod(self.mask or "", p=spec.p)
        if isinstance(spec, NGramsSpec):
            from .ngrams import NGramMethod

            return NGramMethod(p=spec.p, longest=spec.longest)
        return self._tagging(spec)

    def _tagging(self, spec: PartOfSpeechSpec | TangSpec) -> TextMethod:
        from .part_of_speech import PartOfSpeechMethod
        from .tang import TangMethod

        tagger = load_tagger(self.tagger or spec.tagger, ())
        method: PartOfSpeechMethod | TangMethod
        if isinstance(spec, PartOfSpeechSpec):
            method = PartOfSpeechMethod(tagger, p=spec.p)
        else:
            chances = {"p_mask": spec.p_mask, "p_pos": spec.p_pos, "p_ng": spec.p_ng}
            method = TangMethod(tagger, self.mask or "[MASK]", **chances, longest=spec.longest)
        method.vocabulary = self.vocabulary
        return method


def maker_for(spec: TextSpec, corpus: Corpus, mask: str | None = None) -> Maker:
    """A maker that has read what its method needs to know of the corpus.

    Args:
        spec: the method and its settings.
        corpus: the texts that will be augmented; read twice by methods with parts of speech, else never.
        mask: the mask token, see `mask_word`.

    Raises:
        UserError: the method hides words and there is no mask token.
        DataError: the corpus is empty, or in a language that the method cannot do.
        MissingExtra: a package is not installed.
    """
    if needs_mask(spec) and mask is None:
        raise UserError(
            "this method hides words behind a mask token", where="mask", got="none", expected="a mask token, such as [MASK]"
        )
    if not isinstance(spec, PartOfSpeechSpec | TangSpec):
        return Maker(spec, mask)
    sample = list(itertools.islice(corpus(), SAMPLE))
    if not sample:
        raise DataError("there is nothing to augment", got="no text")
    tagger = load_tagger(spec.tagger, sample)
    digest = hashlib.sha256()
    vocabulary = TagWords.of(_hashed(corpus(), digest), tagger)
    return Maker(spec, mask, _name(tagger.name, spec.tagger), vocabulary, digest.hexdigest())


def spec_of(method: str | Mapping[str, Any] | TextSpec, settings: Mapping[str, Any]) -> TextSpec:
    """A spec out of a method's name and settings.

    Args:
        method: a name such as `tang`, a mapping as recipes have it, or a spec.
        settings: as in recipes; they go before those of a mapping.

    Raises:
        UserError: no such method, or settings it does not have; all of them are named.
    """
    from pydantic import ValidationError

    if isinstance(method, str | Mapping):
        values = {"method": method, **settings} if isinstance(method, str) else {**method, **settings}
        name = str(values.get("method"))
        if name not in METHODS:
            raise UserError("no such method", where="method", got=name, expected=", ".join(METHODS), hint=nearest(name, METHODS))
        if isinstance(values.get("vectors"), str | Path):
            values["vectors"] = {"source": str(values["vectors"])}
        try:
            return METHODS[name].model_validate(values)  # type: ignore[return-value]
        except ValidationError as error:
            raise _unfit(error, name) from error
    return method.model_copy(update=dict(settings)) if settings else method


def needs_mask(spec: TextSpec) -> bool:
    """Whether the method puts a mask token into text."""
    return isinstance(spec, MaskingSpec) or (isinstance(spec, TangSpec) and spec.p_mask > 0)


def mask_word(spec: TextSpec, tokenizers: Mapping[str, Any]) -> str | None:
    """The mask token that every model of a run knows; None where the method needs none.

    Args:
        spec: the method.
        tokenizers: what to call a model in an error -> its tokenizer, the first of which chooses.

    Raises:
        ModelError: a tokenizer has no mask token, or another one: the word would be read as letters.
    """
    if not needs_mask(spec):
        return None
    remedy = "set data.augment.p_mask to 0" if isinstance(spec, TangSpec) else "choose another data.augment.method"
    found: str | None = None
    for name, tokenizer in tokenizers.items():
        own = getattr(tokenizer, "mask_token", None)
        if found is None and own is None:
            raise ModelError("this tokenizer has no mask token", where=name, expected="such as [MASK]", hint=remedy)
        found = found or str(own)
        if found not in getattr(tokenizer, "all_special_tokens", ()):
            raise ModelError(
                "the models of this run have different mask tokens",
                where=name,
                got=str(own),
                expected=f"{found}, the teacher's",
                hint=remedy,
            )
    return found


def settings_key(spec: TextSpec, mask: str | None = None) -> dict[str, Any]:
    """What decides the variants of an example but the seed and the corpus: settings, files, versions; as JSON values.

    Raises:
        ModelError: the masked LM is not there.
        DataError: the file of vectors is not there.
    """
    key: dict[str, Any] = {"spec": spec.model_dump(mode="json", exclude={"batch_tokens", "labels"}), "mask": mask}
    if isinstance(spec, MaskedLMSpec):
        key["model"] = _model_key(spec.model)
    vectors = getattr(spec, "vectors", None)
    if vectors is not None:
        files = [_vector_file(path) for path in (vectors.source, vectors.vocabulary) if path is not None]
        key["vectors"] = [sha256_file(path) for path in files]
    if isinstance(spec, PartOfSpeechSpec | TangSpec):
        key["packages"] = {name: _version(name) for name in ("HanTa", "kiwipiepy", "spacy")}
    return key


def load_vectors(spec: VectorsSpec) -> Any:
    """The table of word vectors that a spec names.

    Raises:
        DataError: it cannot be read.
    """
    from .vectors import WordVectors

    return WordVectors.load(_vector_file(spec.source), spec.vocabulary, spec.limit)


def _unfit(error: Any, name: str) -> UserError:
    """pydantic's findings about the settings of a method, in our words."""
    known = [key for key in METHODS[name].model_fields if key not in ("method", "labels")]
    told, hint, got = [], None, None
    for item in error.errors():
        key = ".".join(map(str, item["loc"]))
        if item["type"] == "extra_forbidden":
            told.append(f"unknown setting '{key}'")
            hint = hint or nearest(key, known)
        elif item["type"] == "missing":
            told.append(f"the setting '{key}' is missing")
        else:
            told.append(f"{key}: {item['msg']}" if key else str(item["msg"]))
            got = got or repr(item["input"])
    return UserError("; ".join(told), where=name, got=got, expected="settings among " + ", ".join(known), hint=hint)


def _vector_file(name: str) -> Path:
    path = expand(name)
    if not path.is_file():
        names = [item.name for item in path.parent.iterdir() if item.is_file()] if path.parent.is_dir() else []
        raise DataError("no such file of word vectors", where=name, hint=nearest(path.name, names))
    return path


def _model_key(name: str) -> dict[str, str]:
    """Hashes of the files that decide what a masked LM says."""
    folder = Path(locate_model(name))
    if not folder.is_dir():
        from teachers.folder import download

        folder = download(str(folder), None)
    files = sorted(file for kind in ("*.json", "*.safetensors", "*.txt", "*.model") for file in folder.glob(kind))
    return {file.name: sha256_file(file) for file in files}


def _name(found: str, asked: str) -> str:
    """What loads this tagger again, without a sample of text."""
    return asked if asked.startswith("spacy:") else found


def _hashed(texts: Iterable[str], digest: Any) -> Iterator[str]:
    """Texts passed on, each put into a hash."""
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
        yield text


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
