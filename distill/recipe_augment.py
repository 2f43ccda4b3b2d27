"""How a recipe names an augmentation: one model a method, told apart by `method`. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from .recipe_base import Schema

PairMode = Literal["one", "first", "second", "both", "tang", "cycle"]
"""Which side of a pair is altered: see `distill.data.augment.pairs`."""


class VocabularyMixSpec(Schema):
    """More training sentences: words of the teacher's vocabulary put into the corpus's own sentences.

    Attributes:
        method: always `vocabulary_mix`, which may be left out.
        sentences: how many to make.
        share: how likely a word is replaced.
        max_words: longest sentence that is used as a frame.
        words: whether the vocabulary's words are trained on one by one as well.
        replace: train on what was made alone; the corpus then gives frames and dev sentences.
    """

    method: Literal["vocabulary_mix"] = "vocabulary_mix"
    sentences: int = Field(default=20000, ge=1, le=10_000_000)
    share: float = Field(default=0.6, gt=0, le=1)
    max_words: int = Field(default=25, ge=1)
    words: bool = True
    replace: bool = False


class VectorsSpec(Schema):
    """A table of word vectors.

    Attributes:
        source: a text file (GloVe, word2vec, fastText; .gz too), or an .npy table.
        vocabulary: the words of an .npy table, one a line.
        limit: so many words from the beginning; null takes all.
    """

    source: str = Field(min_length=1)
    vocabulary: str | None = None
    limit: int | None = Field(default=100_000, ge=1)


class VariantsSpec(Schema):
    """Base of the methods that make variants of every training example.

    Attributes:
        variants: draws per example; what is drawn twice, or comes back unchanged, is dropped.
        pairs: which side of a pair is altered, see `distill.data.augment.pairs.PairMode`.
        labels: of variants in labelled tasks. `teacher`: they join the rows that the teacher alone labels. `copy`: they carry
            the label of their original.
    """

    variants: int = Field(default=20, ge=1, le=1000)
    pairs: PairMode = "one"
    labels: Literal["teacher", "copy"] = "teacher"


class MaskedLMSpec(VariantsSpec):
    """Words replaced by what a masked language model puts there (TinyBERT).

    Attributes:
        model: a masked LM: hub id or folder.
        vectors: for words of more than one token; null leaves them as they are.
        p: probability per word.
        candidates: so many of the likeliest words are drawn from.
        sees_original: whether the model reads the unmasked sentence beside the masked one, as in the published code.
        rows: `sentence` gives the model the sentence once, with a mask for every word after it; `word` a masked copy for every
            word, as published: many times slower, with other candidates, and for every architecture.
        batch_tokens: tokens per forward pass; null takes a number that suits the machine.
        precision: of the model's matrix products.
    """

    method: Literal["masked_lm"]
    model: str = Field(min_length=1)
    vectors: VectorsSpec | None = None
    p: float = Field(default=0.4, gt=0, le=1)
    candidates: int = Field(default=15, ge=1, le=1000)
    sees_original: bool = True
    rows: Literal["word", "sentence"] = "sentence"
    batch_tokens: int | None = Field(default=None, ge=1)
    precision: Literal["fp32", "bf16"] = "fp32"


class WordVectorsSpec(VariantsSpec):
    """Words replaced by their neighbours in a table of word vectors.

    Attributes:
        vectors: the table.
        p: probability per word.
        candidates: so many neighbours are drawn from.
    """

    method: Literal["word_vectors"]
    vectors: VectorsSpec
    p: float = Field(default=0.4, gt=0, le=1)
    candidates: int = Field(default=15, ge=1, le=1000)


class TangSpec(VariantsSpec):
    """Masking, words of the same part of speech and n-grams together (Tang et al.).

    Attributes:
        p_mask: probability that a word is masked.
        p_pos: probability that it is exchanged.
        p_ng: probability that an n-gram is all that is kept.
        longest: the largest n.
        tagger: of the text's language: auto, english, korean, or spacy:MODEL.
    """

    method: Literal["tang"]
    pairs: PairMode = "tang"
    p_mask: float = Field(default=0.1, ge=0, le=1)
    p_pos: float = Field(default=0.1, ge=0, le=1)
    p_ng: float = Field(default=0.25, ge=0, le=1)
    longest: int = Field(default=5, ge=1)
    tagger: str = "auto"

    @model_validator(mode="after")
    def _together(self) -> TangSpec:
        if self.p_mask + self.p_pos > 1:
            raise ValueError(f"p_mask and p_pos are at most 1 together, got {self.p_mask} and {self.p_pos}")
        if not self.p_mask + self.p_pos + self.p_ng:
            raise ValueError("p_mask, p_pos and p_ng are all 0: nothing would be altered")
        return self


class MaskingSpec(VariantsSpec):
    """Words hidden behind the mask token.

    Attributes:
        p: probability per word.
    """

    method: Literal["masking"]
    p: float = Field(default=0.1, gt=0, le=1)


class PartOfSpeechSpec(VariantsSpec):
    """Words exchanged for others of the same part of speech.

    Attributes:
        p: probability per word.
        tagger: as in `TangSpec`.
    """

    method: Literal["part_of_speech"]
    p: float = Field(default=0.1, gt=0, le=1)
    tagger: str = "auto"


class NGramsSpec(VariantsSpec):
    """A few neighbouring words in place of the text.

    Attributes:
        p: probability per text.
        longest: the largest n.
    """

    method: Literal["ngrams"]
    p: float = Field(default=0.25, gt=0, le=1)
    longest: int = Field(default=5, ge=1)


TextSpec = MaskedLMSpec | WordVectorsSpec | TangSpec | MaskingSpec | PartOfSpeechSpec | NGramsSpec
"""The methods that make variants of each text, in any task on texts."""

AugmentSpec = Annotated[
    VocabularyMixSpec | MaskedLMSpec | WordVectorsSpec | TangSpec | MaskingSpec | PartOfSpeechSpec | NGramsSpec,
    Field(discriminator="method"),
]

METHODS: dict[str, type[VariantsSpec]] = {
    "masked_lm": MaskedLMSpec,
    "word_vectors": WordVectorsSpec,
    "tang": TangSpec,
    "masking": MaskingSpec,
    "part_of_speech": PartOfSpeechSpec,
    "ngrams": NGramsSpec,
}
"""`method` -> its settings, of the methods that make variants of each text."""


def with_method(value: Any) -> Any:
    """A mapping of settings with its method: vocabulary_mix where none is named and only its keys are there."""
    if isinstance(value, dict) and "method" not in value and value.keys() <= VocabularyMixSpec.model_fields.keys():
        return {"method": "vocabulary_mix", **value}
    return value
